//! What a recipe step is made of: a pure function from (evolution so far, phase, position) to jobs or a round. It depends on
//! no worker and no clock, so an interrupted evolution expands as an undisturbed one does.

mod bouts;
mod control;
mod data;
mod evaluate;
mod propose;
mod rollout;
mod spread;

pub(super) use bouts::wave;
pub(super) use control::survey;
pub(super) use evaluate::probes;
pub(super) use propose::ready as proposals;
pub(super) use rollout::resolved_in;
pub(super) use spread::ready as spread;

use super::Limits;
use super::cursor::Place;
use super::evolution::{Contest, Evolution, List, StepRun, Work};
use super::resolve::ResolveError;
use super::view::Phase;
use crate::artifact::ArtifactRef;
use crate::ids::{JobId, Name, RoundId};
use crate::job::{JobKind, JobSpec, TaskSlice};
use crate::recipe::Number;
use crate::recipe::step::RecipeStep;
use crate::recipe::tasks::Split;
use crate::round::RoundSpec;
use crate::seed::Seed;

/// A recipe step about to run.
#[derive(Debug)]
pub(super) struct Expansion {
    pub run: StepRun,
    pub jobs: Vec<JobSpec>,
    pub round: Option<RoundSpec>,
}

/// A place in an evolution where a recipe step runs.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    pub evolution: &'a Evolution,
    pub limits: &'a Limits,
    pub phase: Phase,
    pub name: Name,
}

/// Expands the recipe step or the controller at `place`.
pub(super) fn expand(evolution: &Evolution, limits: &Limits, place: Place) -> Result<Expansion, ResolveError> {
    match place.list {
        List::Steps => step(evolution, limits, place),
        List::Controllers => control::begin(evolution, limits, place),
    }
}

fn step(evolution: &Evolution, limits: &Limits, place: Place) -> Result<Expansion, ResolveError> {
    let Place { phase, list, position } = place;
    let step = match phase {
        Phase::Base => None,
        Phase::First | Phase::Generation(_) | Phase::Finish => {
            Some(evolution.listed(phase).get(position).ok_or(ResolveError::NoSuchStep { phase, position })?)
        }
    };
    let name = step_name(step, position)?;
    let site = Site { evolution, limits, phase, name: name.clone() };
    let verb = step.map_or("base", RecipeStep::verb).to_owned();
    let of_jobs = |jobs: Vec<JobSpec>| (Work::Jobs(ids(&jobs)), jobs, None);
    let (work, jobs, round) = match step {
        None => of_jobs(vec![site.job(0, JobKind::Base(evolution.recipe.base.clone()))?]),
        Some(RecipeStep::Rollout(rollout)) if rollout.search.spread().is_some() => {
            of_jobs(spread::ready(&site, rollout, &|_| None)?)
        }
        Some(RecipeStep::Rollout(rollout)) => of_jobs(rollout::jobs(&site, rollout)?),
        Some(RecipeStep::Propose(proposals)) => of_jobs(propose::ready(&site, proposals, &|_| None)?),
        Some(RecipeStep::Curate(curate)) => of_jobs(vec![data::curate(&site, curate)?]),
        Some(RecipeStep::Evaluate(evaluate)) => of_jobs(evaluate::jobs(&site, evaluate)?),
        Some(RecipeStep::Train(train)) => {
            let round = data::round(&site, train)?;
            (Work::Round(round.id.clone()), Vec::new(), Some(round))
        }
        Some(RecipeStep::Tournament(tournament)) => {
            let [holder, challenger] = &tournament.between;
            let holder = evolution.called(holder)?.id.clone();
            let challenger = evolution.called(challenger)?.id.clone();
            let mut contest = Contest { holder, challenger, jobs: Vec::new() };
            let jobs = wave(&site, tournament, &contest)?;
            contest.jobs = ids(&jobs);
            (Work::Contest(contest), jobs, None)
        }
    };
    let run = StepRun { phase, list, position, name, verb, elapsed_ms: 0, work, outcome: None };
    Ok(Expansion { run, jobs, round })
}

/// `as`, or the verb and its place from 1.
fn step_name(step: Option<&RecipeStep>, position: usize) -> Result<Name, ResolveError> {
    match step {
        None => Name::new("base").map_err(ResolveError::BadId),
        Some(step) => match step.given_name() {
            Some(name) => Ok(name.clone()),
            None => Name::new(format!("{}-{}", step.verb(), position + 1)).map_err(ResolveError::BadId),
        },
    }
}

fn ids(jobs: &[JobSpec]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id.clone()).collect()
}

impl<'a> Site<'a> {
    /// The site of a recipe step that runs.
    pub fn of(evolution: &'a Evolution, limits: &'a Limits, run: &StepRun) -> Self {
        Self { evolution, limits, phase: run.phase, name: run.name.clone() }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.phase, self.name)
    }

    /// The seed of the recipe step's jobs. Workers derive each task's stream from it by set, split and index, so that how
    /// tasks are cut into jobs changes no token.
    fn seed(&self) -> Seed {
        self.evolution.seed.derive(&self.path())
    }

    fn job(&self, index: usize, kind: JobKind) -> Result<JobSpec, ResolveError> {
        let id = JobId::new(format!("{}/{}/{index}", self.evolution.id, self.path())).map_err(ResolveError::BadId)?;
        let time_limit_ms = self.limits.job_time_limit_ms;
        Ok(JobSpec { id, evolution: self.evolution.id.clone(), seed: self.seed(), time_limit_ms, kind })
    }

    fn round_id(&self) -> Result<RoundId, ResolveError> {
        RoundId::new(format!("{}/{}", self.evolution.id, self.path())).map_err(ResolveError::BadId)
    }

    fn number(&self, number: &Number) -> Result<f64, ResolveError> {
        number.resolve(&self.evolution.vars()).ok_or_else(|| ResolveError::unknown(number))
    }

    /// How many tasks a split of a set holds.
    fn available(&self, set: &Name, split: Split) -> Result<u32, ResolveError> {
        match self.evolution.recipe.tasks.get(set) {
            Some(tasks) => Ok(tasks.size(split)),
            None if split == Split::Train => Ok(u32::try_from(self.proposed(set)?.rows).unwrap_or(u32::MAX)),
            None => Ok(0),
        }
    }

    /// The table of proposed tasks.
    fn proposed(&self, set: &Name) -> Result<&'a ArtifactRef, ResolveError> {
        self.evolution.recipe.proposals(set).ok_or_else(|| ResolveError::UnknownTasks(set.clone()))?;
        self.evolution.proposed(set)
    }

    fn slice(&self, set: &Name, split: Split, indices: Vec<u32>) -> Result<TaskSlice, ResolveError> {
        let recipe = &self.evolution.recipe;
        let source = recipe.task_source(set).ok_or_else(|| ResolveError::UnknownTasks(set.clone()))?.clone();
        let proposed = if recipe.tasks.contains_key(set) { None } else { Some(self.proposed(set)?.clone()) };
        Ok(TaskSlice { set: set.clone(), source, split, indices, seed: self.evolution.seed, proposed })
    }
}
