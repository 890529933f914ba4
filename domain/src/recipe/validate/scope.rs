//! Names: what each recipe step may refer to, which is only what earlier ones named.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Check;
use crate::ids::Name;
use crate::recipe::path::Path;
use crate::recipe::step::RecipeStep;
use crate::recipe::{Head, Recipe};

/// The base weights, as a role's `init` and as a member.
pub(super) const BASE: &str = "base";
/// The policy role's current member.
pub(super) const CHAMPION: &str = "champion";
/// The role that generates.
pub(super) const POLICY: &str = "policy";

/// What the recipe steps so far have made.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The first generation in which the recipe step at hand runs; 0 before all of them.
    pub(super) now: u32,
    /// The first generation that makes each.
    datasets: BTreeMap<Name, u32>,
    /// Proposed tasks by name, and the first generation that makes them.
    proposed: BTreeMap<Name, u32>,
    /// Members by name, with their role, and the first generation that makes them.
    members: BTreeMap<Name, (Name, u32)>,
    /// Roles whose current member was trained, and the first generation that does it.
    trained: BTreeMap<Name, u32>,
}

impl Scope {
    /// Adds what `step` makes, for the first time in generation `now`.
    pub(super) fn learn(&mut self, step: &RecipeStep) {
        let now = self.now;
        match step {
            RecipeStep::Rollout(rollout) => {
                self.datasets.insert(rollout.name.clone(), now);
            }
            RecipeStep::Curate(curate) => {
                self.datasets.insert(curate.name.clone(), now);
            }
            RecipeStep::Train(train) => {
                if let Some(name) = &train.name {
                    self.members.insert(name.clone(), (train.role.clone(), now));
                }
                if train.takes_role() {
                    self.train(&train.role);
                }
            }
            RecipeStep::Tournament(tournament) => {
                self.train(&tournament.promote);
            }
            RecipeStep::Propose(proposals) => {
                self.proposed.insert(proposals.name.clone(), now);
            }
            RecipeStep::Evaluate(_) => {}
        }
    }

    fn train(&mut self, role: &Name) {
        let first = self.trained.entry(role.clone()).or_insert(self.now);
        *first = self.now.min(*first);
    }

    /// The role of a member that a `train` step named.
    pub(super) fn role_of(&self, member: &Name) -> Option<&Name> {
        self.members.get(member).map(|(role, _)| role)
    }

    /// Whether a role's current member was trained by an earlier recipe step.
    pub(super) fn is_trained(&self, role: &Name) -> bool {
        self.trained.get(role).is_some_and(|first| *first <= self.now)
    }
}

