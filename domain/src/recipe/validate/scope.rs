//! Names: what each recipe step may refer to, which is only what earlier ones named.

use std::collections::{BTreeMap, BTreeSet};

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
    datasets: BTreeSet<Name>,
    /// Members by name, with their role.
    members: BTreeMap<Name, Name>,
    /// Roles whose current member was trained.
    trained: BTreeSet<Name>,
}

impl Scope {
    /// Adds what `step` makes.
    pub(super) fn learn(&mut self, step: &RecipeStep) {
        match step {
            RecipeStep::Rollout(rollout) => {
                self.datasets.insert(rollout.name.clone());
            }
            RecipeStep::Curate(curate) => {
                self.datasets.insert(curate.name.clone());
            }
            RecipeStep::Train(train) => {
                if let Some(name) = &train.name {
                    self.members.insert(name.clone(), train.role.clone());
                }
                if train.takes_role() {
                    self.trained.insert(train.role.clone());
                }
            }
            RecipeStep::Tournament(tournament) => {
                self.trained.insert(tournament.promote.clone());
            }
            RecipeStep::Evaluate(_) => {}
        }
    }

    /// The role of a member that a `train` step named.
    pub(super) fn role_of(&self, member: &Name) -> Option<&Name> {
        self.members.get(member)
    }

    /// Whether a role's current member was trained by an earlier recipe step.
    pub(super) fn is_trained(&self, role: &Name) -> bool {
        self.trained.contains(role)
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

    /// Refuses a dataset that no earlier recipe step made.
    pub(super) fn dataset(&mut self, path: &Path, name: &Name, scope: &Scope) {
        if scope.datasets.contains(name) {
            return;
        }
        let later = located_steps(self.recipe).find(|(_, step)| step.given_name() == Some(name));
        let message = match later {
            Some((_, step @ (RecipeStep::Train(_) | RecipeStep::Tournament(_) | RecipeStep::Evaluate(_)))) => {
                format!("`{name}` is made by `{}` and is not a dataset", step.verb())
            }
            Some((later, RecipeStep::Rollout(_) | RecipeStep::Curate(_))) => {
                format!("the dataset `{name}` is made only later, by {later}")
            }
            None => format!("no dataset is named `{name}`"),
        };
        let known: Vec<_> = scope.datasets.iter().map(Name::as_str).collect();
        self.refuse(path, message, one_of("datasets made before this recipe step", &known));
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
        if let Some(role) = scope.role_of(name).cloned() {
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

fn looks_unnamed(name: &Name) -> bool {
    let verbs = ["rollout", "curate", "train", "tournament", "evaluate", "control"];
    name.as_str().split_once('-').is_some_and(|(verb, rest)| {
        verbs.contains(&verb) && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit())
    })
}

/// A list of what would have been right.
pub(super) fn one_of(what: &str, known: &[&str]) -> String {
    if known.is_empty() { format!("there are no {what}") } else { format!("{what}: {}", known.join(", ")) }
}
