//! The `tournament` verb: bouts, a gate, a promotion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use super::generations::Generations;
use super::guide::{Guide, Speculate};
use super::search::{Amount, default_temperature};
use super::tasks::Split;
use crate::ids::Name;

/// Reads two members and tasks; promotes only what the gate proves better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tournament {
    #[serde(rename = "as", default)]
    pub name: Option<Name>,
    /// The holder (`champion`) and the challenger (a member that a `train` step named).
    pub between: [Name; 2],
    pub tasks: BTreeMap<Name, Selection>,
    #[serde(default)]
    pub bout: BoutForm,
    #[serde(default)]
    pub judge: Judge,
    pub gate: Gate,
    /// The role that a proven challenger takes.
    pub promote: Name,
    /// Mirrored pairs after which an undecided gate refuses.
    #[serde(default = "default_max_pairs")]
    pub max_pairs: u32,
    #[serde(default = "default_temperature")]
    pub temperature: Number,
    /// Longest completion in tokens; the task family's own limit when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// What the completions of both sides must be.
    #[serde(default)]
    pub guide: Option<Guide>,
    #[serde(default)]
    pub speculate: Speculate,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

/// Some tasks of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    pub split: Split,
    #[serde(default = "all")]
    pub n: Amount,
}

fn all() -> Amount {
    Amount::All(super::search::All::All)
}

/// How a bout is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoutForm {
    /// Two bouts on one task with the random streams swapped between the sides; the pair is one observation.
    #[default]
    Mirrored,
}

/// Who decides a bout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// The verifier: a side that passes beats one that fails; otherwise a draw.
    #[default]
    Verifier,
}

/// What must be proven before a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Sprt(Sprt),
}

/// Sequential probability ratio test on mirrored pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sprt {
    /// Elo difference under the null and under the alternative hypothesis.
    pub elo: [f64; 2],
    /// Chance of promoting under the null.
    pub alpha: f64,
    /// Chance of refusing under the alternative.
    pub beta: f64,
}

fn default_max_pairs() -> u32 {
    400
}
