//! An evolution: what was asked for, how far it came, and what it made. One recipe step runs at a time.
//!
//! ```text
//!   Running ⇄ Paused
//!   Running, Paused ──▶ Done | Failed | Cancelled
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::view::{Phase, Status, Summary};
use crate::artifact::ArtifactRef;
use crate::ids::{Digest, EvolutionId, JobId, MemberId, Name, RoundId};
use crate::member::Member;
use crate::recipe::Recipe;
use crate::recipe::controller::Controller;
use crate::recipe::step::RecipeStep;
use crate::seed::Seed;

/// One submitted evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evolution {
    pub id: EvolutionId,
    /// Order of submission: of those that are equal otherwise, older evolutions get slots first.
    pub number: u64,
    pub recipe: Recipe,
    /// Of the filled-in recipe.
    pub recipe_digest: Digest,
    pub seed: Seed,
    pub status: Status,
    /// Why it failed, outermost cause first; empty otherwise.
    pub failure: Vec<String>,
    /// Why it stopped before its last generation.
    pub stopped: Option<String>,
    /// Every recipe step started so far, in order; only the last one may be running.
    pub steps: Vec<StepRun>,
    /// In order of birth.
    pub members: Vec<Member>,
    /// The members that hold roles by a commit or a promotion.
    pub champions: BTreeMap<Name, MemberId>,
    /// The newest member of each `as` of a `train`.
    pub named: BTreeMap<Name, MemberId>,
    /// The variables that controllers moved, as they are now.
    #[serde(default)]
    pub moved: BTreeMap<Name, f64>,
    /// Attempts and round tries that were lost or failed and were repeated.
    pub retries: u64,
}

/// One recipe step in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    pub phase: Phase,
    /// Which list `position` counts in.
    #[serde(default)]
    pub list: List,
    /// Place in its list, from 0.
    pub position: usize,
    /// `as`, or the verb and its place from 1.
    pub name: Name,
    pub verb: String,
    /// Time spent, as of the latest write.
    pub elapsed_ms: u64,
    pub work: Work,
    /// Set when the recipe step is done.
    pub outcome: Option<Outcome>,
}

/// A list of the recipe in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// The phase's recipe steps.
    #[default]
    Steps,
    /// The controllers, before the recipe steps of a generation.
    Controllers,
}

/// What a recipe step is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Jobs in order of their index.
    Jobs(Vec<JobId>),
    Round(RoundId),
    Contest(Contest),
}

/// A tournament: bouts in order of dispatch, more of them wave by wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    pub holder: MemberId,
    pub challenger: MemberId,
    pub jobs: Vec<JobId>,
}

impl Work {
    /// The jobs in order of their index.
    #[must_use]
    pub fn jobs(&self) -> &[JobId] {
        match self {
            Self::Jobs(jobs) => jobs,
            Self::Round(_) => &[],
            Self::Contest(contest) => &contest.jobs,
        }
    }

    /// The round, if it is one.
    #[must_use]
    pub fn round(&self) -> Option<&RoundId> {
        match self {
            Self::Round(round) => Some(round),
            Self::Jobs(_) | Self::Contest(_) => None,
        }
    }
}

/// What a finished recipe step left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub summary: Summary,
    /// The dataset's files in order, for recipe steps that make one.
    pub dataset: Vec<ArtifactRef>,
    /// The tables of the trees that a `rollout` searched, in order.
    #[serde(default)]
    pub trees: Vec<ArtifactRef>,
    /// Units of work done; see [`super::view::StepView::progress`].
    pub units: u64,
    pub tokens: u64,
}

impl StepRun {
    /// `g2/samples`: the part of ids and the label of seeds.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.phase, self.name)
    }
}

impl Evolution {
    /// A submitted evolution before its first recipe step.
    #[must_use]
    pub fn new(id: EvolutionId, number: u64, recipe: Recipe, seed: Seed) -> Self {
        Self {
            id,
            number,
            recipe_digest: recipe.digest(),
            recipe,
            seed,
            status: Status::Running,
            failure: Vec::new(),
            stopped: None,
            steps: Vec::new(),
            members: Vec::new(),
            champions: BTreeMap::new(),
            named: BTreeMap::new(),
            moved: BTreeMap::new(),
            retries: 0,
        }
    }

    /// The recipe step under way.
    #[must_use]
    pub fn running_step(&self) -> Option<&StepRun> {
        self.steps.last().filter(|step| step.outcome.is_none())
    }

    /// The recipe's list for a phase; the base phase has none.
    #[must_use]
    pub fn listed(&self, phase: Phase) -> &[RecipeStep] {
        match phase {
            Phase::Base => &[],
            Phase::First => &self.recipe.first,
            Phase::Generation(_) => &self.recipe.each,
            Phase::Finish => &self.recipe.finish,
        }
    }

    /// The recipe step behind a run; `None` for the base phase and for controllers.
    #[must_use]
    pub fn recipe_step(&self, run: &StepRun) -> Option<&RecipeStep> {
        match run.list {
            List::Steps => self.listed(run.phase).get(run.position),
            List::Controllers => None,
        }
    }

    /// The controller behind a run, if it is one.
    #[must_use]
    pub fn controller(&self, run: &StepRun) -> Option<&Controller> {
        match run.list {
            List::Steps => None,
            List::Controllers => self.recipe.controllers.get(run.position),
        }
    }

    /// The variables as they are now: those of the recipe, where no controller moved them.
    #[must_use]
    pub fn vars(&self) -> BTreeMap<Name, f64> {
        let mut vars = self.recipe.vars.clone();
        vars.extend(self.moved.iter().map(|(name, value)| (name.clone(), *value)));
        vars
    }

    /// The member of that id.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    pub(super) fn member_mut(&mut self, id: &MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }
}
