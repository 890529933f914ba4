//! What controllers sample: every point of their grids that needs samples of its own, on as many tasks as its budget allows.

use std::collections::BTreeMap;

use super::{Cost, PhasePlan, StepPlan, chunks};
use crate::recipe::Recipe;
use crate::recipe::controller::{Controller, GridArgmax};

/// The controllers, those together that decide in the same generations.
pub(super) fn phases(recipe: &Recipe) -> Vec<PhasePlan> {
    let times = |every: u32| recipe.generations.div_ceil(every);
    let mut by_turn: BTreeMap<u32, Vec<StepPlan>> = BTreeMap::new();
    for (index, controller) in recipe.controllers.iter().enumerate() {
        let Controller::GridArgmax(grid) = controller;
        let name = grid.name.as_ref().map_or_else(|| format!("control-{}", index + 1), ToString::to_string);
        let every = grid.every.max(1);
        let plan = StepPlan { name, verb: "control", times: times(every), cost: cost(recipe, grid) };
        by_turn.entry(every).or_default().push(plan);
    }
    let phase = |(every, steps)| PhasePlan { phase: "controllers", times: times(every), steps };
    by_turn.into_iter().map(phase).collect()
}

/// What one decision costs.
fn cost(recipe: &Recipe, grid: &GridArgmax) -> Cost {
    let points = grid.grid(&recipe.vars).sampled.len();
    let mut cost = Cost::default();
    for (name, selection) in &grid.on {
        let Some(source) = recipe.tasks.get(name) else { continue };
        let most = grid.search.most(source.max_tokens());
        let tasks = selection.n.of(source.size(selection.split));
        let mut known = 0;
        for rung in grid.budget.rungs() {
            let window = rung.tasks(tasks) - known;
            known = rung.tasks(tasks);
            let measured = rung.points(points) as u64;
            let prompts = measured * u64::from(window);
            cost.jobs += measured * chunks(window).len() as u64;
            cost.prompts += prompts;
            cost.completions = cost.completions.saturating_add(prompts.saturating_mul(most.completions));
            cost.sampled_tokens = cost.sampled_tokens.saturating_add(prompts.saturating_mul(most.tokens));
        }
    }
    cost
}
