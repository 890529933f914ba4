//! The choices behind the words of data operators.

use serde::{Deserialize, Serialize};

/// A number of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// What a loss would take as its reward.
    Reward,
    /// 1 for a pass and 0 for a fail, whatever the reward.
    Verdict,
    /// How sure the verifier was.
    Confidence,
    /// Tokens of the completion.
    Length,
    /// The same, negative: the shortest has the greatest.
    Shortest,
    /// Mean, least and last of the values of its parts.
    MeanQ,
    MinQ,
    LastQ,
    /// What the verifier of this name gave.
    Score(String),
}

/// What a cap counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    Task,
}

/// Among which records the best are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    #[default]
    Task,
    Dataset,
}

/// What a balance looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceBy {
    /// Records that are neither pass nor fail are dropped.
    Verdict,
    /// Tasks without records do not count.
    Task,
}

/// What makes two records of one task alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DedupeBy {
    /// The last line of the completion, without regard to spaces around it.
    Answer,
    /// The share of common runs of `ngram` tokens (Jaccard) is at least `threshold`.
    Near { ngram: u32, threshold: f64 },
}

/// Where preferences come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairFrom {
    /// The children of one node: a right answer lies below the one, a wrong one below the other.
    Siblings,
    /// The answers of one tree.
    Leaves,
    /// Nodes of one depth with different parents that have more than one child each.
    SameDepth,
    /// The records of one task.
    Samples,
}

/// The value by which preferences are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairBy {
    Q,
    /// Of trees: what evaluators gave the node itself.
    Own,
    /// Of samples their reward; of nodes that of the verdict.
    Reward,
    /// What the verifier of this name gave.
    Score(String),
}

/// The value that becomes a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelValue {
    /// What evaluators gave a node itself.
    Own,
    /// Q of a node, which is the value of a record's part.
    Q,
    /// What `mc_rollout` gave a node.
    Rollout,
    /// The share of a task's records that give the same answer; it becomes the record's reward.
    Vote,
    /// The class that the verdict tells apart; it becomes that of the record's last part.
    Outcome,
}

/// What is labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSource {
    #[default]
    Records,
    /// Every path from a root to an end, as a record; a node's label stands in the first of them alone.
    Trees,
}

/// Which step of a failed record is its first error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstError {
    /// The one with the lowest value, the earliest of equals.
    LowestQ,
    /// The first with a value below this.
    Below(f64),
    /// The last: the verdict is passed on the whole.
    Verdict,
    /// The one that `first_error` named when the record was verified: its part is of class 0.
    Judged,
    /// Any, drawn by seed: a control.
    Random,
}

/// Parts for which the policy does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Those with a value below this.
    Bad(f64),
    /// All up to the last one with a value below this.
    Prefix(f64),
    /// Those of which every token has the log-probability 0: they were shown or forced.
    Observations,
    /// All but the last that it answers for.
    AllButLast,
}

/// What is put on which scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// The mean over a step's siblings is subtracted from its value.
    SiblingCenter,
    /// The mean over the task's records is subtracted.
    PerPrompt(Of),
    /// The least of the tree (the task, for records of none) becomes 0, the greatest 1.
    PerTree(Of),
    /// The mean of the dataset becomes 0, its standard deviation 1.
    Whiten(Of),
}

/// The numbers that are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    Reward,
    /// Of the parts.
    Values,
}
