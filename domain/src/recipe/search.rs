//! The `rollout` verb: who searches which tasks how, and what verifies the result.

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::Number;
use super::guide::{Guide, Speculate};
use super::shape::{self, Never, Shape};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    Count(u32),
    /// The word `all`.
    All(All),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a whole number, or the word `all`";
        match shape::read::<D, Never, Never>(deserializer, EXPECTED)? {
            Shape::Number(number) => shape::whole(number)
                .map(Self::Count)
                .ok_or_else(|| D::Error::invalid_value(Unexpected::Float(number), &EXPECTED)),
            Shape::Text(text) if text == "all" => Ok(Self::All(All::All)),
            Shape::Text(text) => Err(D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Shape::Map(never) | Shape::List(never) => match never {},
        }
    }
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// So many most probable tokens are kept; all when absent. A whole number.
    #[serde(default)]
    pub top_k: Option<Number>,
    /// Tokens less probable than this part of the most probable one are dropped; 0 keeps all.
    #[serde(default = "default_min_p")]
    pub min_p: Number,
    /// Above 1 makes tokens of prompt and completion less likely to come again; 1 changes nothing.
    #[serde(default = "default_repetition_penalty")]
    pub repetition_penalty: Number,
    /// What every completion must be, up to the character that ends an answer.
    #[serde(default)]
    pub guide: Option<Guide>,
    #[serde(default)]
    pub speculate: Speculate,
}

/// Temperature of sampling where a recipe does not say.
pub const DEFAULT_TEMPERATURE: f64 = 0.8;

pub(crate) fn default_temperature() -> Number {
    Number::Value(DEFAULT_TEMPERATURE)
}

fn default_top_p() -> Number {
    Number::Value(1.0)
}

fn default_min_p() -> Number {
    Number::Value(0.0)
}

fn default_repetition_penalty() -> Number {
    Number::Value(1.0)
}

/// A verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// The task family's exact checker.
    Rule,
}
