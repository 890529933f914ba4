//! Rules about `controllers`: that what they measure is held out, that what they move is declared, read by someone and seen by their
//! metric, and that every value of a grid would be allowed if it stood in the recipe.

use std::collections::BTreeMap;

use super::data::MAX_SAMPLES;
use super::scope::{Scope, one_of};
use super::{BrokenRule, Check, Phase};
use crate::ids::Name;
use crate::recipe::Recipe;
use crate::recipe::controller::{Controller, GridArgmax, Metric, Range};
use crate::recipe::curate::Measure;
use crate::recipe::path::Path;
use crate::recipe::tasks::Split;
use crate::recipe::verify::Verifier;

/// Most points of one grid.
const MAX_POINTS: u64 = 10_000;

fn place(index: usize, controller: &Controller) -> Path {
    Path::root().key("controllers").index(index).key(controller.word())
}

impl Recipe {
    /// The rules that would be broken if a moved variable had another value of its grid: the first, the second or the last one. All of
    /// them hold for a range of values, or for the whole ones.
    pub(super) fn broken_by_moves(&self) -> Vec<BrokenRule> {
        let mut found = Vec::new();
        for (index, controller) in self.controllers.iter().enumerate() {
            let Controller::GridArgmax(grid) = controller;
            for (name, range) in &grid.moves {
                let values = range.values();
                let tried = values.iter().take(2).chain(values.last());
                let broken = tried.copied().find_map(|value| Some((value, self.broken_at(name, value)?)));
                if let Some((value, rule)) = broken {
                    let message = format!("it cannot be {value}: {rule}");
                    let path = place(index, controller).key("moves").key(name);
                    found.push(BrokenRule { path, message, help: rule.help });
                }
            }
        }
        found
    }

    fn broken_at(&self, name: &Name, value: f64) -> Option<BrokenRule> {
        let mut there = self.clone();
        there.vars.insert(name.clone(), value);
        there.broken_rules().into_iter().next()
    }
}

