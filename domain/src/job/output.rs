//! What comes back of a job: its output, or why an attempt gave none.

use serde::{Deserialize, Serialize};

use super::Sifted;
use crate::artifact::ArtifactRef;
use crate::calibration::Calibration;
use crate::ids::Digest;
use crate::trajectory::{Audit, VerdictCounts};

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
        audit: Box<Audit>,
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
    Sweep {
        /// Of each swept point, the sum of the controller's metric over the job's tasks.
        sums: Vec<f64>,
        tokens: u64,
    },
    Propose {
        /// A table of the questions that were kept.
        questions: ArtifactRef,
        sifted: Sifted,
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
    /// Trees that gave nothing, since nothing of them is believed.
    #[serde(default)]
    pub doubted: u64,
    /// What the verdicts say of an operator that chose by something else.
    #[serde(default)]
    pub oracle: Option<Oracle>,
}

impl OperatorCount {
    /// Records in and out, with nothing else said.
    #[must_use]
    pub fn new(operator: impl Into<String>, records_in: u64, records_out: u64) -> Self {
        Self { operator: operator.into(), records_in, records_out, without: 0, doubted: 0, oracle: None }
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
    /// Of all pairs of a passed and a failed sample: 2 for each whose passed one has the critic's higher score, 1 for each tie; absent without a
    /// critic.
    pub half_pairs: Option<u64>,
}

impl TaskOutcome {
    /// Pairs of a passed and a failed sample.
    #[must_use]
    pub fn pairs(&self) -> u64 {
        u64::from(self.passes) * u64::from(self.samples.saturating_sub(self.passes))
    }

    /// How often the critic gives the passed one of two samples the higher score; `None` without a critic, or where all pass or all fail.
    #[must_use]
    pub fn pair_accuracy(&self) -> Option<f64> {
        let pairs = self.pairs();
        (pairs > 0).then_some(self.half_pairs? as f64 / (2 * pairs) as f64)
    }
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
