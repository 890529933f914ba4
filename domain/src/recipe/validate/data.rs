//! Rules about `rollout` and `curate`, and about which tasks a recipe step may read.

use super::scope::{Scope, one_of};
use super::{Check, Phase};
use crate::ids::Name;
use crate::recipe::curate::{Curate, From, Operator};
use crate::recipe::path::Path;
use crate::recipe::search::{Amount, Rollout, Search};
use crate::recipe::tasks::{Builtin, Split};
use crate::recipe::tournament::Selection;

/// Most samples per task.
pub(super) const MAX_SAMPLES: u32 = 1024;
/// Longest completion.
const MAX_TOKENS: u32 = 8192;

impl Check<'_> {
    pub(super) fn rollout(&mut self, rollout: &Rollout, path: &Path) {
        self.lm_role(&path.key("role"), &rollout.role);
        if rollout.tasks.is_empty() {
            self.refuse(
                &path.key("tasks"),
                "no tasks are searched",
                "name a task set and how many, for example `{numbers: 200}`",
            );
        }
        for (name, amount) in &rollout.tasks {
            let path = path.key("tasks").key(name);
            if let Some(source) = self.task_set(&path, name) {
                self.amount(&path, *amount, Split::Train, source.train);
            }
        }
        if rollout.verify.is_empty() {
            self.refuse(&path.key("verify"), "nothing verifies the trajectories", "write `verify: [rule]`");
        }
        match &rollout.search {
            Search::SampleK(sample) => {
                let path = path.key("search").key("sample_k");
                self.whole(&path.key("n"), sample.n, 1, MAX_SAMPLES);
                self.temperature(&path.key("temperature"), &sample.temperature);
                if sample.n > 1 && sample.temperature.resolve(&self.recipe.vars) == Some(0.0) {
                    let message = format!("at temperature 0 all {} samples of a task are the same", sample.n);
                    self.refuse(&path.key("temperature"), message, "use `n: 1`, or a temperature above 0");
                }
                if let Some(top_p) = self.number(&path.key("top_p"), &sample.top_p)
                    && !(top_p > 0.0 && top_p <= 1.0)
                {
                    let help = "use a number greater than 0 and at most 1; 1 keeps all";
                    self.refuse(&path.key("top_p"), format!("{top_p} is out of range"), help);
                }
                self.max_tokens(sample.max_tokens, &path);
                self.cuts(sample, &path);
                if let Some(guide) = &sample.guide {
                    self.guide(guide, &path.key("guide"), rollout.tasks.keys());
                }
            }
        }
    }

    pub(super) fn max_tokens(&mut self, max_tokens: Option<u32>, path: &Path) {
        if let Some(max_tokens) = max_tokens {
            self.whole(&path.key("max_tokens"), max_tokens, 1, MAX_TOKENS);
        }
    }

    pub(super) fn curate(&mut self, curate: &Curate, path: &Path, scope: &Scope) {
        match &curate.from {
            From::Dataset(name) => self.dataset(&path.key("from"), name, scope),
            From::Demonstrations { demonstrations } => {
                let path = path.key("from").key("demonstrations");
                if self.task_set(&path, demonstrations).is_some_and(|source| source.demonstrations == 0) {
                    let help = format!("write `demonstrations: 100` under `tasks.{demonstrations}.builtin`");
                    self.refuse(&path, format!("the task set `{demonstrations}` holds no demonstrations"), help);
                }
            }
        }
        for (i, operator) in curate.apply.iter().enumerate() {
            let path = path.key("apply").index(i);
            match operator {
                Operator::Cap { max, .. } => self.whole(&path.key("cap").key("max"), *max, 1, u32::MAX),
                Operator::Subsample { n } => self.whole(&path.key("subsample").key("n"), *n, 1, u32::MAX),
                Operator::Keep { .. } | Operator::Dedupe | Operator::Balance(_) | Operator::Shuffle(_) => {}
            }
        }
    }

    /// The task set of that name, or a refusal.
    pub(super) fn task_set(&mut self, path: &Path, name: &Name) -> Option<Builtin> {
        let source = self.recipe.tasks.get(name).map(|set| set.builtin().clone());
        if source.is_none() {
            let known: Vec<_> = self.recipe.tasks.keys().map(Name::as_str).collect();
            self.refuse(path, format!("no task set is named `{name}`"), one_of("task sets", &known));
        }
        source
    }

    /// Tasks that a gate or a metric reads. The test split is sealed until `finish`.
    pub(super) fn selection(&mut self, path: &Path, name: &Name, selection: Selection, phase: Phase) {
        let Some(source) = self.task_set(path, name) else { return };
        if selection.split == Split::Test && phase != Phase::Finish {
            let message = "the test split is sealed: only `evaluate` in `finish` may read it";
            self.refuse(&path.key("split"), message, "use `val` here");
        }
        let available = source.size(selection.split);
        self.amount(&path.key("n"), selection.n, selection.split, available);
    }

    fn amount(&mut self, path: &Path, amount: Amount, split: Split, available: u32) {
        let asked = match amount {
            Amount::Count(count) => count,
            Amount::All(_) => available,
        };
        if available == 0 {
            self.refuse(path, format!("the {split} split holds no tasks"), "give the split a size under `tasks`");
        } else if asked == 0 {
            self.refuse(path, "no tasks are asked for", format!("use 1 to {available}, or `all`"));
        } else if asked > available {
            let message = format!("{asked} tasks are asked for; the {split} split holds {available}");
            self.refuse(path, message, format!("use at most {available}, or make the split larger under `tasks`"));
        }
    }
}
