//! Members and their lineage: who descends from whom, and by what evidence.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, MemberId, Name, RoundId};

/// One individual: a role's weights at one point of an evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Unique in its evolution.
    pub id: MemberId,
    /// `policy`, `critic`, ... as the recipe names it.
    pub role: Name,
    /// The generation that made it; 0 for the base.
    pub generation: u32,
    /// The checkpoint manifest's digest.
    pub checkpoint: Digest,
    /// Digest of the named tensors alone.
    pub weights: Digest,
    /// Members it was made from, nearest first.
    pub parents: Vec<MemberId>,
    /// How it came to be.
    pub origin: Origin,
    /// Where it stands now.
    pub standing: Standing,
}

/// How a member came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Imported or initialised before the first generation.
    Base {
        /// What the recipe named.
        source: String,
    },
    /// Committed by a training round.
    Trained {
        /// The round.
        round: RoundId,
        /// The dataset files it read.
        datasets: Vec<Digest>,
        /// Optimiser updates done.
        steps: u64,
        /// Mean loss over the last tenth of the updates.
        final_loss: f64,
        /// The optimiser's state at the end, for a round that goes on with it.
        #[serde(default)]
        optimiser: Option<Digest>,
        /// Which record was trained on in which step.
        #[serde(default)]
        ledger: Option<Digest>,
        /// How far the engine that sampled the records was from the trainer at the start, in nats per token.
        #[serde(default)]
        mismatch: Option<f64>,
        /// World sizes of the tries that made it, in order. More than one: the same batches, but not the bytes of a fixed world size.
        #[serde(default)]
        worlds: Vec<u32>,
    },
}

/// Where a member stands. `Candidate -> Champion | Refused`, `Champion -> Retired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Trained, not yet judged.
    Candidate,
    /// Holds its role.
    Champion,
    /// Judged not better; kept for lineage.
    Refused,
    /// Held its role before.
    Retired,
}
