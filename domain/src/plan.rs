//! What a recipe will cost, before anything runs: jobs, rounds, prompts, completions and upper bounds of tokens and
//! optimiser steps per recipe step. Time is not estimated here: that needs the workers at hand.

mod chunk;
mod control;
mod data;
mod show;

pub use chunk::chunks;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::{Digest, Name};
use crate::recipe::Recipe;
use crate::recipe::evaluate::{Evaluate, Metric, NumberOf};
use crate::recipe::proposals::{Proposals, longest_question};
use crate::recipe::search::{Amount, Rollout};
use crate::recipe::step::RecipeStep;
use crate::recipe::tasks::{Split, TaskSet};
use crate::recipe::tournament::Tournament;
use data::Sizes;

/// The whole plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub recipe: Name,
    pub digest: Digest,
    /// In order of time; a part of the recipe that has no recipe steps is left out.
    pub phases: Vec<PhasePlan>,
    /// All phases, as often as they run, and the check of the base weights.
    pub totals: Cost,
    /// Task splits that only `finish` opens, for example `numbers/test: 200 tasks`.
    pub sealed: Vec<String>,
}

/// One list of recipe steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhasePlan {
    /// `first`, `controllers`, `each` or `finish`.
    pub phase: &'static str,
    /// How often it runs at most.
    pub times: u32,
    /// What the last time of each costs; datasets that gather over generations are largest then.
    pub steps: Vec<StepPlan>,
}

/// One recipe step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepPlan {
    /// The name given with `as`, or the verb and its place from 1 (`evaluate-7`).
    pub name: String,
    pub verb: &'static str,
    /// How often it runs at most.
    pub times: u32,
    pub cost: Cost,
}

/// Upper bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Cost {
    pub jobs: u64,
    pub rounds: u64,
    /// Prompts read, the few-shot prefix not counted.
    pub prompts: u64,
    pub completions: u64,
    /// Tokens sampled, by the families' longest completions.
    pub sampled_tokens: u64,
    /// Records written by a `rollout` or `curate`, questions kept by a `propose`, or records read once by a `train`.
    pub records: u64,
    /// Optimiser steps.
    pub optimiser_steps: u64,
}

impl Cost {
    fn add(&mut self, other: Self, times: u64) {
        self.jobs += other.jobs * times;
        self.rounds += other.rounds * times;
        self.prompts += other.prompts * times;
        self.completions += other.completions * times;
        self.sampled_tokens += other.sampled_tokens * times;
        self.records += other.records * times;
        self.optimiser_steps += other.optimiser_steps * times;
    }
}

impl Plan {
    /// The plan of a recipe that passed validation.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        let mut sizes = Sizes::default();
        // The base weights are checked and stored by one job.
        let mut totals = Cost { jobs: 1, ..Cost::default() };
        let mut phases = Vec::new();
        let controllers = control::phases(recipe);
        for phase in &controllers {
            phase.steps.iter().for_each(|step| totals.add(step.cost, u64::from(phase.times)));
        }
        let lists =
            [("first", 1, &recipe.first), ("each", recipe.generations, &recipe.each), ("finish", 1, &recipe.finish)];
        for (phase, times, steps) in lists.into_iter().filter(|(_, _, steps)| !steps.is_empty()) {
            let mut last: Vec<Option<StepPlan>> = vec![None; steps.len()];
            for time in 1..=times {
                let now =
                    steps.iter().enumerate().filter(|(_, step)| phase != "each" || step.generations().contains(time));
                for (index, step) in now {
                    let times = last[index].as_ref().map_or(0, |step| step.times);
                    let planned = StepPlan { times: times + 1, ..step_plan(recipe, step, index, &mut sizes) };
                    totals.add(planned.cost, 1);
                    last[index] = Some(planned);
                }
            }
            phases.push(PhasePlan { phase, times, steps: last.into_iter().flatten().collect() });
        }
        let before_each = phases.iter().take_while(|phase| phase.phase == "first").count();
        phases.splice(before_each..before_each, controllers);
        let sealed = recipe.tasks.iter().filter(|(_, set)| set.size(Split::Test) > 0);
        let sealed = sealed.map(|(name, set)| format!("{name}/test: {} tasks", set.size(Split::Test))).collect();
        Self { recipe: recipe.name.clone(), digest: recipe.digest(), phases, totals, sealed }
    }
}

fn step_plan(recipe: &Recipe, step: &RecipeStep, index: usize, sizes: &mut Sizes) -> StepPlan {
    let cost = match step {
        RecipeStep::Rollout(rollout) => {
            let cost = rollout_cost(recipe, rollout);
            // Every completion is a node at most, and every task a root.
            let nodes = cost.completions.saturating_add(cost.prompts);
            sizes.made(&rollout.name, data::Size { records: cost.records, tasks: cost.prompts, nodes, pairs: false });
            cost
        }
        RecipeStep::Curate(curate) => {
            let size = sizes.curated(recipe, curate);
            sizes.made(&curate.name, size);
            Cost { jobs: 1, records: size.records, ..Cost::default() }
        }
        RecipeStep::Train(train) => {
            let records = sizes.read(&train.on);
            let sequences = records.div_ceil(u64::from(train.pack.max(1)));
            let per_data_epoch = sequences.div_ceil(u64::from(train.batch.max(1)));
            let optimiser_steps = per_data_epoch * u64::from(train.data_epochs);
            Cost { rounds: 1, records, optimiser_steps, ..Cost::default() }
        }
        RecipeStep::Tournament(tournament) => tournament_cost(recipe, tournament),
        RecipeStep::Evaluate(evaluate) => evaluate_cost(recipe, evaluate),
        RecipeStep::Propose(proposals) => proposals_cost(recipe, proposals),
    };
    let name = step.given_name().map_or_else(|| format!("{}-{}", step.verb(), index + 1), Name::to_string);
    StepPlan { name, verb: step.verb(), times: 1, cost }
}

