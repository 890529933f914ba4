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
    /// State of the optimiser at the end of the round that made `start`; absent, it starts anew.
    #[serde(default)]
    pub optimiser: Option<Digest>,
    /// The checkpoint that losses and penalties compare with, pinned for the round; absent where nothing does.
    #[serde(default)]
    pub reference: Option<Digest>,
    /// The critic whose values advantages are made of.
    #[serde(default)]
    pub critic: Option<Digest>,
    /// Trajectory files in order; every rank reads all and takes its shard.
    pub datasets: Vec<ArtifactRef>,
    /// Trajectory files of the data mixed in.
    #[serde(default)]
    pub mix: Vec<ArtifactRef>,
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
    /// The in-round checkpoint to go on from; absent, the round begins at its start.
    #[serde(default)]
    pub resume: Option<Saved>,
}

/// An in-round checkpoint: weights, optimiser and place in the data after a number of steps. A later try goes on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Optimiser updates done.
    pub step: u64,
    /// The manifest of its files.
    pub state: Digest,
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
    /// Records left out because the loss cannot use them: verdicts that say nothing, groups without a pair.
    pub left_out: u64,
    /// State of the optimiser, from rank 0, for a round that goes on with it.
    #[serde(default)]
    pub optimiser: Option<Digest>,
    /// The ledger, from rank 0: which record was trained on in which step.
    #[serde(default)]
    pub ledger: Option<Digest>,
    /// Steps that the guard skipped or took back.
    #[serde(default)]
    pub guarded: u64,
    /// Mean distance between the log-probabilities of the engine that sampled the records and those of the trainer at the start, in
    /// nats; absent where no record was sampled by the start's weights.
    #[serde(default)]
    pub mismatch: Option<f64>,
}

impl Vote {
    /// A vote for these weights, without what rank 0 adds and what only some rounds have.
    #[must_use]
    pub fn new(weights: Digest, steps: u64, final_loss: f64) -> Self {
        let (checkpoint, optimiser, ledger) = (None, None, None);
        Self { weights, checkpoint, steps, final_loss, left_out: 0, optimiser, ledger, guarded: 0, mismatch: None }
    }
}

/// A distance between engine and trainer above this, in nats per token, is told as an alarm: the policy that sampled is then not the one
/// that is trained.
pub const MISMATCH_ALARM: f64 = 0.1;

/// Progress of a rank: also its sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RankProgress {
    pub step: u64,
    pub steps: u64,
    pub loss: f64,
    pub grad_norm: f64,
    pub tokens: u64,
    /// Learning rate of the step.
    #[serde(default)]
    pub lr: f64,
    /// Where the time of the step went.
    #[serde(default)]
    pub time: StepTime,
    /// Resident memory of the rank's process now, in bytes.
    #[serde(default)]
    pub memory: u64,
    /// The newest in-round checkpoint that all ranks agreed on; told again with every progress, so that no loss of a message loses it.
    #[serde(default)]
    pub saved: Option<Saved>,
    /// As in [`Vote::guarded`], so far.
    #[serde(default)]
    pub guarded: u64,
    /// As in [`Vote::mismatch`], once the first step measured it.
    #[serde(default)]
    pub mismatch: Option<f64>,
}

impl RankProgress {
    /// What a rank says before its first step of `steps`.
    #[must_use]
    pub fn begin(step: u64, steps: u64) -> Self {
        let (loss, grad_norm, tokens, lr, memory) = (0.0, 0.0, 0, 0.0, 0);
        let (time, saved, guarded, mismatch) = (StepTime::default(), None, 0, None);
        Self { step, steps, loss, grad_norm, tokens, lr, time, memory, saved, guarded, mismatch }
    }
}

/// Milliseconds of one optimiser step, by what they were spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepTime {
    pub data_ms: u32,
    pub forward_ms: u32,
    pub backward_ms: u32,
    pub communication_ms: u32,
    pub optimiser_ms: u32,
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
