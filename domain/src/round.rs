//! Rounds: one training collective over a fixed plan; it commits as a whole or not at all.

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::fence::FencingToken;
use crate::ids::{Digest, EvolutionId, Name, RoundId, WorkerId};
use crate::recipe::Head;
use crate::recipe::train::Train;
use crate::seed::Seed;

/// What a round trains, from what, on what. Pure and sorted: any coordinator would build the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundSpec {
    pub id: RoundId,
    pub evolution: EvolutionId,
    pub role: Name,
    pub head: Head,
    /// The checkpoint to start from.
    pub start: Digest,
    /// Trajectory files in order; every rank reads all and takes its shard.
    pub datasets: Vec<ArtifactRef>,
    /// The recipe step, defaults filled in.
    pub train: Train,
    pub seed: Seed,
    /// Without progress for so long, a rank is lost and the round is tried anew.
    pub stall_limit_ms: u64,
}

/// One try of a round: who is which rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankTable {
    pub token: FencingToken,
    /// The worker of each rank; its length is the world size. A worker with several slots may hold several ranks.
    pub workers: Vec<WorkerId>,
}

/// What one rank process is told at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankSpec {
    pub round: RoundSpec,
    pub token: FencingToken,
    pub rank: u32,
    pub world_size: u32,
}

/// A rank's vote at the end of its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// Digest of the named tensors; all ranks must agree.
    pub weights: Digest,
    /// The checkpoint manifest, uploaded by rank 0 before it votes; absent from the other ranks.
    pub checkpoint: Option<Digest>,
    /// Optimiser updates done.
    pub steps: u64,
    /// Mean loss over the last tenth of the updates, over all ranks.
    pub final_loss: f64,
    /// Records left out because their verdict is neither pass nor fail (pointwise losses).
    pub left_out: u64,
}

/// Progress of a rank: also its sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RankProgress {
    pub step: u64,
    pub steps: u64,
    pub loss: f64,
    pub grad_norm: f64,
    pub tokens: u64,
}

/// What a worker writes on a rank process's standard input, one JSON object a line. The end of the input means that the
/// worker is gone: the rank kills itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankCommand {
    /// The first line.
    Prepare(Box<RankSpec>),
    /// All ranks are ready; join the rendezvous at `HOST:PORT`.
    Start { rendezvous: String },
}

/// What a rank process writes on its standard output, one JSON object a line. Logs go to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankReport {
    /// Data and weights are loaded; rank 0 listens at `rendezvous`.
    Ready {
        rendezvous: Option<String>,
    },
    Progress(RankProgress),
    /// The last line of a rank that did its work.
    Voted(Vote),
    /// The last line of a rank that could not.
    Failed(crate::job::JobFailure),
}