fn rollout_cost(recipe: &Recipe, rollout: &Rollout) -> Cost {
    let mut cost = Cost::default();
    for (source, tasks) in tasks(recipe, rollout.tasks.iter().map(|(name, n)| (name, Split::Train, *n))) {
        let most = rollout.search.most(source.max_tokens());
        let tasks = u64::from(tasks);
        let of_a_group = rollout.search.spread().map_or(1, |spread| u64::from(spread.growths()) + 1);
        cost.jobs += chunks(tasks as u32).len() as u64 * of_a_group;
        cost.prompts += tasks;
        cost.completions += tasks.saturating_mul(most.completions);
        cost.sampled_tokens += tasks.saturating_mul(most.tokens);
        cost.records += tasks.saturating_mul(most.trajectories);
    }
    cost
}

/// The questions are written in shares, and put together by one job.
fn proposals_cost(recipe: &Recipe, proposals: &Proposals) -> Cost {
    let tries = u64::from(proposals.tries());
    let longest = proposals.max_tokens.or_else(|| Some(longest_question(recipe.tasks.get(&proposals.like)?)));
    Cost {
        jobs: chunks(proposals.tries()).len() as u64 + 1,
        prompts: tries,
        completions: tries,
        sampled_tokens: tries * u64::from(longest.unwrap_or(0)),
        records: u64::from(proposals.n),
        ..Cost::default()
    }
}

/// Each mirrored pair is one task that both sides answer twice.
fn tournament_cost(recipe: &Recipe, tournament: &Tournament) -> Cost {
    let longest = tasks(recipe, tournament.tasks.iter().map(|(name, s)| (name, s.split, s.n)))
        .map(|(source, _)| tournament.max_tokens.unwrap_or_else(|| source.max_tokens()))
        .max();
    let pairs = u64::from(tournament.max_pairs);
    let completions = 4 * pairs;
    Cost {
        jobs: pairs.div_ceil(u64::from(PAIRS_PER_JOB)),
        prompts: pairs,
        completions,
        sampled_tokens: completions * u64::from(longest.unwrap_or(0)),
        ..Cost::default()
    }
}

/// Mirrored pairs in one bout job.
pub const PAIRS_PER_JOB: u32 = 12;

/// One greedy completion per task, the samples that `pass_at` and each critic's `best_of` and `pair_accuracy` need, and the searches with their baseline.
fn evaluate_cost(recipe: &Recipe, evaluate: &Evaluate) -> Cost {
    let draws = draws(&evaluate.metrics);
    let members = evaluate.members.len() as u64;
    let mut cost = Cost::default();
    for (source, tasks) in tasks(recipe, evaluate.tasks.iter().map(|(name, s)| (name, s.split, s.n))) {
        for samples in &draws {
            let prompts = u64::from(tasks) * members;
            let completions = prompts * (1 + u64::from(*samples));
            cost.jobs += chunks(tasks).len() as u64 * members;
            cost.prompts += prompts;
            cost.completions += completions;
            let longest = evaluate.max_tokens.unwrap_or_else(|| source.max_tokens());
            cost.sampled_tokens += completions * u64::from(longest);
        }
        let measured = evaluate.measured().into_iter().map(|(_, search)| search);
        for search in measured.chain(evaluate.numbers.values().map(NumberOf::search)) {
            let most = search.most(source.max_tokens());
            let prompts = u64::from(tasks) * members;
            cost.jobs += chunks(tasks).len() as u64 * members;
            cost.prompts += prompts;
            cost.completions += prompts.saturating_mul(most.completions);
            cost.sampled_tokens += prompts.saturating_mul(most.tokens);
        }
    }
    cost
}

/// How many samples per task each evaluation job draws: one kind of job per (critic, n), and one more if `pass_at` asks
/// for more samples than any of these.
fn draws(metrics: &[Metric]) -> Vec<u32> {
    let mut ranked = BTreeMap::new();
    let mut most = 0;
    for metric in metrics {
        match metric {
            Metric::PassAt1 => {}
            Metric::PassAt(k) => most = most.max(*k),
            Metric::BestOf(best) | Metric::PairAccuracy(best) => {
                ranked.insert((&best.by, best.n), best.n);
            }
            Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_) => {}
        }
    }
    let mut draws: Vec<u32> = ranked.into_values().collect();
    let sampled =
        metrics.iter().any(|metric| !matches!(metric, Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_)));
    if sampled && (draws.iter().all(|n| *n < most) || draws.is_empty()) {
        draws.push(most);
    }
    draws
}

/// The task sets of a recipe step, with the number of tasks taken from each.
fn tasks<'a>(
    recipe: &'a Recipe,
    taken: impl Iterator<Item = (&'a Name, Split, Amount)>,
) -> impl Iterator<Item = (&'a TaskSet, u32)> {
    taken.filter_map(|(name, split, amount)| {
        let source = recipe.task_source(name)?;
        let available = match recipe.proposals(name) {
            Some(proposals) if !recipe.tasks.contains_key(name) => proposals.n,
            Some(_) | None => source.size(split),
        };
        Some((source, amount.of(available)))
    })
}

#[cfg(test)]
mod tests;
