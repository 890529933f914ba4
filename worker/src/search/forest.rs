//! The searches of a job's tasks, driven together: what any of them wants goes to the engine at once and joins what runs there, and
//! an answer goes back to its search as soon as it is there. A slow task holds no other; what a task finds depends on it alone.
//!
//! When a search is done, the recipe's verifiers judge every trajectory that it leaves. `running` is the loop, `decision` what the
//! verifiers' verdicts come to, `inquiry` knows what they were asked, `ending` what is believed of it at the end of the job.

mod decision;
mod ending;
mod inquiry;
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::ids::Name;
use galapagos_domain::job::{FailureClass, Sampling};
use galapagos_domain::recipe::search::{Search, Trust};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Audit, Score, Verdict};
use galapagos_telemetry::SpawnError;

use self::running::Running;
use super::court::{Court, SeatError};
use super::episodes::Episodes;
use super::growth::Standing;
use super::plan::Plan;
use super::referee::Critic;
use super::spread::Portion;
use super::strategy::{Moment, Strategy};
use super::tree::{NodeId, Path, Tree};
use crate::code::{Code, NoCode};
use crate::engine::{CheckpointDir, Codec, EngineError, EngineHandle};
use crate::jobs::meter::Meter;
use crate::jobs::tasks::{Item, Tasks};

/// Everything that the searches of a job need.
#[derive(Debug)]
pub struct Forest<'a> {
    pub engine: &'a EngineHandle,
    pub policy: Arc<CheckpointDir>,
    pub codec: Arc<dyn Codec>,
    pub tasks: &'a Tasks,
    /// Without variables.
    pub search: &'a Search,
    pub verify: &'a [Verifier],
    pub critics: &'a BTreeMap<Name, Critic>,
    /// How far the verifiers are believed.
    pub trust: &'a Trust,
    pub meter: &'a Meter,
    /// Where code of models runs.
    pub code: &'a Arc<Code>,
    pub pace: Pace,
    /// Of each task, where several jobs grow its tree; empty where this one grows all of them.
    pub portions: &'a [Portion],
}

/// When a search may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As soon as its own answers are there.
    #[default]
    Free,
    /// When the answers of all searches are there: what others do, for measuring beside it.
    Lockstep,
}

/// A search between two batches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    pub tree: Tree,
    pub standing: Standing,
    /// What it heard of its evaluators, and nothing else.
    pub heard: Audit,
}

/// Where searches are kept, so that another attempt can go on from there.
pub trait Keeper {
    /// Whether it is time to keep what there is.
    fn due(&mut self) -> bool;

    /// Keeps searches by the place of their task; it has all that were ever handed over, the newest of each task.
    fn keep(&mut self, searches: &BTreeMap<usize, Kept>);
}

/// Keeps nothing: for searches that are cheap to do again.
#[derive(Debug)]
pub struct Nowhere;

impl Keeper for Nowhere {
    fn due(&mut self) -> bool {
        false
    }

    fn keep(&mut self, _: &BTreeMap<usize, Kept>) {}
}

/// What the searches of a job left.
#[derive(Debug, Clone, PartialEq)]
pub struct Harvest {
    /// In the order of the tasks.
    pub searched: Vec<Searched>,
    /// What was seen of the verifiers of trajectories.
    pub audit: Audit,
    pub erring: Erring,
}

/// How many tasks verifiers erred on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erring {
    /// Tasks of which a trajectory's verdict is an error.
    pub tasks: usize,
    /// Tasks in whose searches an evaluator erred, by its name.
    pub evaluators: BTreeMap<String, usize>,
}

/// What the search of one task left.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    pub tree: Tree,
    /// In the order of the extractor.
    pub found: Vec<Found>,
}

/// One trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub node: NodeId,
    pub path: Path,
    pub verdict: Verdict,
    /// Of the verifiers that have numbers, in order.
    pub scores: Vec<Score>,
    /// Steps before the first that is wrong, if that was looked for: all of them if none is.
    pub right_steps: Option<usize>,
}