impl Check<'_> {
    /// All controllers; `scope` is what there is before the first generation.
    pub(super) fn controllers(&mut self, scope: &Scope) {
        let recipe = self.recipe;
        let mut movers: BTreeMap<&Name, Path> = BTreeMap::new();
        for (index, controller) in recipe.controllers.iter().enumerate() {
            let path = place(index, controller);
            let Controller::GridArgmax(grid) = controller;
            self.grid_argmax(grid, &path, scope);
            for name in grid.moves.keys() {
                let moves = path.key("moves").key(name);
                if let Some(other) = movers.get(name) {
                    let message = format!("`{name}` is moved by {other} already");
                    self.refuse(&moves, message, "let one controller move it");
                }
                movers.insert(name, path.clone());
            }
        }
    }

    fn grid_argmax(&mut self, grid: &GridArgmax, path: &Path, scope: &Scope) {
        self.held_out(grid, &path.key("on"));
        let name = grid.name.clone().unwrap_or_else(|| grid.role.clone());
        self.searched(&grid.rollout(name), (path, "on"), scope);
        self.without_greedy(&grid.search, &path.key("search"));
        if grid.search.spread().is_some() {
            let message = "a controller searches each task in one job";
            self.refuse(&path.key("search").key("mcts").key("spread"), message, "leave `spread` out");
        }
        self.whole(&path.key("every"), grid.every, 1, 10_000);
        self.number_is_there(grid, &path.key("by"));
        if let Some(filter) = &grid.filter {
            let path = path.key("filter");
            if filter.each().iter().all(|(_, bound)| bound.is_none()) {
                self.refuse(&path, "no bound is given", "add `above`, `at_least`, `below` or `at_most`");
            }
            for (word, bound) in filter.each() {
                if let Some(value) = bound.and_then(|bound| self.number(&path.key(word), bound)) {
                    self.between(&path.key(word), value, -f64::MAX, f64::MAX);
                }
            }
        }
        self.grid_metric(grid, path);
        self.moves(grid, &path.key("moves"));
    }

    /// Tasks that nothing learns from.
    fn held_out(&mut self, grid: &GridArgmax, path: &Path) {
        if grid.on.is_empty() {
            self.refuse(
                path,
                "no tasks are measured",
                "name a task set, for example `{numbers: {split: val, n: 100}}`",
            );
        }
        for (name, selection) in &grid.on {
            let path = path.key(name);
            self.selection(&path, name, *selection, Phase::Each);
            if matches!(selection.split, Split::Train | Split::Demonstrations) {
                let message =
                    format!("on the {} split a controller would follow what was learnt by heart", selection.split);
                self.refuse(&path.key("split"), message, "use `val`");
            }
        }
    }

    /// A score must be one that some verifier here gives.
    fn number_is_there(&mut self, grid: &GridArgmax, path: &Path) {
        let Measure::Score(wanted) = &grid.by else { return };
        let named = wanted.split('/').next().unwrap_or_default();
        let given: Vec<&str> = grid.verify.iter().map(Verifier::name).collect();
        if !given.contains(&named) {
            let message = format!("no verifier of this controller is called `{wanted}`");
            self.refuse(&path.key("score"), message, one_of("its verifiers", &given));
        }
    }

    fn grid_metric(&mut self, grid: &GridArgmax, path: &Path) {
        let metric = path.key("metric");
        match grid.metric {
            Metric::BalanceScore(balance) => {
                self.whole(&metric.key("balance_score").key("n_star"), balance.n_star, 1, MAX_SAMPLES);
            }
            Metric::RewardPass(rank) => self.whole(&metric.key("reward_pass").key("top"), rank.top, 1, MAX_SAMPLES),
            Metric::PassAt(k) => {
                let most = grid.search.trajectories().and_then(|most| u32::try_from(most).ok()).unwrap_or(MAX_SAMPLES);
                self.whole(&metric.key("pass_at"), k, 1, most);
                if grid.filter.is_some() {
                    let message = "`pass_at` looks at all samples, so a filter changes nothing";
                    self.refuse(&path.key("filter"), message, "leave it out, or use `balance_score` or `reward_pass`");
                }
            }
            Metric::Random => {}
        }
    }

    fn moves(&mut self, grid: &GridArgmax, path: &Path) {
        if grid.moves.is_empty() {
            let help = "name a variable and its values, for example `{temperature: {from: 0.5, to: 1.2, step: 0.1}}`";
            self.refuse(path, "nothing is moved", help);
        }
        let recipe = self.recipe;
        for (name, range) in &grid.moves {
            let path = path.key(name);
            self.range(range, &path);
            if !recipe.vars.contains_key(name) {
                let known: Vec<&str> = recipe.vars.keys().map(Name::as_str).collect();
                let message = format!("the variable `{name}` is not declared");
                self.refuse(&path, message, one_of("declared under `vars`", &known));
                continue;
            }
            if !recipe.each.iter().chain(&recipe.finish).any(|step| step.reads(name, &recipe.vars)) {
                let message =
                    format!("no recipe step of `each` or `finish` reads `${name}`, so moving it changes nothing");
                self.refuse(&path, message, format!("write `${name}` where it counts, or do not move it"));
            }
            let seen = grid.filter.as_ref().is_some_and(|filter| filter.reads(name));
            if !seen && !grid.search.reads(name, &recipe.vars) {
                let message = format!(
                    "neither this controller's `search` nor its `filter` reads `${name}`: all its values would be alike"
                );
                self.refuse(
                    &path,
                    message,
                    format!("write `${name}` there as the recipe steps have it, or do not move it"),
                );
            }
        }
        if grid.points() > MAX_POINTS {
            let message = format!("the grid has {} points", grid.points());
            self.refuse(path, message, format!("use larger steps: at most {MAX_POINTS}"));
        }
    }

    fn range(&mut self, range: &Range, path: &Path) {
        for (key, value) in [("from", range.from), ("to", range.to)] {
            self.between(&path.key(key), value, -1.0e9, 1.0e9);
        }
        if !(range.step > 0.0 && range.step.is_finite()) {
            self.refuse(&path.key("step"), format!("{} is no step", range.step), "use a number greater than 0");
        } else if range.count() == 0 {
            let message = format!("there is no value from {} to {}", range.from, range.to);
            self.refuse(path, message, "let `from` be at most `to`");
        }
    }
}
