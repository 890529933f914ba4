//! What the names of a recipe mean at this point of an evolution: members, datasets, start weights.

use super::evolution::{Evolution, StepRun};
use crate::artifact::ArtifactRef;
use crate::ids::{Digest, InvalidId, Name};
use crate::member::{Member, Origin};
use crate::recipe::train::{On, Reference, Source, Start, Train};
use crate::recipe::{Head, Number, Role};

/// Why a recipe step cannot be made of what there is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResolveError {
    #[error("`{0}` is neither `base`, `champion`, a role, nor a member that an earlier train step named")]
    UnknownMember(Name),
    #[error("role `{0}` has no member yet: its head is new, so a train step must come first")]
    Untrained(Name),
    #[error("role `{0}` is not declared under `roles`")]
    UnknownRole(Name),
    #[error("role `{0}` starts from itself: follow `init` from role to role, it must end at `base`")]
    CircularRole(Name),
    #[error("task set `{0}` is not declared under `tasks`")]
    UnknownTasks(Name),
    #[error("no earlier recipe step proposed the tasks `{0}`")]
    Unproposed(Name),
    #[error("no earlier recipe step made a dataset named `{0}`")]
    UnknownDataset(Name),
    #[error("variable `{0}` is not declared under `vars`")]
    UnknownVariable(String),
    #[error("`top_k` is {0}, which is not a whole number")]
    NotWhole(f64),
    #[error("a name of the recipe step cannot be part of an id")]
    BadId(#[source] InvalidId),
    #[error("recipe step {position} of {phase} is not in the recipe")]
    NoSuchStep { phase: super::view::Phase, position: usize },
}

impl ResolveError {
    /// Of a number that has no value.
    pub(super) fn unknown(number: &Number) -> Self {
        match number {
            Number::Variable(name) => Self::UnknownVariable(name.clone()),
            Number::Value(value) => Self::UnknownVariable(value.to_string()),
        }
    }
}

impl Evolution {
    /// The member that everything starts from.
    #[must_use]
    pub fn base(&self) -> Option<&Member> {
        self.members.first()
    }

    pub(super) fn need_base(&self) -> Result<&Member, ResolveError> {
        self.base().ok_or_else(|| ResolveError::UnknownMember(self.recipe.name.clone()))
    }

    pub(super) fn role(&self, name: &Name) -> Result<&Role, ResolveError> {
        self.recipe.roles.get(name).ok_or_else(|| ResolveError::UnknownRole(name.clone()))
    }

    /// The current member of a role: the one that took it, else that of its `init`; a scalar role has none until trained.
    ///
    /// # Errors
    /// The role is unknown, not trained yet, or starts from itself.
    pub fn current(&self, role: &Name) -> Result<&Member, ResolveError> {
        let mut at = role;
        for _ in 0..=self.recipe.roles.len() {
            if let Some(member) = self.champions.get(at).and_then(|id| self.member(id)) {
                return Ok(member);
            }
            let declared = self.role(at)?;
            match declared.head {
                Head::Scalar | Head::Classes(_) => return Err(ResolveError::Untrained(at.clone())),
                Head::Lm => {}
            }
            if declared.init.as_str() == "base" {
                return self.need_base();
            }
            at = &declared.init;
        }
        Err(ResolveError::CircularRole(role.clone()))
    }

    /// The member that a recipe step calls `name`: `base`, `champion` (of the policy role), a role's current member, or the
    /// newest member of a `train` step's `as`.
    ///
    /// # Errors
    /// Nothing has that name, or the role has no member yet.
    pub fn called(&self, name: &Name) -> Result<&Member, ResolveError> {
        match name.as_str() {
            "base" => self.need_base(),
            "champion" => {
                let policy = self.recipe.roles.keys().find(|role| role.as_str() == "policy");
                self.current(policy.ok_or_else(|| ResolveError::UnknownMember(name.clone()))?)
            }
            _ if self.recipe.roles.contains_key(name) => self.current(name),
            _ => {
                let named = self.named.get(name).and_then(|id| self.member(id));
                named.ok_or_else(|| ResolveError::UnknownMember(name.clone()))
            }
        }
    }

