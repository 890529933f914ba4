//! What people and scripts see of an evolution: one snapshot, complete in itself, so that a watcher that was away loses
//! nothing. This is the documented JSON of `galapagos status --json`, version 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::calibration::Calibration;
use crate::ids::{EvolutionId, MemberId, Name};
use crate::job::{OperatorCount, Sifted};
use crate::member::Member;
use crate::recipe::evaluate::Metric;
use crate::recipe::tasks::Split;
use crate::seed::Seed;
pub use crate::stats::Interval;
use crate::trajectory::{Audit, VerdictCounts};

/// A snapshot of one evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvolutionView {
    /// Version of this JSON; 1.
    pub version: u32,
    pub id: EvolutionId,
    pub recipe: Name,
    /// Digest of the filled-in recipe, 64 hexadecimal characters.
    pub recipe_digest: String,
    pub seed: Seed,
    pub status: Status,
    /// Why it failed, outermost cause first; empty otherwise.
    pub failure: Vec<String>,
    /// Generations the recipe allows.
    pub generations: u32,
    /// Every recipe step started so far, in order.
    pub steps: Vec<StepView>,
    pub members: Vec<Member>,
    /// Current member of every role.
    pub champions: Vec<(Name, MemberId)>,
    /// The variables as they are now, where the recipe has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<Name, f64>,
    /// What the running recipe step waits for, if it waits.
    pub waiting: Option<String>,
    /// Attempts and round tries that were lost or failed and were repeated.
    pub retries: u64,
}

/// The life of an evolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Running,
    Paused,
    Done,
    Failed,
    Cancelled,
}

impl Status {
    /// Nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Running | Self::Paused => false,
            Self::Done | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// The part of an evolution that a recipe step belongs to. Its text form (`base`, `first`, `g2`, `finish`) is used in ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The base weights are checked and stored.
    Base,
    /// The recipe steps before the first generation.
    First,
    /// A generation, from 1.
    Generation(u32),
    Finish,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::First => f.write_str("first"),
            Self::Generation(g) => write!(f, "g{g}"),
            Self::Finish => f.write_str("finish"),
        }
    }
}

/// One recipe step in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    pub phase: Phase,
    /// The name given with `as`, or the verb and its place (`evaluate-6`).
    pub name: Name,
    pub verb: String,
    pub done: bool,
    /// Milliseconds so far, without the time that no coordinator ran.
    pub elapsed_ms: u64,
    /// Units done and in all: completions, records, optimiser steps, pairs or tasks.
    pub progress: (u64, u64),
    /// Tokens sampled or trained on.
    pub tokens: u64,
    /// What came out, once known (rounds and rollouts fill it while they run).
    pub summary: Option<Summary>,
    /// Tables of the trees that a finished `rollout` searched.
    #[serde(default)]
    pub trees: Vec<ArtifactRef>,
}

/// A dataset that was read, and the records in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub dataset: Name,
    pub records: u64,
}

/// What a recipe step brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    Base {
        member: MemberId,
    },
    Rollout {
        counts: VerdictCounts,
        /// The language models that judged, each once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        judges: Vec<Calibration>,
        #[serde(default)]
        audit: Audit,
    },
    Curate {
        records: u64,
        operators: Vec<OperatorCount>,
        /// Where several datasets were read: what each of them held, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<Held>,
    },
    Train {
        role: Name,
        member: Option<MemberId>,
        step: u64,
        loss: f64,
        grad_norm: f64,
        ranks: u32,
        left_out: u64,
        /// Steps that the guard skipped or took back.
        #[serde(default)]
        guarded: u64,
        /// Distance between engine and trainer at the start, in nats per token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mismatch: Option<f64>,
        /// Learning rate of the latest step, while it trains.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lr: Option<f64>,
        /// Of all ranks, between their latest reports, while it trains.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_per_second: Option<f64>,
    },
    Tournament(Ladder),
    Evaluate {
        scores: Vec<Score>,
    },
    Control(Decided),
    Propose {
        sifted: Sifted,
        /// With fewer kept the recipe step fails.
        at_least: u32,
    },
}

/// What a controller measured and chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// As written in the recipe, for example `balance_score`.
    pub metric: String,
    /// The moved variables, in order of name.
    pub moves: Vec<Moved>,
    /// The metric at the chosen point.
    pub value: f64,
    /// The metric where the variables were; absent if that is no point of the grid.
    pub was: Option<f64>,
    /// Tasks behind `value`, and behind `was`, which was given up earlier if these are fewer.
    pub tasks: u64,
    pub was_tasks: u64,
    /// Points of the grid.
    pub points: u64,
    /// The best points, at most three; the first is the chosen one.
    pub best: Vec<Measured>,
}

/// A variable before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub name: Name,
    pub from: f64,
    pub to: f64,
}

/// A point of a controller's grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub at: BTreeMap<Name, f64>,
    pub value: f64,
}

/// A gate's evidence and decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    pub holder: MemberId,
    pub challenger: MemberId,
    /// Mirrored pairs by the challenger's points: 0, 1/2, 1, 3/2, 2.
    pub pentanomial: [u64; 5],
    /// Log-likelihood ratio and the two bounds.
    pub llr: f64,
    pub bounds: (f64, f64),
    /// Elo difference, challenger minus holder, with its 95% interval; absent while it cannot be estimated.
    pub elo: Option<Interval>,
    pub decision: Decision,
}

/// What a gate decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Undecided,
    /// The challenger is proven better.
    Promoted,
    /// The challenger is proven not better.
    Refused,
    /// The bouts ran out before a proof; the holder stays.
    Inconclusive,
}

/// A metric of a member on a task set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub member: MemberId,
    /// What the recipe called the member: `base`, `champion`, `candidate`, ...
    pub called: Name,
    pub tasks: Name,
    pub split: Split,
    pub metric: Metric,
    pub value: Interval,
    /// Tasks behind the value.
    pub n: u64,
    /// Of searches: tokens sampled per task, in the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    /// Of searches: whether it asked for the right answer on its way, so that its value is what could be found and not what a user of
    /// the model would get.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub knows: bool,
    /// Of searches: what they answer for fewer tokens. All searches of a recipe step are read at the same spendings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
}

/// A search with a bound on its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Most tokens that a task may have cost.
    pub tokens: u64,
    /// What tasks did cost, in the mean: until their latest answer within the bound.
    pub spent: f64,
    /// Mean share of answers that pass, with Student's 95% interval over tasks.
    pub value: Interval,
}
