//! The `curate` verb: what it reads; its data operators are `operator`, and the parts that stand behind their words `choice`.

mod choice;
mod operator;

pub use choice::*;
pub use operator::*;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::generations::Generations;
use super::proposals::SEEDS;
use super::shape::{self, Shape};
use crate::ids::Name;

/// Reads datasets; makes a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curate {
    #[serde(rename = "as")]
    pub name: Name,
    pub from: From,
    /// Applied in order.
    #[serde(default)]
    pub apply: Vec<Operator>,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

/// What a `curate` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Datasets that earlier recipe steps named: all records of the first, then those of the next. One is written as its name.
    Datasets(Vec<Name>),
    /// The solved training problems of a task set, as passed trajectories.
    Demonstrations { demonstrations: Name },
    /// The training questions of a task set, each behind `seeds` others, as `propose` shows them: what a policy learns to ask from.
    Questions { questions: Name, seeds: u32 },
}

impl From {
    /// The datasets, in order.
    #[must_use]
    pub fn datasets(&self) -> &[Name] {
        match self {
            Self::Datasets(names) => names,
            Self::Demonstrations { .. } | Self::Questions { .. } => &[],
        }
    }
}

/// What is read of a task set; one of the two.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfTasks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    demonstrations: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    questions: Option<Name>,
    /// Of questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seeds: Option<u32>,
}

impl Serialize for From {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Datasets(names) => match &names[..] {
                [one] => one.serialize(serializer),
                several => several.serialize(serializer),
            },
            Self::Demonstrations { demonstrations } => {
                OfTasks { demonstrations: Some(demonstrations.clone()), ..OfTasks::default() }.serialize(serializer)
            }
            Self::Questions { questions, seeds } => {
                let (questions, seeds) = (Some(questions.clone()), Some(*seeds));
                OfTasks { questions, seeds, ..OfTasks::default() }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str =
            "a dataset's name, a list of them, {demonstrations: TASK_SET} or {questions: TASK_SET, seeds: 4}";
        match shape::read::<D, OfTasks, Vec<Name>>(deserializer, EXPECTED)? {
            Shape::Text(text) => Name::new(text).map(|name| Self::Datasets(vec![name])).map_err(D::Error::custom),
            Shape::List(names) => Ok(Self::Datasets(names)),
            Shape::Map(OfTasks { demonstrations: Some(demonstrations), questions: None, seeds: None }) => {
                Ok(Self::Demonstrations { demonstrations })
            }
            Shape::Map(OfTasks { demonstrations: None, questions: Some(questions), seeds }) => {
                Ok(Self::Questions { questions, seeds: seeds.unwrap_or(SEEDS) })
            }
            Shape::Map(_) => Err(D::Error::custom(format!("expected {EXPECTED}"))),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
        }
    }
}
