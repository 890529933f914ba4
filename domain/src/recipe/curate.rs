//! The `curate` verb: pure data operators, counts in and out recorded.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::shape::{self, Never, Shape};
use crate::ids::Name;
use crate::trajectory::Outcome;

/// Reads a dataset; makes a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curate {
    #[serde(rename = "as")]
    pub name: Name,
    pub from: From,
    /// Applied in order.
    #[serde(default)]
    pub apply: Vec<Operator>,
}

/// What a `curate` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum From {
    /// A dataset that an earlier recipe step named.
    Dataset(Name),
    /// The solved training problems of a task set, as passed trajectories.
    Demonstrations { demonstrations: Name },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemonstrationsOf {
    demonstrations: Name,
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a dataset's name, or {demonstrations: TASK_SET}";
        match shape::read::<D, DemonstrationsOf, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) => Name::new(text).map(Self::Dataset).map_err(D::Error::custom),
            Shape::Map(DemonstrationsOf { demonstrations }) => Ok(Self::Demonstrations { demonstrations }),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::List(never) => match never {},
        }
    }
}

/// A data operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operator {
    /// Keep the records with this verdict.
    Keep { verdict: Outcome },
    /// Drop a record whose task and completion stand earlier in the dataset.
    Dedupe,
    /// At most `max` records per task, the earliest kept.
    Cap { per: Per, max: u32 },
    /// As many records of each value as the rarer has, taken at random by seed; records that are neither pass nor fail are dropped.
    Balance(BalanceBy),
    /// At most `n` records, taken at random by seed.
    Subsample { n: u32 },
    /// Permute a column among all records (negative controls only).
    Shuffle(super::Shuffled),
}

/// What a cap counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    Task,
}

/// What a balance looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceBy {
    Verdict,
}
