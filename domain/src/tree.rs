//! Search trees as records: one node a row, as rollouts store them and curation, viewers and other programs read them.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, JobId, Name};
use crate::trajectory::{Outcome, Score, Verdict};

/// A node of a stored tree. A tree's rows stand together, in order of making, the root first; parents come before their children.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// The job that searched.
    pub job: JobId,
    /// `TASK_SET/TASK`: the name of the tree within the job.
    pub tree: String,
    pub task_set: Name,
    pub task: String,
    /// Checkpoint of the policy.
    pub policy: Digest,
    /// From 0, the root.
    pub node: u32,
    /// Absent for the root.
    pub parent: Option<u32>,
    pub depth: u32,
    pub part: NodePart,
    /// What the policy was shown before it wrote the node, if anything was.
    pub guidance: Option<Guidance>,
    /// What the node adds; of the root the prompt.
    pub tokens: Vec<u32>,
    /// Of the root: how many of its tokens are the shared few-shot prefix.
    pub prefix_len: u32,
    /// One for each token that the policy sampled, which come first; the others were shown to it.
    pub log_probs: Vec<f32>,
    pub text: String,
    /// Of an action: what the environment made of it. The tokens of what it showed then stand behind the action's.
    pub turn: Option<TreeTurn>,
    /// Why nothing follows; absent if something may.
    pub end: Option<NodeEnd>,
    /// Whether nothing below it was left to try.
    pub closed: bool,
    /// N.
    pub visits: f64,
    /// W, where the backup sums.
    pub sum: f64,
    /// Q, as the backup defines it.
    pub q: f64,
    /// What evaluators gave the node itself.
    pub own: Option<f64>,
    /// Of answers that were judged in the search. Of the root: suspect, with the reason, if nothing of the tree's values and verdicts is
    /// believed.
    pub verdict: Option<Verdict>,
    pub scores: Vec<Score>,
    /// Refused steps in a row that end here.
    pub errors: u32,
    /// Continuations that were asked for.
    pub asked: u32,
    /// Later proposals that were merged into it.
    pub again: u32,
    /// The batch of expansions that made it.
    pub batch: u32,
    /// Whether a trajectory of the rollout ends here.
    pub found: bool,
}

/// Why nothing of a tree's values and verdicts is believed, if so.
#[must_use]
pub fn doubted(tree: &[TreeNode]) -> Option<&str> {
    let verdict = tree.first()?.verdict.as_ref()?;
    (verdict.outcome == Outcome::Suspect).then_some(verdict.reason.as_str())
}

/// A text that the policy was shown before it wrote a node, made of what came of the node's siblings. It stands before the node's own
/// tokens, for all below it too, and nobody learns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guidance {
    pub text: String,
    pub tokens: Vec<u32>,
}

/// What an environment made of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeTurn {
    Played(PlayedTurn),
    /// It failed, and nothing is known of the action: a verdict of error or timeout that names it.
    Failed(Verdict),
}

/// A turn that was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlayedTurn {
    pub reward: f64,
    /// How well the player has done so far, from 0 to 1.
    pub score: f64,
    /// Why the action was not done; absent if it was.
    pub refused: Option<String>,
    /// Whether the environment said that the episode is over.
    pub over: bool,
    /// What the policy was shown behind the action; empty if it did not fit.
    pub shown: String,
}

/// Who wrote a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodePart {
    /// The policy, as part of its answer.
    Step,
    /// The policy, about an answer.
    Aside,
    /// Not the policy: prompt, instruction, observation.
    Shown,
}

impl NodePart {
    /// Whether the policy wrote it.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        match self {
            Self::Step | Self::Aside => true,
            Self::Shown => false,
        }
    }

    /// All, with their names in tables.
    pub const NAMES: [(Self, &str); 3] = [(Self::Step, "step"), (Self::Aside, "aside"), (Self::Shown, "shown")];
}

/// Why nothing follows a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeEnd {
    /// The answer is there.
    Answered,
    /// Too many steps in a row were refused.
    Killed,
    /// The path is as deep as it may be.
    Cut,
    /// The policy added nothing.
    Empty,
    /// The environment failed, which says nothing about the policy.
    Failed,
}

impl NodeEnd {
    /// All, with their names in tables.
    pub const NAMES: [(Self, &str); 5] = [
        (Self::Answered, "answered"),
        (Self::Killed, "killed"),
        (Self::Cut, "cut"),
        (Self::Empty, "empty"),
        (Self::Failed, "failed"),
    ];
}
