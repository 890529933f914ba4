//! Jobs: what the coordinator hands out, and what comes back. A job's result is a function of its spec alone (on one
//! kind of device), so a retried job gives the same bytes.

mod output;
mod propose;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::ids::{Digest, EvolutionId, JobId, Name};
use crate::recipe::controller::Sweep;
use crate::recipe::curate::Operator;
use crate::recipe::evaluate::Metric;
use crate::recipe::guide::{Guide, Speculate};
use crate::recipe::search::{Propose, Search, Trust};
use crate::recipe::tasks::{Split, TaskSet};
use crate::recipe::verify::Verifier;
use crate::recipe::{Base, Head};
use crate::seed::Seed;

pub use output::{
    FailureClass, JobFailure, JobOutput, Moment, OperatorCount, Oracle, PairOutcome, TaskCurve, TaskOutcome,
};
pub use propose::{ProposePart, ProposeSpec, Sifted};

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    pub id: JobId,
    pub evolution: EvolutionId,
    /// Derived from the evolution's seed and the job's id.
    pub seed: Seed,
    /// An attempt that runs longer is revoked and retried.
    pub time_limit_ms: u64,
    pub kind: JobKind,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Check and store the base weights.
    Base(Base),
    Rollout(RolloutSpec),
    Grow(GrowSpec),
    Curate(CurateSpec),
    Bout(BoutSpec),
    Evaluate(EvaluateSpec),
    Measure(MeasureSpec),
    Sweep(SweepSpec),
    Propose(Box<ProposeSpec>),
}

impl JobKind {
    /// The kind's name, for people and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Base(_) => "base",
            Self::Rollout(_) => "rollout",
            Self::Grow(_) => "grow",
            Self::Curate(_) => "curate",
            Self::Bout(_) => "bout",
            Self::Evaluate(_) => "evaluate",
            Self::Measure(_) => "measure",
            Self::Sweep(_) => "sweep",
            Self::Propose(_) => "propose",
        }
    }
}

/// Some tasks of one set, by number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSlice {
    pub set: Name,
    pub source: TaskSet,
    pub split: Split,
    pub indices: Vec<u32>,
    /// The seed that generated the set (of the evolution, not of the job).
    pub seed: Seed,
    /// Of questions that a role proposed: their table. `source` is then the set that they are like, and says how they are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<ArtifactRef>,
}

/// How completions are sampled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    pub top_p: f64,
    /// Longest completion; the family's limit when absent.
    pub max_tokens: Option<u32>,
    /// Most probable tokens kept; all when absent.
    #[serde(default)]
    pub top_k: Option<u32>,
    /// 0 keeps all.
    #[serde(default)]
    pub min_p: f64,
    /// 1 changes nothing.
    #[serde(default = "one")]
    pub repetition_penalty: f64,
    #[serde(default)]
    pub guide: Option<Guide>,
    /// Changes the speed alone.
    #[serde(default)]
    pub speculate: Speculate,
}

fn one() -> f64 {
    1.0
}

impl Sampling {
    /// Plain sampling at a temperature, up to the family's limit.
    #[must_use]
    pub const fn at(temperature: f64) -> Self {
        Self {
            temperature,
            top_p: 1.0,
            max_tokens: None,
            top_k: None,
            min_p: 0.0,
            repetition_penalty: 1.0,
            guide: None,
            speculate: Speculate::Off,
        }
    }

    /// How a resolved search samples; `None` if a number is left open or `top_k` is not whole.
    #[must_use]
    pub fn of(propose: &Propose) -> Option<Self> {
        let top_k = match &propose.top_k {
            Some(top_k) => Some(top_k.value().and_then(crate::recipe::whole)?),
            None => None,
        };
        Some(Self {
            temperature: propose.temperature.value()?,
            top_p: propose.top_p.value()?,
            max_tokens: propose.max_tokens,
            top_k,
            min_p: propose.min_p.value()?,
            repetition_penalty: propose.repetition_penalty.value()?,
            guide: propose.guide.clone(),
            speculate: propose.speculate,
        })
    }

    /// The same, but always the most probable token.
    #[must_use]
    pub fn greedy(&self) -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: None, min_p: 0.0, ..self.clone() }
    }
}

