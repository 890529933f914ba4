//! Verifiers of episodes: what an environment paid, and a role that says whether an episode succeeded; and how much of an episode those
//! read that read texts.

use serde::{Deserialize, Serialize};

use super::Squash;
use crate::ids::Name;

/// What a verifier of texts reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The answer; of an episode its last action.
    #[default]
    Answer,
    /// All of an episode: what was done and what was shown.
    Episode,
}

/// The return: the sum over turns t, from 0, of `gamma`^t times the turn's reward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvReturn {
    #[serde(default = "one")]
    pub gamma: f64,
    /// Least return that passes. When absent, an episode passes if the environment's own score is 1.
    #[serde(default)]
    pub pass_at: Option<f64>,
}

impl Default for EnvReturn {
    fn default() -> Self {
        Self { gamma: 1.0, pass_at: None }
    }
}

fn one() -> f64 {
    1.0
}

/// A role asked once, behind the whole episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessClassifier {
    /// Of a scalar head, or of two classes.
    pub role: Name,
    /// Least number that passes: of two classes the probability of the second one.
    #[serde(default = "half")]
    pub pass_at: f64,
    /// What becomes of a scalar head's number before.
    #[serde(default = "sigmoid")]
    pub squash: Squash,
}

fn half() -> f64 {
    0.5
}

fn sigmoid() -> Squash {
    Squash::Sigmoid
}
