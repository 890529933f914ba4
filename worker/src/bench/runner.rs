//! What both sides of a comparison are: something that does a [`Work`] and says how long it took.

use super::machine::Seconds;
use super::ours::Counts;
use super::peer::PeerError;
use super::rows::Work;

/// One measured run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub seconds: Seconds,
    /// Completions in the order of the work; empty for scoring.
    pub tokens: Vec<Vec<u32>>,
    /// Natural log-probability of each token at temperature 1; empty where the side does not report them.
    pub log_probs: Vec<Vec<f32>>,
    /// Where the side counts them.
    pub counts: Option<Counts>,
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("this side of the comparison cannot do {what}")]
    Unsupported { what: &'static str },
    #[error("the peer failed")]
    Peer {
        #[from]
        source: PeerError,
    },
    #[error("the engine failed")]
    Engine { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the engine made {made} tokens where {asked} were asked for")]
    Count { made: usize, asked: usize },
}

/// One side.
pub trait Runner {
    /// Does the work. `seed` keys the sampling.
    ///
    /// # Errors
    /// [`RunError`].
    fn run(&mut self, work: &Work, seed: u64) -> Result<Outcome, RunError>;
}
