//! Which recipe step comes next: base, `first`, each generation, `finish`; one after the other.

use super::evolution::Evolution;
use super::view::Phase;

/// What follows the recipe step that ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Step {
        phase: Phase,
        position: usize,
    },
    /// Everything the recipe asks for is done.
    Finished,
}

/// The recipe step after the last one of `evolution.steps`. A phase without recipe steps is passed over; an evolution with
/// `stopped` set starts no further generation.
pub(super) fn next(evolution: &Evolution) -> Next {
    let Some(last) = evolution.steps.last() else {
        return Next::Step { phase: Phase::Base, position: 0 };
    };
    let position = last.position + 1;
    if position < evolution.listed(last.phase).len() {
        return Next::Step { phase: last.phase, position };
    }
    let mut phase = last.phase;
    while let Some(following) = after(phase, evolution) {
        if !evolution.listed(following).is_empty() {
            return Next::Step { phase: following, position: 0 };
        }
        phase = following;
    }
    Next::Finished
}

/// Whether `evolution.steps` ends with the last recipe step of a generation; returns the generation.
pub(super) fn ended_generation(evolution: &Evolution) -> Option<u32> {
    let last = evolution.steps.last().filter(|step| step.outcome.is_some())?;
    match last.phase {
        Phase::Generation(generation) if last.position + 1 == evolution.recipe.each.len() => Some(generation),
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
