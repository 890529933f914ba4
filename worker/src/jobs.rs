//! Runs one attempt of a job to its output. A job's output is a function of its spec alone: every task draws from a seed
//! named by what it is, so it does not matter with which others, where or how often it runs.
//!
//! Attempts run on threads of their own and may block; nothing here talks to the coordinator.

mod asking;
mod base;
mod bout;
mod curate;
#[cfg(test)]
mod dataset_tests;
mod estimators;
mod evaluate;
mod grow;
mod hindsight;
#[cfg(test)]
mod judging_tests;
mod kept;
mod measure;
pub mod meter;
mod played;
mod progress;
mod propose;
mod rollout;
mod scene;
pub mod stage;
mod sweep;
pub mod tasks;
#[cfg(test)]
mod test_bench;

use std::path::PathBuf;
use std::sync::Arc;

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{FailureClass, JobKind, JobOutput, JobSpec};
use galapagos_domain::task::TaskError;
use galapagos_domain::task::proposed::Formless;

use crate::checkpoints::Checkpoints;
use crate::code::Code;
use crate::engine::{EngineError, EngineHandle};
use crate::env::EnvError;
use crate::operators::OperatorError;
use crate::search::ForestError;
pub use grow::GrownError;
pub use kept::KeptError;
use meter::Meter;

/// How often searches under way are kept, unless told otherwise: what a lost attempt costs at most, twice over.
pub const KEEP_EVERY_MS: u64 = 3_000;

/// What attempts work with; cheap to clone.
#[derive(Debug, Clone)]
pub struct Workshop {
    pub store: ArtifactStore,
    pub checkpoints: Checkpoints,
    pub engine: EngineHandle,
    /// Where base models lie by name.
    pub models: PathBuf,
    /// The base on which adapters stand that a recipe names as its base model.
    pub engine_base: Option<PathBuf>,
    /// Where code of models runs.
    pub code: Arc<Code>,
    /// How often searches under way are kept, in milliseconds.
    pub keep_every_ms: u64,
    /// Runs the artifact store's futures; attempts block on it from their own threads.
    pub runtime: tokio::runtime::Handle,
}

impl Workshop {
    /// Where the rows of data sets are.
    #[must_use]
    pub fn shelf(&self) -> tasks::Shelf<'_> {
        tasks::Shelf::Store(&self.store, &self.runtime)
    }
}

/// Runs the attempt to its end; blocks.
///
/// # Errors
/// [`JobError`]; its class says whether another attempt may help.
pub fn run(shop: &Workshop, job: &JobSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    match &job.kind {
        JobKind::Base(base) => base::run(shop, base, job.seed),
        JobKind::Rollout(spec) => rollout::run(shop, job, spec, meter),
        JobKind::Grow(spec) => grow::run(shop, job, spec, meter),
        JobKind::Curate(spec) => curate::run(shop, job, spec, meter),
        JobKind::Bout(spec) => bout::run(shop, job, spec, meter),
        JobKind::Evaluate(spec) => evaluate::run(shop, job, spec, meter),
        JobKind::Measure(spec) => measure::run(shop, job, spec, meter),
        JobKind::Sweep(spec) => sweep::run(shop, job, spec, meter),
        JobKind::Propose(spec) => propose::run(shop, job, spec, meter),
    }
}

/// Why an attempt gave no output.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("the attempt was cancelled")]
    Cancelled,
    #[error("cannot {what}")]
    Store { what: &'static str, source: Box<galapagos_artifacts::Error> },
    #[error("cannot bring checkpoint {checkpoint} to this machine")]
    Checkpoint { checkpoint: Digest, source: Box<galapagos_artifacts::Error> },
    #[error("cannot {what}")]
    Engine { what: &'static str, source: EngineError },
    #[error(
        "the rows of the tasks `{set}` were not stored; submit the recipe with `galapagos run` or `galapagos submit`"
    )]
    NotRead { set: String },
    #[error("the stored rows of the tasks `{set}` are damaged")]
    Rows { set: String, source: galapagos_domain::task::dataset::Damaged },
    #[error(
        "the model has no token that ends a text, and the tasks `{set}` end by nothing else; \
         write a character as their `end`"
    )]
    NoEnd { set: String },
    #[error("no questions like those of `{set}` can be proposed")]
    Formless { set: String, source: Formless },
    #[error("cannot generate the tasks of `{set}`")]
    Tasks { set: String, source: TaskError },
    #[error(
        "there is no base model `{name}`: {} is not a folder; put a Hugging Face folder there, or name one by its path",
        looked.display()
    )]
    NoModel { name: String, looked: PathBuf },
    #[error("cannot make a folder for the new model in {}", path.display())]
    Scratch { path: PathBuf, source: std::io::Error },
    #[error("cannot play the environment of `{set}`")]
    Environment { set: String, source: Box<EnvError> },
    #[error("the tasks of `{set}` are played in an environment, and this job asks for answers")]
    Played { set: String },
    #[error("cannot search the tasks")]
    Search { source: Box<ForestError> },
    #[error("cannot go on from what other jobs grew")]
    Grown { source: Box<GrownError> },
    #[error("cannot apply the data operators")]
    Operators { source: Box<OperatorError> },
    #[error(
        "{errors} of {verdicts} verdicts are errors, so the job says too little about its tasks; the most frequent one is of \
         `{verifier}`: {reason}"
    )]
    Verifier {
        errors: u64,
        verdicts: u64,
        verifier: String,
        reason: String,
        /// Whether it might not happen again.
        by_chance: bool,
    },
    #[error("the job names no verifier, so nothing would decide; name `rule`")]
    NoVerifier,
    #[error("the bound {bound} of the job's filter has no value")]
    Unbound { bound: String },
    #[error("task {task} cannot be played to its end: {reason}")]
    Unplayed { task: String, reason: String },
    #[error("task {task} cannot be scored: {reason}")]
    Undecided { task: String, reason: String },
}

impl JobError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        let transient = match self {
            // Perhaps the environment is back by then.
            Self::Cancelled | Self::Scratch { .. } | Self::Unplayed { .. } => true,
            Self::Store { source, .. } | Self::Checkpoint { source, .. } => source.is_transient(),
            Self::Engine { source, .. } => return source.class(),
            Self::Search { source } => return source.class(),
            Self::Operators { source } => source.is_transient(),
            Self::Verifier { by_chance, .. } => *by_chance,
            Self::Environment { source, .. } => source.may_pass(),
            Self::NotRead { .. }
            | Self::Rows { .. }
            | Self::NoEnd { .. }
            | Self::Formless { .. }
            | Self::Tasks { .. }
            | Self::Played { .. }
            | Self::Grown { .. }
            | Self::NoModel { .. }
            | Self::NoVerifier
            | Self::Unbound { .. }
            | Self::Undecided { .. } => false,
        };
        if transient { FailureClass::Transient } else { FailureClass::Invalid }
    }

    /// Whether the attempt ended because it was told to.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Engine { source: EngineError::Cancelled, .. })
    }
}

/// Names what the artifact store was asked to do.
fn store_failed(what: &'static str) -> impl Fn(galapagos_artifacts::Error) -> JobError + Copy {
    move |source| JobError::Store { what, source: Box::new(source) }
}

/// Names what the engine was asked to do.
fn engine_failed(what: &'static str) -> impl FnOnce(EngineError) -> JobError {
    move |source| JobError::Engine { what, source }
}
