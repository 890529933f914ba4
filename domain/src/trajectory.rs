//! Trajectories and verdicts: what a rollout leaves behind. A verdict is typed; an error is never a zero reward.

mod audit;
mod grade;

use serde::{Deserialize, Serialize};

pub use audit::{Agreed, Audit, Heard, Scored, Tested, Trouble};
pub use grade::ProgramClass;

use crate::ids::{Digest, JobId, Name};

/// The result of verifying one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the verifier decided.
    pub outcome: Outcome,
    /// Why, for people: what was read and what was expected.
    pub reason: String,
    /// How good, where the verifier has more to say than pass or fail: the share of tests passed, an environment's score, a model's.
    #[serde(default)]
    pub score: Option<f32>,
    /// How sure the verifier is, from 0 to 1, if it can say.
    #[serde(default)]
    pub confidence: Option<f32>,
    /// Tokens that were sampled to decide it.
    #[serde(default)]
    pub cost: u64,
    /// Who decided, with the version: `rule/1`, `judge/3b5c...`. Empty where nobody was asked.
    #[serde(default)]
    pub verifier: String,
    /// A class finer than pass or fail, where the verifier tells several apart; of programs a [`ProgramClass`].
    #[serde(default)]
    pub class: Option<u32>,
}

impl Verdict {
    /// A decision with nothing beside it.
    #[must_use]
    pub fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            score: None,
            confidence: None,
            cost: 0,
            verifier: String::new(),
            class: None,
        }
    }

    /// Shown right.
    #[must_use]
    pub fn pass(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, reason)
    }

    /// Shown wrong.
    #[must_use]
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, reason)
    }

    /// The same, so good.
    #[must_use]
    pub fn scored(self, score: f32) -> Self {
        Self { score: Some(score), ..self }
    }

    /// The same, of this class of programs.
    #[must_use]
    pub fn graded(self, class: ProgramClass) -> Self {
        Self { class: Some(class.number()), ..self }
    }

    /// The same, decided by `verifier`.
    #[must_use]
    pub fn by(self, verifier: impl Into<String>) -> Self {
        Self { verifier: verifier.into(), ..self }
    }
}

impl Outcome {
    /// Whether it says something about the completion.
    #[must_use]
    pub fn is_decided(self) -> bool {
        match self {
            Self::Pass | Self::Fail => true,
            Self::Error | Self::Timeout | Self::Suspect => false,
        }
    }
}

/// A verifier's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Shown right.
    Pass,
    /// Shown wrong.
    Fail,
    /// The verifier itself failed; says nothing about the completion.
    Error,
    /// The verifier ran out of time; says nothing about the completion.
    Timeout,
    /// Passed, but by a way that the verifier distrusts.
    Suspect,
}

/// How many completions got which verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerdictCounts {
    pub pass: u64,
    pub fail: u64,
    pub error: u64,
    pub timeout: u64,
    pub suspect: u64,
}

impl VerdictCounts {
    /// Counts one more outcome.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Error => self.error += 1,
            Outcome::Timeout => self.timeout += 1,
            Outcome::Suspect => self.suspect += 1,
        }
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.error += other.error;
        self.timeout += other.timeout;
        self.suspect += other.suspect;
    }

    /// All completions that were verified.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pass + self.fail + self.error + self.timeout + self.suspect
    }
}

/// One completion of one task, as one row of a trajectory file (Parquet; the column names are the field names).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// The job that made it.
    pub job: JobId,
    /// Task set and canonical task key, for example `numbers` and `train/17`.
    pub task_set: Name,
    pub task: String,
    /// Sample number within the task, from 0.
    pub sample: u32,
    /// Checkpoint of the policy that produced the tokens; for demonstrations the base checkpoint whose tokenizer was used.
    pub policy: Digest,
    /// Tokens before the completion: shared few-shot prefix, then the question.
    pub prompt_tokens: Vec<u32>,
    /// How many of `prompt_tokens` are the shared few-shot prefix.
    pub prefix_len: u32,
    /// Tokens the policy produced, with the stop token if it stopped.
    pub completion_tokens: Vec<u32>,
    /// Natural log-probability of each completion token at temperature 1; same length as `completion_tokens`.
    /// Empty for demonstrations, which no policy sampled.
    pub log_probs: Vec<f32>,
    /// The decoded completion, without the stop token.
    pub completion: String,
    pub verdict: Verdict,
    /// What each verifier gave that was asked and has numbers, in the order they were asked.
    #[serde(default)]
    pub scores: Vec<Score>,
    /// The place in a search tree that it ends at.
    #[serde(default)]
    pub leaf: Option<Leaf>,
    /// What operators and environments said beyond the verdict.
    pub credit: Credit,
}

/// A number that a verifier gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name and version, as in [`Verdict::verifier`].
    pub by: String,
    pub value: f32,
}

/// A node of a search tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Which tree: task set, task and number of the tree, for example `math/train/17/0`.
    pub tree: String,
    pub node: u32,
}

/// What a record is worth to a loss, beyond its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// Reward of the whole completion; absent, the verdict stands for it.
    pub reward: Option<f32>,
    /// How much the record counts beside the others; from 0.
    pub weight: f32,
    /// Parts of the completion, in order and apart: steps, turns, actions. None: the completion is one part.
    pub spans: Vec<Span>,
    /// The preference that it is one side of.
    pub pair: Option<Side>,
    /// Whether it is the policy's most probable completion, drawn beside the samples of its task to compare them with.
    #[serde(default)]
    pub greedy: bool,
}

impl Default for Credit {
    fn default() -> Self {
        Self { reward: None, weight: 1.0, spans: Vec::new(), pair: None, greedy: false }
    }
}

/// A part of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its tokens within the completion: from `start` to before `end`.
    pub start: u32,
    pub end: u32,
    /// Whether the policy answers for its tokens; not for observations, and not for what is only shown.
    pub learn: bool,
    /// Its label or its own reward.
    pub value: Option<f32>,
    /// Its class, or the number of the action it is.
    pub class: Option<u32>,
}

/// One side of a preference; records of the same pair share its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub pair: String,
    pub chosen: bool,
}

impl Trajectory {
    /// The reward: what was said of the completion, else the verdict's score, else 1 for a pass and 0 for a fail. None for a verdict that says nothing about
    /// the completion: an error is never a zero reward.
    #[must_use]
    pub fn reward(&self) -> Option<f64> {
        match (self.verdict.outcome, self.credit.reward.or(self.verdict.score)) {
            (Outcome::Error | Outcome::Timeout | Outcome::Suspect, _) => None,
            (_, Some(reward)) => Some(f64::from(reward)),
            (Outcome::Pass, None) => Some(1.0),
            (Outcome::Fail, None) => Some(0.0),
        }
    }
}
