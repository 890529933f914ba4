//! The `controllers` of a recipe: what moves variables between generations, by what is measured on held-out tasks. Here is what may be
//! written; `controller/grid.rs` says which points are tried, `controller/measure.rs` what a point is worth.

mod grid;
mod measure;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use super::curate::Measure;
use super::search::{Rollout, Search};
use super::tournament::Selection;
use super::verify::Verifier;
use crate::ids::Name;

pub use grid::{Grid, Point};
pub use measure::{Cut, Draw, Sweep};

/// Moves variables. A choice, as every verb is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    GridArgmax(GridArgmax),
}

/// Measures every point of a grid of values and takes the best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridArgmax {
    #[serde(rename = "as", default)]
    pub name: Option<Name>,
    /// Held-out tasks by set.
    pub on: BTreeMap<Name, Selection>,
    /// Who samples.
    #[serde(default = "policy")]
    pub role: Name,
    /// How; the moved variables that it names are sampled anew for each of their values.
    pub search: Search,
    #[serde(default = "rule_only")]
    pub verify: Vec<Verifier>,
    /// The number of a sample that `filter` looks at and `reward_pass` ranks by.
    #[serde(default = "reward")]
    pub by: Measure,
    /// Which samples are selected; the moved variables that it names cost no sampling. All are, when absent.
    #[serde(default)]
    pub filter: Option<Bounds>,
    pub metric: Metric,
    /// The variables and the values that are tried.
    pub moves: BTreeMap<Name, Range>,
    /// Generations from one decision to the next; the first is in generation 1.
    #[serde(default = "one")]
    pub every: u32,
    #[serde(default)]
    pub budget: Budget,
}

fn policy() -> Name {
    #[expect(clippy::expect_used, reason = "a constant of letters is a name")]
    Name::new("policy").expect("`policy` is a name")
}

fn rule_only() -> Vec<Verifier> {
    vec![Verifier::Rule]
}

fn reward() -> Measure {
    Measure::Reward
}

fn one() -> u32 {
    1
}

/// Bounds of a sample's number; all that are given hold. A sample without the number is outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    #[serde(default)]
    pub above: Option<Number>,
    #[serde(default)]
    pub at_least: Option<Number>,
    #[serde(default)]
    pub below: Option<Number>,
    #[serde(default)]
    pub at_most: Option<Number>,
}

impl Bounds {
    /// Each with its word.
    #[must_use]
    pub fn each(&self) -> [(&'static str, Option<&Number>); 4] {
        [
            ("above", self.above.as_ref()),
            ("at_least", self.at_least.as_ref()),
            ("below", self.below.as_ref()),
            ("at_most", self.at_most.as_ref()),
        ]
    }
}

/// What makes a point of the grid better than another; the mean over tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    BalanceScore(BalanceScore),
    RewardPass(RewardPass),
    /// The chance that one of k samples passes (unbiased estimator); `filter` does not change it.
    PassAt(u32),
    /// A negative control: a number drawn by seed. As much is sampled as for the others.
    Random,
}

impl Metric {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BalanceScore(_) => "balance_score",
            Self::RewardPass(_) => "reward_pass",
            Self::PassAt(_) => "pass_at",
            Self::Random => "random",
        }
    }
}

/// B-STaR's balance of exploration and exploitation (arXiv 2412.17256): with n unique selected samples of a task and c right ones
/// among them, min(c / n*, 1) · c / n, and 0 without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceScore {
    /// Right samples that are wished for of each task.
    #[serde(default = "eight")]
    pub n_star: u32,
}

fn eight() -> u32 {
    8
}

/// Whether a right answer is among the selected samples that rank first (M-STaR, arXiv 2412.17451).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardPass {
    #[serde(default = "two")]
    pub top: u32,
}

fn two() -> u32 {
    2
}

/// The values `from`, `from + step`, ... up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub from: f64,
    pub to: f64,
    pub step: f64,
}

/// How much is sampled before a point is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Every point on all tasks.
    #[default]
    Full,
    /// Every sampled point on a quarter of the tasks, the better half on a half of them, the best quarter on all.
    SuccessiveHalving,
}

/// One round of measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The part of the tasks that is known after it, in quarters.
    pub quarters: u32,
    /// The part of the sampled points that it measures, as a divisor.
    pub divisor: u32,
}

impl Rung {
    /// How many of `tasks` tasks, the first ones, are known after it: rounded up.
    #[must_use]
    pub fn tasks(self, tasks: u32) -> u32 {
        (tasks * self.quarters).div_ceil(4)
    }

    /// How many of `points` points it measures: rounded up.
    #[must_use]
    pub fn points(self, points: usize) -> usize {
        points.div_ceil(self.divisor as usize)
    }
}

impl Budget {
    /// The rounds, in order.
    #[must_use]
    pub fn rungs(self) -> &'static [Rung] {
        match self {
            Self::Full => &[Rung { quarters: 4, divisor: 1 }],
            Self::SuccessiveHalving => {
                &[Rung { quarters: 1, divisor: 1 }, Rung { quarters: 2, divisor: 2 }, Rung { quarters: 4, divisor: 4 }]
            }
        }
    }
}

impl Controller {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::GridArgmax(_) => "grid_argmax",
        }
    }

    /// The name given with `as`, if any.
    #[must_use]
    pub fn given_name(&self) -> Option<&Name> {
        match self {
            Self::GridArgmax(grid) => grid.name.as_ref(),
        }
    }

    /// Whether it decides at the start of this generation, from 1.
    #[must_use]
    pub fn is_due(&self, generation: u32) -> bool {
        match self {
            Self::GridArgmax(grid) => generation.saturating_sub(1).is_multiple_of(grid.every.max(1)),
        }
    }
}

impl GridArgmax {
    /// What it samples, as the rollout that it is but for its split.
    #[must_use]
    pub fn rollout(&self, name: Name) -> Rollout {
        Rollout {
            name,
            role: self.role.clone(),
            tasks: self.on.iter().map(|(set, selection)| (set.clone(), selection.n)).collect(),
            search: self.search.clone(),
            verify: self.verify.clone(),
            retry: super::search::RETRY,
            most_errors: super::search::MOST_ERRORS,
            canaries: None,
            generations: None,
        }
    }
}
