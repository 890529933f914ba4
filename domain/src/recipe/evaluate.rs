//! The `evaluate` verb: metrics with intervals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use super::guide::{Guide, Speculate};
use super::search::default_temperature;
use super::tournament::Selection;
use crate::ids::Name;

/// Reads members and tasks; makes scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    #[serde(rename = "as", default)]
    pub name: Option<Name>,
    /// `base`, `champion` (the policy role's current member), a role, or a member that a `train` step named.
    pub members: Vec<Name>,
    pub tasks: BTreeMap<Name, Selection>,
    pub metrics: Vec<Metric>,
    /// Temperature of the samples behind `pass_at` and `best_of`; `pass_at_1` is greedy.
    #[serde(default = "default_temperature")]
    pub temperature: Number,
    /// Longest completion in tokens; the task family's own limit when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// What every completion must be, the greedy one too.
    #[serde(default)]
    pub guide: Option<Guide>,
    #[serde(default)]
    pub speculate: Speculate,
}

/// A metric over tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of tasks whose greedy completion passes; Wilson 95% interval.
    #[serde(rename = "pass_at_1")]
    PassAt1,
    /// Expected share of tasks with a pass among k samples (unbiased estimator of Chen et al. 2021).
    PassAt(u32),
    /// Share of tasks whose best of n samples, as a scalar role ranks them, passes.
    BestOf(BestOf),
}

/// Best of n by a critic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOf {
    pub n: u32,
    pub by: Name,
}
