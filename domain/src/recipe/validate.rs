//! The rules that types cannot say: every broken one is reported, with its place and what would be right.
//!
//! A recipe that passes can be planned and run; nothing later may have to refuse it for what it says.

mod controller;
mod data;
mod episode;
mod files;
mod growing;
mod guide;
mod header;
mod judge;
mod learning;
mod operators;
mod opinions;
mod propose;
mod range;
mod scope;
mod search;
mod train;
mod wrap;
mod written;

use std::fmt;

use super::Recipe;
use super::generations::Generations;
use super::path::{Path, Segment};
use super::step::RecipeStep;
use scope::Scope;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    pub path: Path,
    /// What is wrong, with the value.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl BrokenRule {
    /// What to look up with `galapagos help recipe`: the verb or the top-level field.
    #[must_use]
    pub fn topic(&self) -> String {
        let inside = self.path.within_step();
        inside
            .segments()
            .iter()
            .find_map(|s| match s {
                Segment::Key(key) => Some(key.clone()),
                Segment::Index(_) => None,
            })
            .unwrap_or_else(|| "recipe".to_owned())
    }
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Which list a recipe step stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    First,
    Each,
    Finish,
}

/// What is being checked and what was found.
struct Check<'a> {
    recipe: &'a Recipe,
    found: Vec<BrokenRule>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &Path, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(BrokenRule { path: path.clone(), message: message.into(), help: Some(help.into()) });
    }
}

impl Recipe {
    /// All broken rules; empty if the recipe may run.
    #[must_use]
    pub fn validate(&self) -> Vec<BrokenRule> {
        let found = self.broken_rules();
        if found.is_empty() { self.broken_by_moves() } else { found }
    }

    /// Those that are broken with the variables as the recipe declares them.
    fn broken_rules(&self) -> Vec<BrokenRule> {
        let mut check = Check { recipe: self, found: Vec::new() };
        check.header();
        check.names();
        let mut scope = Scope::default();
        let lists = [("first", Phase::First, &self.first), ("each", Phase::Each, &self.each)];
        for (key, phase, steps) in lists.into_iter().chain([("finish", Phase::Finish, &self.finish)]) {
            if phase == Phase::Each {
                check.controllers(&scope);
            }
            for (index, step) in steps.iter().enumerate() {
                let path = Path::root().key(key).index(index).key(step.verb());
                scope.now = check.generations(step, &path, phase);
                check.step(step, &path, phase, &scope);
                scope.learn(step);
            }
        }
        check.unused_members();
        check.stop();
        check.found
    }
}

impl Check<'_> {
    /// The first generation in which a recipe step runs: 0 of `first`, one after all of `finish`.
    fn generations(&mut self, step: &RecipeStep, path: &Path, phase: Phase) -> u32 {
        let (path, last) = (path.key("generations"), self.recipe.generations);
        let given = step.given_generations();
        match (phase, given) {
            (Phase::Each, None) => 1,
            (Phase::Each, Some(Generations { from, to })) => {
                self.whole(&path.key("from"), from, 1, last);
                if let Some(to) = to {
                    self.whole(&path.key("to"), to, from, last);
                }
                from
            }
            (Phase::First | Phase::Finish, Some(_)) => {
                let message = "it stands in no generation: `first` and `finish` run once";
                self.refuse(&path, message, "leave `generations` out, or move the recipe step to `each`");
                if phase == Phase::First { 0 } else { last }
            }
            (Phase::First, None) => 0,
            (Phase::Finish, None) => last,
        }
    }

    fn step(&mut self, step: &RecipeStep, path: &Path, phase: Phase, scope: &Scope) {
        if phase == Phase::Finish && !matches!(step, RecipeStep::Evaluate(_)) {
            let message = format!("`{}` cannot stand in `finish`: nothing may learn or be selected there", step.verb());
            self.refuse(path, message, "`finish` holds `evaluate` only; move it to `each`");
        }
        match step {
            RecipeStep::Rollout(rollout) => self.rollout(rollout, path, scope),
            RecipeStep::Curate(curate) => self.curate(curate, path, scope),
            RecipeStep::Train(train) => self.train(train, path, scope),
            RecipeStep::Tournament(tournament) => self.tournament(tournament, path, scope),
            RecipeStep::Evaluate(evaluate) => self.evaluate(evaluate, path, phase, scope),
            RecipeStep::Propose(proposals) => self.proposals(proposals, path),
        }
    }
}

#[cfg(test)]
mod tests;
