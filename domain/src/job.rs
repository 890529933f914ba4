//! Jobs: what the coordinator hands out, and what comes back. A job's result is a function of its spec alone (on one
//! kind of device), so a retried job gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::calibration::Calibration;
use crate::ids::{Digest, EvolutionId, JobId, Name};
use crate::recipe::curate::Operator;
use crate::recipe::evaluate::Metric;
use crate::recipe::guide::{Guide, Speculate};
use crate::recipe::search::{Propose, Search, Trust};
use crate::recipe::tasks::{Split, TaskSet};
use crate::recipe::verify::Verifier;
use crate::recipe::{Base, Head};
use crate::seed::Seed;
use crate::trajectory::{Audit, VerdictCounts};

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
}

impl CurateSpec {
    /// Operators that need nothing but records.
    #[must_use]
    pub fn plain(from: CurateFrom, apply: Vec<Operator>) -> Self {
        Self { from, apply, trees: Vec::new(), text: None, tasks: Vec::new(), with: BTreeMap::new() }
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

/// What a finished job reports; bulk is in the artifact store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutput {
    Base {
        checkpoint: Digest,
        weights: Digest,
        source: String,
    },
    Rollout {
        trajectories: ArtifactRef,
        /// The trees that were searched, as a table of nodes.
        #[serde(default)]
        trees: Option<ArtifactRef>,
        counts: VerdictCounts,
        /// What was seen of the verifiers.
        #[serde(default)]
        audit: Audit,
        /// Tokens sampled.
        tokens: u64,
        /// How good the language models that judged were on answers whose truth is known.
        #[serde(default)]
        judges: Vec<Calibration>,
    },
    Grow {
        /// One for each task, with what a search knows beside its tree.
        trees: ArtifactRef,
        /// Tokens sampled.
        tokens: u64,
    },
    Curate {
        dataset: ArtifactRef,
        operators: Vec<OperatorCount>,
    },
    Bout {
        pairs: Vec<PairOutcome>,
        tokens: u64,
    },
    Evaluate {
        tasks: Vec<TaskOutcome>,
        tokens: u64,
    },
    Measure {
        tasks: Vec<TaskCurve>,
        tokens: u64,
    },
}

/// What the search of one task would have answered, by the tokens spent until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCurve {
    pub task: u32,
    /// Tokens ascend; the last is what it answered.
    pub moments: Vec<Moment>,
}

/// What a search would have answered if it had ended there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Sampled until then, by the policy and by verifiers that sample.
    pub tokens: u64,
    pub answers: u32,
    /// Of the answers.
    pub passes: u32,
}

impl Moment {
    /// The share of answers that pass; none without answers.
    #[must_use]
    pub fn share(&self) -> f64 {
        f64::from(self.passes) / f64::from(self.answers.max(1))
    }
}

/// Records in and out of one data operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCount {
    /// As written in the recipe, for example `dedupe`.
    pub operator: String,
    pub records_in: u64,
    pub records_out: u64,
    /// Of the records dropped: those without the number that the operator looks at.
    #[serde(default)]
    pub without: u64,
    /// What the verdicts say of an operator that chose by something else.
    #[serde(default)]
    pub oracle: Option<Oracle>,
}

impl OperatorCount {
    /// Records in and out, with nothing else said.
    #[must_use]
    pub fn new(operator: impl Into<String>, records_in: u64, records_out: u64) -> Self {
        Self { operator: operator.into(), records_in, records_out, without: 0, oracle: None }
    }
}

/// Passes among the records with a verdict of pass or fail, before and after an operator that did not look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Oracle {
    pub passes_in: u64,
    pub decided_in: u64,
    pub passes_out: u64,
    pub decided_out: u64,
}

impl Oracle {
    /// The share that passes of what went in and of what came out: the precision of the operator. None if either holds nothing decided.
    #[must_use]
    pub fn precision(&self) -> Option<(f64, f64)> {
        let share = |passes: u64, decided: u64| (decided > 0).then(|| passes as f64 / decided as f64);
        Some((share(self.passes_in, self.decided_in)?, share(self.passes_out, self.decided_out)?))
    }
}

/// A mirrored pair on one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairOutcome {
    pub task: u32,
    /// The challenger's points in the pair, in half points: 0 (lost both) to 4 (won both).
    pub half_points: u8,
}

/// What an evaluation saw on one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutcome {
    pub task: u32,
    pub greedy_pass: bool,
    pub samples: u32,
    pub passes: u32,
    /// Whether the sample that the critic ranks first passes (ties go to the earliest); absent without a critic.
    pub best_pass: Option<bool>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    pub class: FailureClass,
    /// The error with its causes, outermost first.
    pub chain: Vec<String>,
}

/// What a failure means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The input is at fault: another attempt would fail alike.
    Invalid,
    /// The place or the moment is at fault: try again.
    Transient,
    /// A process was killed, or the other end of its connection vanished: says nothing about the work. Try again; it
    /// counts as a loss, not as a failure.
    Lost,
}
