//! Policy gradients: what a reward is compared with, how far the policy may move, and how credit is spread.

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// Settings of [`Loss::Pg`](super::Loss::Pg).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyGradient {
    /// What is subtracted from a reward.
    #[serde(default)]
    pub baseline: Baseline,
    /// What advantages are divided by.
    #[serde(default)]
    pub scale: Scale,
    #[serde(default)]
    pub surrogate: Surrogate,
    #[serde(default)]
    pub credit: Credit,
    #[serde(default)]
    pub average: Average,
    /// The policy that ratios are taken against.
    #[serde(default)]
    pub proximal: Proximal,
}

/// What a policy gradient subtracts from a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    None,
    /// The mean reward of the task's samples, this one included.
    #[default]
    Group,
    /// The mean reward of the task's other samples.
    LeaveOneOut,
    /// The reward of the greedy record of its task and policy, as `greedy` of `sample_k` draws one; tasks without one are left out.
    Greedy,
    /// A critic's values at every token, by generalised advantage estimation.
    Critic(Critic),
}

/// Advantages from a critic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Critic {
    /// A role with a scalar head, trained before by `value`.
    pub role: Name,
    /// Discount from token to token.
    #[serde(default = "super::whole")]
    pub gamma: f64,
    /// Mixes temporal differences (0) and whole returns (1).
    #[serde(default = "super::default_lambda")]
    pub lambda: f64,
}

/// What advantages are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Nothing.
    None,
    /// The standard deviation of the task's rewards.
    #[default]
    GroupStd,
    /// The standard deviation over all records of the round.
    AllStd,
}

/// How a step away from the old policy is rewarded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surrogate {
    /// Advantage times log-probability.
    Reinforce,
    /// Advantage times the token's probability ratio, clipped.
    Clip(Clip),
    /// Advantage times the geometric mean of a record's ratios, clipped.
    SequenceClip(Clip),
}

/// How far a ratio may move before its gradient ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    #[serde(default = "default_clip_range")]
    pub low: f64,
    #[serde(default = "default_clip_range")]
    pub high: f64,
    /// Bound on the ratio of records with negative advantage; none when absent.
    #[serde(default)]
    pub dual: Option<f64>,
}

impl Default for Surrogate {
    fn default() -> Self {
        Self::Clip(Clip { low: default_clip_range(), high: default_clip_range(), dual: None })
    }
}

/// Which reward a token answers for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// The record's.
    #[default]
    Whole,
    /// Its turn's own and the later turns', discounted per turn.
    PerTurn(PerTurn),
    /// The record's, times what a critic gives the record's class behind the token.
    CriticClass(CriticClass),
}

/// Credit token by token: the probability of the record's class under a critic that has read so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticClass {
    /// A role with a head of classes, trained before by `pointwise`.
    pub role: Name,
}

/// Credit turn by turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerTurn {
    /// 0: each turn answers for its own reward alone; 1: for all that follow.
    #[serde(default)]
    pub gamma: f64,
}

/// What a batch's loss is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// All tokens count alike.
    #[default]
    Token,
    /// All records count alike, each by the mean of its tokens.
    Sequence,
    /// Sums of tokens over so many, whatever a record's length.
    Constant(u32),
}

/// The policy that ratios are taken against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Proximal {
    /// The one that sampled the record, by its recorded log-probabilities.
    #[default]
    Behaviour,
    /// The round's start; what sampled the record enters as an importance weight, cut off here. For stale data.
    Start {
        #[serde(default = "default_weight_cap")]
        weight_cap: f64,
    },
}

fn default_clip_range() -> f64 {
    0.2
}
fn default_weight_cap() -> f64 {
    5.0
}