/// Why searches came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ForestError {
    #[error("the search was cancelled")]
    Cancelled,
    #[error("the engine failed in a search")]
    Engine(#[source] EngineError),
    #[error("cannot check what models wrote")]
    Code(#[source] NoCode),
    #[error("cannot start the threads that check what models wrote")]
    Spawn(#[source] SpawnError),
    #[error("the search `{0}` has numbers that are not known; it must be resolved first")]
    Open(&'static str),
    #[error("the job brought no weights for the role `{0}`, which judges")]
    NoRole(Name),
    #[error("{judge} cannot judge")]
    Judge { judge: String, source: Box<SeatError> },
}

impl ForestError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            // Another worker may have the walls that this one lacks.
            Self::Cancelled | Self::Code(_) | Self::Spawn(_) => FailureClass::Transient,
            Self::Engine(error) => error.class(),
            Self::Open(_) | Self::NoRole(_) | Self::Judge { .. } => FailureClass::Invalid,
        }
    }
}

impl From<EngineError> for ForestError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Cancelled => Self::Cancelled,
            error => Self::Engine(error),
        }
    }
}

impl Forest<'_> {
    /// Opens the language models that judge, and tries them.
    ///
    /// # Errors
    /// [`ForestError`] if one of them cannot judge at all.
    pub fn court(&self) -> Result<Court, ForestError> {
        Court::sit(self)
    }

    /// Searches all tasks, from where `begun` has them.
    ///
    /// # Errors
    /// [`ForestError`]; nothing of any task is left then but what the keeper has.
    pub fn search(
        &self,
        court: &Court,
        begun: BTreeMap<usize, Kept>,
        keeper: &mut dyn Keeper,
    ) -> Result<Harvest, ForestError> {
        Ok(Running::new(self, court, (self.strategies()?, begun), keeper)?.finish()?.0)
    }

    /// Grows trees without taking trajectories from them: of each task, its tree and where its search stands.
    ///
    /// # Errors
    /// As [`Forest::search`].
    pub fn grow(
        &self,
        court: &Court,
        begun: BTreeMap<usize, Kept>,
        keeper: &mut dyn Keeper,
    ) -> Result<Vec<Kept>, ForestError> {
        Running::new(self, court, (self.strategies()?, begun), keeper)?.grow()
    }

    /// [`Forest::search`], telling of each task also what it would have found with fewer tokens.
    ///
    /// # Errors
    /// As [`Forest::search`].
    pub fn measure(&self) -> Result<(Vec<Searched>, Vec<Vec<Moment>>), ForestError> {
        let (court, mut nowhere) = (self.court()?, Nowhere);
        let mut running = Running::new(self, &court, (self.strategies()?, BTreeMap::new()), &mut nowhere)?;
        running.recording = true;
        let (harvest, moments) = running.finish()?;
        Ok((harvest.searched, moments))
    }

    fn strategies(&self) -> Result<Vec<Box<dyn Strategy>>, ForestError> {
        let sampling = Sampling::of(self.search.propose()).ok_or(ForestError::Open(self.search.name()))?;
        let key = Arc::new(self.tasks.key());
        let stage = self.tasks.stage.as_ref();
        let plays = stage.map(|stage| (self.tasks.max_tokens, stage.tokens));
        let ask = stage.map_or("", |stage| stage.world.wording().ask.as_str());
        let plan = Plan::new(self.search, sampling, Arc::clone(&self.codec), key);
        let plan = plan.playing(plays, ask).within(self.portions);
        let strategy = |(place, item): (usize, &Item)| match stage.and_then(|stage| stage.failure(place)) {
            Some(verdict) => Ok(Box::new(Episodes::failed(self.search.propose().n, verdict)) as Box<dyn Strategy>),
            None => plan.strategy(place, item.seed),
        };
        Ok(self.tasks.items.iter().enumerate().map(strategy).collect::<Result<Vec<_>, _>>()?)
    }

    /// Drives one strategy for each task.
    ///
    /// # Errors
    /// As [`Forest::search`].
    pub fn drive(
        &self,
        strategies: Vec<Box<dyn Strategy>>,
        begun: BTreeMap<usize, Kept>,
        keeper: &mut dyn Keeper,
    ) -> Result<Harvest, ForestError> {
        Ok(Running::new(self, &self.court()?, (strategies, begun), keeper)?.finish()?.0)
    }
}
