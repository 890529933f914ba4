//! The `rollout` verb: who searches which tasks how, and what verifies the result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use crate::ids::Name;

/// Reads a role and tasks; makes verified trajectories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    #[serde(rename = "as")]
    pub name: Name,
    pub role: Name,
    /// How many training tasks of each set this generation takes; successive generations take successive ones.
    pub tasks: BTreeMap<Name, Amount>,
    pub search: Search,
    #[serde(default = "rule_only")]
    pub verify: Vec<Verifier>,
}

fn rule_only() -> Vec<Verifier> {
    vec![Verifier::Rule]
}

/// How many tasks of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    Count(u32),
    /// The word `all`.
    All(All),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum All {
    All,
}

impl Amount {
    /// The number of tasks out of `available`.
    #[must_use]
    pub fn of(self, available: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(available),
            Self::All(All::All) => available,
        }
    }
}

/// A search strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// `n` independent samples per task.
    SampleK(SampleK),
}

/// Independent samples from the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleK {
    /// Samples per task.
    pub n: u32,
    #[serde(default = "default_temperature")]
    pub temperature: Number,
    /// Nucleus mass kept; 1 keeps all.
    #[serde(default = "default_top_p")]
    pub top_p: Number,
    /// Longest completion in tokens; the task family's own limit when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
}

/// Temperature of sampling where a recipe does not say.
pub const DEFAULT_TEMPERATURE: f64 = 0.8;

pub(crate) fn default_temperature() -> Number {
    Number::Value(DEFAULT_TEMPERATURE)
}

fn default_top_p() -> Number {
    Number::Value(1.0)
}

/// A verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// The task family's exact checker.
    Rule,
}