impl Check<'_> {
    /// Every `as` is unique and clashes with no role or reserved word.
    pub(super) fn names(&mut self) {
        let recipe = self.recipe;
        let mut seen: BTreeMap<&Name, Path> = BTreeMap::new();
        let steps = located_steps(recipe).map(|(path, step)| (path, step.given_name()));
        let controllers = recipe.controllers.iter().enumerate().map(|(index, controller)| {
            (Path::root().key("controllers").index(index).key(controller.word()), controller.given_name())
        });
        for (path, name) in steps.chain(controllers) {
            let Some(name) = name else { continue };
            let here = path.key("as");
            if let Some(first) = seen.get(name) {
                self.refuse(
                    &here,
                    format!("the name `{name}` is taken by {first}"),
                    "give each recipe step its own name",
                );
            }
            if recipe.tasks.contains_key(name) && recipe.proposals(name).is_some() {
                let message = format!("a task set is named `{name}` already");
                self.refuse(&here, message, "give the proposed tasks another name");
            }
            if [BASE, CHAMPION].contains(&name.as_str()) || recipe.roles.contains_key(name) {
                self.refuse(
                    &here,
                    format!("`{name}` is a role or a reserved name"),
                    "give the recipe step another name",
                );
            }
            if name.as_str().contains('/') || looks_unnamed(name) {
                let help = "use letters, digits, `.`, `_` and `-`; VERB-NUMBER is kept for unnamed recipe steps";
                self.refuse(&here, format!("`{name}` cannot name a recipe step"), help);
            }
            seen.insert(name, path);
        }
    }

    /// Refuses a member that is trained, takes no role and is read by no recipe step: whoever wrote it thinks that it is in use.
    pub(super) fn unused_members(&mut self) {
        let recipe = self.recipe;
        let steps: Vec<_> = located_steps(recipe).collect();
        for (path, step) in &steps {
            let RecipeStep::Train(train) = step else { continue };
            let Some(name) = train.name.as_ref().filter(|_| !train.takes_role()) else { continue };
            if !steps.iter().any(|(_, step)| reads(step, name)) {
                let message =
                    format!("`{name}` is trained, and nothing uses it: it takes the role `{}` nowhere", train.role);
                let help = format!(
                    "say `promote: true` if it takes its role at once, or name it in a `tournament` or in an `evaluate`'s `members`; leave the training out if `{name}` is not wanted"
                );
                self.refuse(&path.key("as"), message, help);
            }
        }
    }

    /// Refuses a dataset that no earlier recipe step made.
    pub(super) fn dataset(&mut self, path: &Path, name: &Name, scope: &Scope) {
        if let Some(first) = scope.datasets.get(name) {
            return self.made(path, (name, *first), scope);
        }
        let later = located_steps(self.recipe).find(|(_, step)| step.given_name() == Some(name));
        let message = match later {
            Some((
                _,
                step @ (RecipeStep::Train(_)
                | RecipeStep::Tournament(_)
                | RecipeStep::Evaluate(_)
                | RecipeStep::Propose(_)),
            )) => {
                format!("`{name}` is made by `{}` and is not a dataset", step.verb())
            }
            Some((later, RecipeStep::Rollout(_) | RecipeStep::Curate(_))) => {
                format!("the dataset `{name}` is made only later, by {later}")
            }
            None => format!("no dataset is named `{name}`"),
        };
        let known: Vec<_> = scope.datasets.keys().map(Name::as_str).collect();
        self.refuse(path, message, one_of("datasets made before this recipe step", &known));
    }

    /// Refuses proposed tasks that no earlier recipe step made.
    pub(super) fn tasks_made(&mut self, path: &Path, name: &Name, scope: &Scope) {
        match scope.proposed.get(name) {
            Some(first) => self.made(path, (name, *first), scope),
            None => {
                let message = format!("the tasks `{name}` are proposed only later");
                self.refuse(path, message, "put the `propose` before this recipe step");
            }
        }
    }

    /// Refuses what is made for the first time in a generation after the first in which it is read.
    fn made(&mut self, path: &Path, (name, first): (&Name, u32), scope: &Scope) {
        if first > scope.now {
            let message =
                format!("`{name}` is first made in generation {first}, and read from generation {} on", scope.now);
            self.refuse(path, message, "let both run from the same generation on, by their `generations`");
        }
    }

    /// Refuses a named member that is first made after it is read.
    pub(super) fn member_made(&mut self, path: &Path, name: &Name, scope: &Scope) {
        if let Some((_, first)) = scope.members.get(name) {
            self.made(path, (name, *first), scope);
        }
    }

    /// The head of a role, or a refusal.
    pub(super) fn role(&mut self, path: &Path, name: &Name) -> Option<Head> {
        let head = self.recipe.roles.get(name).map(|role| role.head);
        if head.is_none() {
            let known: Vec<_> = self.recipe.roles.keys().map(Name::as_str).collect();
            self.refuse(path, format!("no role is named `{name}`"), one_of("roles", &known));
        }
        head
    }

    /// A role that must be able to generate text.
    pub(super) fn lm_role(&mut self, path: &Path, name: &Name) {
        if let Some(head) = self.role(path, name).filter(|head| *head != Head::Lm) {
            let message = format!("the role `{name}` has a {head} head and cannot generate");
            self.refuse(path, message, "name a role with `head: lm`");
        }
    }

    /// A member that must be able to generate text: `base`, `champion`, a role or a trained member.
    pub(super) fn lm_member(&mut self, path: &Path, name: &Name, scope: &Scope) {
        if [BASE, CHAMPION].contains(&name.as_str()) {
            return;
        }
        if let Some((role, first)) = scope.members.get(name).cloned() {
            self.made(path, (name, first), scope);
            return self.lm_role(path, &role);
        }
        if self.recipe.roles.contains_key(name) {
            return self.lm_role(path, name);
        }
        let mut known = vec![BASE, CHAMPION];
        known.extend(self.recipe.roles.keys().chain(scope.members.keys()).map(Name::as_str));
        self.refuse(path, format!("no member is named `{name}` here"), one_of("members so far", &known));
    }
}

/// All recipe steps with their places.
fn located_steps(recipe: &Recipe) -> impl Iterator<Item = (Path, &RecipeStep)> {
    let lists = [("first", &recipe.first), ("each", &recipe.each), ("finish", &recipe.finish)];
    lists.into_iter().flat_map(|(key, steps)| {
        let list = Path::root().key(key);
        steps.iter().enumerate().map(move |(i, step)| (list.index(i).key(step.verb()), step))
    })
}

/// Whether a recipe step has `name` anywhere but as its own.
fn reads(step: &RecipeStep, name: &Name) -> bool {
    fn holds(value: &Value, name: &str) -> bool {
        match value {
            Value::String(text) => text == name,
            Value::Array(items) => items.iter().any(|item| holds(item, name)),
            Value::Object(fields) => {
                fields.iter().any(|(key, value)| key != "as" && (key == name || holds(value, name)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    serde_json::to_value(step).is_ok_and(|value| holds(&value, name.as_str()))
}

fn looks_unnamed(name: &Name) -> bool {
    let verbs = ["rollout", "curate", "train", "tournament", "evaluate", "propose", "control"];
    name.as_str().split_once('-').is_some_and(|(verb, rest)| {
        verbs.contains(&verb) && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit())
    })
}

/// A list of what would have been right.
pub(super) fn one_of(what: &str, known: &[&str]) -> String {
    if known.is_empty() { format!("there are no {what}") } else { format!("{what}: {}", known.join(", ")) }
}
