//! Episodes: a policy acts in an environment, turn by turn.

use serde::{Deserialize, Serialize};

use super::propose::Propose;
use super::tree::Evaluate;

/// `propose.n` episodes of every task: the policy reads what the environment shows, acts, reads what came of it, and so on until the
/// environment says that it is over, `turns` actions are taken or the task set's `tokens` are spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvRollout {
    /// `max_tokens` is the longest action; the task set's own limit when absent.
    pub propose: Propose,
    /// Most actions of an episode.
    pub turns: u32,
    /// Asked behind every episode, where one of them is to be kept: that with the highest sum, the earliest of equals. Empty: all are.
    #[serde(default)]
    pub by: Vec<Evaluate>,
}
