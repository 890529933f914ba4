//! The `propose` verb: a role writes what later recipe steps work on. So far: new questions from a few that are known.

use serde::{Deserialize, Serialize};

use super::Number;
use super::generations::Generations;
use super::tasks::TaskSet;
use crate::ids::Name;

/// Shows a role some training questions and lets it write another one, again and again; makes a set of tasks whose answers nobody knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposals {
    #[serde(rename = "as")]
    pub name: Name,
    /// Who writes.
    pub role: Name,
    pub kind: Kind,
    /// The task set whose training questions are shown. What is written is a question of that kind.
    pub like: Name,
    /// Most questions that are kept.
    pub n: u32,
    /// Questions that are written; twice `n` when absent.
    #[serde(default)]
    pub tries: Option<u32>,
    /// With fewer the recipe step fails; `n` when absent.
    #[serde(default)]
    pub at_least: Option<u32>,
    /// Training questions that are shown each time, drawn anew.
    #[serde(default = "usual_seeds")]
    pub seeds: u32,
    #[serde(default = "one")]
    pub temperature: Number,
    /// Nucleus mass kept; 1 keeps all.
    #[serde(default = "one")]
    pub top_p: Number,
    /// Longest question in tokens, its line end counted; as many as the longest known prompt has characters when absent, at most 512.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Questions.
    Tasks,
}

/// Training questions that are shown where a recipe does not say.
pub const SEEDS: u32 = 4;

fn usual_seeds() -> u32 {
    SEEDS
}

fn one() -> Number {
    Number::Value(1.0)
}

/// Longest question of a set in tokens where a recipe does not say it: its characters, and its end.
#[must_use]
pub fn longest_question(set: &TaskSet) -> u32 {
    let characters = match set {
        TaskSet::Builtin(builtin) => builtin.family.longest().0,
        TaskSet::Files(files) => {
            // Rows that are only counted have no lengths.
            let longest = files.stored.as_ref().map(|stored| stored.longest.prompt);
            longest.filter(|longest| *longest > 0).unwrap_or(LONGEST_QUESTION)
        }
        TaskSet::Env(_) => 0,
    };
    characters.saturating_add(1).min(LONGEST_QUESTION)
}

/// Longest question in tokens where known ones are longer.
const LONGEST_QUESTION: u32 = 512;

impl Proposals {
    /// Questions that are written.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries.unwrap_or_else(|| self.n.saturating_mul(2))
    }

    /// Fewest questions that are kept.
    #[must_use]
    pub fn at_least(&self) -> u32 {
        self.at_least.unwrap_or(self.n)
    }
}