    /// The member whose weights a `train` step starts from.
    ///
    /// # Errors
    /// The role or its `init` has no usable member.
    pub fn start_of(&self, train: &Train) -> Result<&Member, ResolveError> {
        let role = self.role(&train.role)?;
        let init = || if role.init.as_str() == "base" { self.need_base() } else { self.current(&role.init) };
        match train.start {
            Start::Continue | Start::ContinueOptimiser => {
                match self.champions.get(&train.role).and_then(|id| self.member(id)) {
                    Some(member) => Ok(member),
                    None => init(),
                }
            }
            Start::Restart => init(),
            Start::Base => self.need_base(),
        }
    }

    /// The optimiser's state that a `train` step goes on with: that of the round that made its start; none if it starts anew, or
    /// from weights that no round made.
    ///
    /// # Errors
    /// As [`Evolution::start_of`].
    pub fn optimiser_of(&self, train: &Train) -> Result<Option<Digest>, ResolveError> {
        if train.start != Start::ContinueOptimiser {
            return Ok(None);
        }
        match &self.start_of(train)?.origin {
            Origin::Trained { optimiser, .. } => Ok(*optimiser),
            Origin::Base { .. } => Ok(None),
        }
    }

    /// The checkpoint that a `train` step's loss and penalties compare with, if they do.
    ///
    /// # Errors
    /// The role that it names has no member.
    pub fn reference_of(&self, train: &Train) -> Result<Option<Digest>, ResolveError> {
        if !train.needs_reference() {
            return Ok(None);
        }
        let member = match &train.reference {
            Reference::Start => self.start_of(train)?,
            Reference::Base => self.need_base()?,
            Reference::Role(role) => self.current(role)?,
        };
        Ok(Some(member.checkpoint))
    }

    /// The recipe steps that made datasets of that name, in order.
    pub fn makers<'a>(&'a self, dataset: &'a Name) -> impl Iterator<Item = (&'a StepRun, &'a [ArtifactRef])> {
        self.steps.iter().filter(move |step| step.name == *dataset).filter_map(|step| {
            let outcome = step.outcome.as_ref()?;
            matches!(step.verb.as_str(), "rollout" | "curate").then_some((step, outcome.dataset.as_slice()))
        })
    }

    /// The table of the tasks that the latest `propose` of that name made.
    ///
    /// # Errors
    /// No recipe step made it yet.
    pub fn proposed(&self, set: &Name) -> Result<&ArtifactRef, ResolveError> {
        let mut made = self.steps.iter().rev().filter(|step| step.name == *set && step.verb == "propose");
        let table = made.find_map(|step| step.outcome.as_ref()?.dataset.first());
        table.ok_or_else(|| ResolveError::Unproposed(set.clone()))
    }

    /// The files of one source of a `train` or `curate` step, in order.
    ///
    /// # Errors
    /// No recipe step made such a dataset yet.
    pub fn files(&self, source: &Source) -> Result<Vec<ArtifactRef>, ResolveError> {
        let (name, all) = match source {
            Source::Latest(name) => (name, false),
            Source::All { all } => (all, true),
        };
        let made: Vec<&[ArtifactRef]> = self.makers(name).map(|(_, files)| files).collect();
        match made.last() {
            None => Err(ResolveError::UnknownDataset(name.clone())),
            Some(_) if all => Ok(made.concat()),
            Some(latest) => Ok(latest.to_vec()),
        }
    }

    /// The tables of the trees that the latest `rollout` of that name searched, in order.
    ///
    /// # Errors
    /// No recipe step made such a dataset yet.
    pub fn trees(&self, dataset: &Name) -> Result<Vec<ArtifactRef>, ResolveError> {
        let latest = self.makers(dataset).last().and_then(|(step, _)| step.outcome.as_ref());
        latest.map(|outcome| outcome.trees.clone()).ok_or_else(|| ResolveError::UnknownDataset(dataset.clone()))
    }

    /// The files that a `train` step reads, in order.
    ///
    /// # Errors
    /// No recipe step made one of the datasets yet.
    pub fn files_of(&self, train: &Train) -> Result<Vec<ArtifactRef>, ResolveError> {
        self.files_on(&train.on)
    }

    /// The files of all sources, in order.
    ///
    /// # Errors
    /// No recipe step made one of the datasets yet.
    pub fn files_on(&self, on: &On) -> Result<Vec<ArtifactRef>, ResolveError> {
        let files: Result<Vec<_>, _> = on.sources().iter().map(|source| self.files(source)).collect();
        Ok(files?.concat())
    }
}
