//! The `curate` verb: what it reads; its data operators are `operator`, and the parts that stand behind their words `choice`.

mod choice;
mod operator;

pub use choice::*;
pub use operator::*;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::shape::{self, Never, Shape};
use crate::ids::Name;

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
