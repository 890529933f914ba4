//! Why an engine's call gave nothing.

use super::event::SampleError;
use super::request::RequestError;
use crate::ModelKind;
use crate::compute::ComputeError;

/// An engine that cannot be made, or a step that failed. After a failed step the engine is as it was before it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An option out of its range.
    #[error("the engine option `{name}` is {value}; it must be {expected}")]
    Option {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: usize,
        /// What would be right.
        expected: String,
    },
    /// The model cannot be computed.
    #[error("the engine cannot compute")]
    Compute {
        /// At what.
        #[source]
        source: ComputeError,
    },
    /// An adapter of another base.
    #[error("the adapter cannot be used with the engine's model")]
    Adapter {
        /// Why.
        #[source]
        source: Box<crate::lora::AdapterError>,
    },
    /// A model that cannot guess for this one.
    #[error(
        "a draft model needs a language-model head and a vocabulary of {need}; this one has a {have} head and {vocab_size}"
    )]
    DraftModel {
        /// Its head.
        have: ModelKind,
        /// Its vocabulary.
        vocab_size: usize,
        /// The engine's vocabulary.
        need: usize,
    },
    /// A model that reads other images than this one.
    #[error(
        "a draft model must read the images that the model reads: give both a vision encoder for as many rows and columns of patches, or \
         neither"
    )]
    DraftVision,
    /// New weights of another shape.
    #[error("new weights must be of the same shape as the old ones: {what} differs")]
    OtherShape {
        /// What.
        what: &'static str,
    },
    /// A model whose head this engine has no use for.
    #[error("an engine needs a language model or a scalar head, not a {have} head")]
    Head {
        /// The head.
        have: ModelKind,
    },
    /// There is work that no step would advance: a defect of the scheduler.
    #[error(
        "the engine has work ({active} active, {waiting} waiting) but no step to do; this is a defect, please report it"
    )]
    Stuck {
        /// Sequences with pages.
        active: usize,
        /// Sequences without.
        waiting: usize,
    },
}

impl From<ComputeError> for EngineError {
    fn from(source: ComputeError) -> Self {
        Self::Compute { source }
    }
}

/// Why a call of [`Engine::generate`](super::Engine::generate) or [`Engine::score`](super::Engine::score) gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A request that cannot be run.
    #[error("request {index} cannot be run")]
    Request {
        /// Its index in the call.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: RequestError,
    },
    /// A request that came to nothing.
    #[error("request {index} failed at sample {sample}")]
    Sample {
        /// Its index in the call.
        index: usize,
        /// The sample.
        sample: usize,
        /// Why.
        #[source]
        source: SampleError,
    },
    /// A step failed.
    #[error("computing failed")]
    Engine {
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The caller asked to stop.
    #[error("generation was cancelled")]
    Cancelled,
}
