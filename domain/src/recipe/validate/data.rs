//! Rules about `rollout` and `curate`, and about which tasks a recipe step may read.

use super::propose::DECIDERS;
use super::scope::{Scope, one_of};
use super::{Check, Phase};
use crate::ids::Name;
use crate::recipe::curate::{Curate, From};
use crate::recipe::path::Path;
use crate::recipe::search::{Amount, Rollout};
use crate::recipe::tasks::{Split, TaskSet};
use crate::recipe::tournament::Selection;
use crate::recipe::verify::Verifier;

/// Most samples per task.
pub(super) const MAX_SAMPLES: u32 = 1024;
/// Longest completion.
pub(super) const MAX_TOKENS: u32 = 8192;

impl Check<'_> {
    pub(super) fn rollout(&mut self, rollout: &Rollout, path: &Path, scope: &Scope) {
        if rollout.tasks.is_empty() {
            self.refuse(
                &path.key("tasks"),
                "no tasks are searched",
                "name a task set and how many, for example `{numbers: 200}`",
            );
        }
        for (name, amount) in &rollout.tasks {
            let path = path.key("tasks").key(name);
            match self.recipe.proposals(name) {
                Some(proposals) => self.some_proposed(&path, (name, proposals), *amount, scope),
                None => {
                    if let Some(source) = self.task_set(&path, name) {
                        self.amount(&path, *amount, Split::Train, source.size(Split::Train));
                    }
                }
            }
        }
        self.trust(rollout, path);
        self.searched(rollout, (path, "tasks"), scope);
    }

    /// What searches and verifies; `key` is where its task sets stand.
    pub(super) fn searched(&mut self, rollout: &Rollout, (path, key): (&Path, &str), scope: &Scope) {
        self.lm_role(&path.key("role"), &rollout.role);
        if rollout.verify.is_empty() {
            self.refuse(&path.key("verify"), "nothing verifies the trajectories", "write `verify: [rule]`");
        }
        for (index, verifier) in rollout.verify.iter().enumerate() {
            let path = path.key("verify").index(index);
            self.verifier(verifier, &path, (scope, 1));
            if matches!(verifier, Verifier::JudgePair(_)) && rollout.search.leaves_one() {
                let message = "the search leaves one answer of each task, and nothing to compare it with";
                self.refuse(&path.key("judge_pair"), message, "let the search leave several, or use `judge`");
            }
        }
        self.unanswered(rollout, path);
        if !rollout.verify.is_empty() && !rollout.verify.iter().any(Verifier::decides) {
            let message = "none of these says pass or fail";
            let unanswered = rollout.tasks.keys().any(|name| self.recipe.proposals(name).is_some());
            let help = if unanswered { DECIDERS } else { "add `rule`; the others give their numbers beside it" };
            self.refuse(&path.key("verify"), message, help);
        }
        let asked = rollout.search.roles().into_iter().chain(rollout.verify.iter().flat_map(Verifier::roles));
        self.asked_roles(asked, Some(&rollout.role), path);
        self.tests_are_there(rollout, &path.key(key));
        self.episodes(rollout, (path, key));
        self.search(&rollout.search, rollout.tasks.keys(), &path.key("search"), scope);
    }

    pub(super) fn max_tokens(&mut self, max_tokens: Option<u32>, path: &Path) {
        if let Some(max_tokens) = max_tokens {
            self.whole(&path.key("max_tokens"), max_tokens, 1, MAX_TOKENS);
        }
    }

    pub(super) fn curate(&mut self, curate: &Curate, path: &Path, scope: &Scope) {
        match &curate.from {
            From::Datasets(names) => self.datasets(names, &path.key("from"), scope),
            From::Demonstrations { demonstrations } => {
                let path = path.key("from").key("demonstrations");
                let source = self.task_set(&path, demonstrations);
                if let Some(source) = source.filter(|source| source.size(Split::Demonstrations) == 0) {
                    let help = match source.env() {
                        Some(_) => "an environment has none: name a task set that is answered".to_owned(),
                        None => format!("write `demonstrations: 100` under `tasks.{demonstrations}.builtin`"),
                    };
                    self.refuse(&path, format!("the task set `{demonstrations}` holds no demonstrations"), help);
                }
            }
            From::Questions { questions, seeds } => {
                let path = path.key("from");
                self.asked_like(questions, *seeds, (&path.key("questions"), &path.key("seeds")));
            }
        }
        for (place, operator) in curate.apply.iter().enumerate() {
            let path = path.key("apply").index(place);
            if operator.reads_trees() {
                self.tree_operator(curate, place, &path.key(operator.word()));
            }
            self.operator(operator, &path.key(operator.word()), scope);
        }
    }

    fn datasets(&mut self, names: &[Name], path: &Path, scope: &Scope) {
        match names {
            [] => self.refuse(path, "nothing is read", "name a dataset, or list several"),
            [one] => self.dataset(path, one, scope),
            several => {
                for (index, name) in several.iter().enumerate() {
                    let path = path.index(index);
                    self.dataset(&path, name, scope);
                    if several[..index].contains(name) {
                        let message = format!("`{name}` is read already, and its records would stand there twice");
                        self.refuse(&path, message, "name each dataset once");
                    }
                }
            }
        }
    }

    /// The task set of that name, or a refusal.
    pub(super) fn task_set(&mut self, path: &Path, name: &Name) -> Option<TaskSet> {
        let source = self.recipe.tasks.get(name).cloned();
        if source.is_none() && self.recipe.proposals(name).is_some() {
            let message = format!("the tasks `{name}` are proposed by a role, and nobody knows their answers");
            self.refuse(path, message, "search them by `rollout`; measure and compare on a task set of `tasks`");
        } else if source.is_none() {
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
