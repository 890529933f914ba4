//! Which recipe step comes next: base, `first`, each generation, `finish`; one after the other. A generation begins with the controllers
//! that are due in it, and passes over recipe steps that do not run in it.

use super::evolution::{Evolution, List};
use super::view::Phase;
use crate::recipe::step::RecipeStep;

/// What follows the recipe step that ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Step(Place),
    /// Everything the recipe asks for is done.
    Finished,
}

/// Where in the recipe something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub phase: Phase,
    pub list: List,
    /// In the list, from 0.
    pub position: usize,
}

/// The recipe step or controller after the last one of `evolution.steps`. A phase without recipe steps is passed over; an evolution
/// with `stopped` set starts no further generation.
pub(super) fn next(evolution: &Evolution) -> Next {
    let Some(last) = evolution.steps.last() else {
        return Next::Step(Place { phase: Phase::Base, list: List::Steps, position: 0 });
    };
    let (mut phase, mut from) = (last.phase, Some((last.list, last.position + 1)));
    loop {
        if let Some(place) = within(evolution, phase, from) {
            return Next::Step(place);
        }
        match after(phase, evolution) {
            Some(following) => (phase, from) = (following, None),
            None => return Next::Finished,
        }
    }
}

/// The first thing of a phase, or the first from there on.
fn within(evolution: &Evolution, phase: Phase, from: Option<(List, usize)>) -> Option<Place> {
    let (list, position) = from.unwrap_or((List::Controllers, 0));
    let controller = match (phase, list) {
        (Phase::Generation(generation), List::Controllers) => due(evolution, generation, position),
        (Phase::Base | Phase::First | Phase::Finish, List::Controllers) | (_, List::Steps) => None,
    };
    if let Some(position) = controller {
        return Some(Place { phase, list: List::Controllers, position });
    }
    let position = match list {
        List::Controllers => 0,
        List::Steps => position,
    };
    let position = runs(evolution, phase, position)?;
    Some(Place { phase, list: List::Steps, position })
}

/// The first recipe step from `position` on that runs in the phase.
fn runs(evolution: &Evolution, phase: Phase, position: usize) -> Option<usize> {
    let runs = |step: &RecipeStep| match phase {
        Phase::Generation(generation) => step.generations().contains(generation),
        Phase::Base | Phase::First | Phase::Finish => true,
    };
    let mut listed = evolution.listed(phase).iter().enumerate().skip(position);
    listed.find(|(_, step)| runs(step)).map(|(position, _)| position)
}

/// The first controller from `position` on that decides in this generation.
fn due(evolution: &Evolution, generation: u32, position: usize) -> Option<usize> {
    let controllers = evolution.recipe.controllers.iter().enumerate().skip(position);
    controllers.into_iter().find(|(_, controller)| controller.is_due(generation)).map(|(position, _)| position)
}

/// Whether `evolution.steps` ends with the last recipe step of a generation; returns the generation.
pub(super) fn ended_generation(evolution: &Evolution) -> Option<u32> {
    let last = evolution.steps.last().filter(|step| step.outcome.is_some() && step.list == List::Steps)?;
    match last.phase {
        Phase::Generation(generation) if runs(evolution, last.phase, last.position + 1).is_none() => Some(generation),
        Phase::Base | Phase::First | Phase::Generation(_) | Phase::Finish => None,
    }
}

fn after(phase: Phase, evolution: &Evolution) -> Option<Phase> {
    let generation = |number: u32| {
        let open = number <= evolution.recipe.generations && evolution.stopped.is_none();
        if open { Phase::Generation(number) } else { Phase::Finish }
    };
    match phase {
        Phase::Base => Some(Phase::First),
        Phase::First => Some(generation(1)),
        Phase::Generation(number) => Some(generation(number + 1)),
        Phase::Finish => None,
    }
}
