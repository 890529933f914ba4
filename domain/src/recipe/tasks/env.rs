//! Task sets of environments: every task is an instance that a policy plays, turn by turn.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Split;

/// The built-in environments that a policy can play by itself.
pub const SINGLE_PLAYER: [&str; 9] =
    ["countdown", "arithmetic", "list_program", "repository", "text_world", "grid", "life", "bandit", "chain"];

/// The built-in environments that state which goals are reached.
pub const STATES_GOALS: [&str; 1] = ["grid"];

/// What asks for an action where a recipe does not say.
pub const ASK: &str = "\n> ";

/// An environment: built in by its `name`, or one behind HTTP by its `url`. Instances are numbered in each split and drawn from the run's
/// seed; splits share none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Env {
    #[serde(default)]
    pub name: Option<String>,
    /// A server of the protocol of docs/environments.md, for example `http://127.0.0.1:8080`.
    #[serde(default)]
    pub url: Option<String>,
    /// The environment's options.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Instances in the training split.
    pub train: u32,
    /// Instances that gates and controllers may read.
    pub val: u32,
    /// Sealed: read only by `finish`.
    pub test: u32,
    /// Most tokens of an episode behind its first observation, those of observations counted; with that observation they must fit the
    /// model's context.
    pub tokens: u32,
    /// Longest action in tokens; it ends with its line in any case.
    #[serde(default = "line")]
    pub max_tokens: u32,
    /// What stands before the first observation.
    #[serde(default)]
    pub instruction: Option<String>,
    /// What stands behind each observation and asks for an action; [`ASK`] when absent.
    #[serde(default)]
    pub ask: Option<String>,
    /// Whether each observation is followed by what may be done.
    #[serde(default)]
    pub legal: bool,
    /// Seconds that a call to a server may take, with its tries.
    #[serde(default = "minute")]
    pub deadline: u32,
    /// How often a turn that the server failed is tried again.
    #[serde(default = "twice")]
    pub retries: u32,
    /// Every episode begins behind actions that were not the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunBy>,
}

/// Actions behind which an episode begins: drawn by the instance's seed among those that may be done, that bring no reward and that do not
/// end the episode. They stand in what the policy reads first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BegunBy {
    /// How many; fewer where every action that may be done brings a reward or ends the episode.
    pub actions: u32,
}

fn line() -> u32 {
    32
}

fn minute() -> u32 {
    60
}

fn twice() -> u32 {
    2
}

impl Env {
    /// Instances in a split. There are no demonstrations.
    #[must_use]
    pub fn size(&self, split: Split) -> u32 {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
            Split::Demonstrations => 0,
        }
    }

    /// What stands behind each observation.
    #[must_use]
    pub fn ask(&self) -> &str {
        self.ask.as_deref().unwrap_or(ASK)
    }

    /// What stands before the first observation.
    #[must_use]
    pub fn instruction(&self) -> &str {
        self.instruction.as_deref().unwrap_or_default()
    }

    /// The name or address.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.url.as_deref()).unwrap_or("env")
    }

    /// Every character that an episode may hold, as far as is known: environments write printable ASCII.
    #[must_use]
    pub fn characters(&self) -> BTreeSet<char> {
        (' '..='~').chain(['\n']).chain(self.instruction().chars()).chain(self.ask().chars()).collect()
    }

    /// Characters of the longest episode, without its first observation.
    #[must_use]
    pub fn longest_sequence(&self) -> u64 {
        u64::from(self.tokens) + self.instruction().chars().count() as u64
    }
}