/// A search of every task, its trajectories verified, as one file in order of (task, trajectory); and the trees, where there are any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutSpec {
    pub policy: Digest,
    pub tasks: TaskSlice,
    /// Without variables.
    pub search: Box<Search>,
    pub verify: Vec<Verifier>,
    /// The roles that verifiers name.
    pub critics: BTreeMap<Name, Critic>,
    /// How far the verifiers are believed.
    #[serde(default)]
    pub trust: Trust,
    /// Of a search that is spread over jobs: the trees that they grew, by wave and part. They are put together and verified; nothing
    /// more is searched.
    #[serde(default)]
    pub grown: Vec<Vec<ArtifactRef>>,
}

/// One part of the trees of a search that is spread over jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrowSpec {
    /// Its `grown` are the trees of the waves before this one; verifiers of trajectories are not asked yet.
    pub rollout: RolloutSpec,
    /// Among those of the wave.
    pub part: u32,
}

impl GrowSpec {
    /// The trunk is wave 0.
    #[must_use]
    pub fn wave(&self) -> u32 {
        u32::try_from(self.rollout.grown.len()).unwrap_or(u32::MAX)
    }
}

/// A role that gives numbers, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Critic {
    pub checkpoint: Digest,
    pub head: Head,
    /// Whether it reads the few-shot prefix, as its training did.
    pub shots: bool,
}

/// Data operators over trajectory files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurateSpec {
    pub from: CurateFrom,
    /// Without variables.
    pub apply: Vec<Operator>,
    /// The search trees behind the dataset, in order, for operators that read them.
    #[serde(default)]
    pub trees: Vec<ArtifactRef>,
    /// The checkpoint whose tokenizer writes the texts that operators insert.
    #[serde(default)]
    pub text: Option<Digest>,
    /// Where the records' tasks come from, for operators that ask their rules; without indices.
    #[serde(default)]
    pub tasks: Vec<TaskSlice>,
    /// The files of the datasets that are mixed in.
    #[serde(default)]
    pub with: BTreeMap<Name, Vec<ArtifactRef>>,
    /// The roles that operators ask.
    #[serde(default)]
    pub critics: BTreeMap<Name, Critic>,
}

impl CurateSpec {
    /// Operators that need nothing but records.
    #[must_use]
    pub fn plain(from: CurateFrom, apply: Vec<Operator>) -> Self {
        let (trees, tasks, with, critics) = (Vec::new(), Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { from, apply, trees, text: None, tasks, with, critics }
    }
}

/// What a curate job reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurateFrom {
    /// Trajectory files, in this order.
    Trajectories(Vec<ArtifactRef>),
    /// Solved problems, tokenised by the base checkpoint's tokenizer.
    Demonstrations { base: Digest, tasks: Box<TaskSlice> },
    /// Training questions, each behind `seeds` others, as `propose` shows them.
    Questions { base: Digest, tasks: Box<TaskSlice>, seeds: u32 },
}

/// One mirrored pair per task: each side answers twice, with the random streams swapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoutSpec {
    pub holder: Digest,
    pub challenger: Digest,
    pub tasks: TaskSlice,
    pub sampling: Sampling,
}

/// One greedy completion and `samples` sampled ones per task; ranked by the critic when there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateSpec {
    pub policy: Digest,
    /// A checkpoint with a scalar head.
    pub critic: Option<Digest>,
    /// Whether the critic reads the few-shot prefix, as its training did.
    pub critic_shots: bool,
    pub tasks: TaskSlice,
    pub samples: u32,
    pub sampling: Sampling,
}

/// A search of every task of an evaluation: what it answers, and what it would have answered for fewer tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureSpec {
    pub policy: Digest,
    pub tasks: TaskSlice,
    /// What the search is called; see [`crate::recipe::evaluate::Evaluate::measured`].
    pub metric: Metric,
    /// Without variables.
    pub search: Box<Search>,
    /// The roles that verifiers name.
    pub critics: BTreeMap<Name, Critic>,
}

/// A search of held-out tasks at one point of a controller's grid, and what its samples are worth at every swept point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSpec {
    /// What is searched and verified; nothing of it is stored.
    pub rollout: RolloutSpec,
    pub sweep: Box<Sweep>,
}
