//! How far the verifiers of a rollout are believed: how often their errors are asked again, how many errors a job may have, and which
//! known answers are mixed in among the real ones.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::shape::{self, Never, Shape};

/// Times that a question is asked again when its verifier erred by chance.
pub const RETRY: u32 = 2;
/// The share of errors above which a job fails.
pub const MOST_ERRORS: f64 = 0.5;
/// Tasks with errors from which on their share says something.
pub const ERRING_TASKS: usize = 4;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    pub retry: u32,
    pub most_errors: f64,
    pub canaries: Option<Canaries>,
}

impl Default for Trust {
    fn default() -> Self {
        Self { retry: RETRY, most_errors: MOST_ERRORS, canaries: None }
    }
}

/// Answers known to be right or wrong, asked among the real ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canaries {
    /// Known answers for each trajectory and verifier.
    pub rate: f64,
    /// The share of them that is right.
    #[serde(default = "half")]
    pub right: f64,
    /// Tasks of every job that begin with a right and a wrong one.
    #[serde(default = "one")]
    pub floor: u32,
    /// The share of `window` that may fail of right ones.
    #[serde(default = "fifth")]
    pub tolerance: f64,
    /// How many right ones are looked at together.
    #[serde(default = "ten")]
    pub window: u32,
}

fn half() -> f64 {
    0.5
}

fn one() -> u32 {
    1
}

fn fifth() -> f64 {
    0.2
}

fn ten() -> u32 {
    10
}

impl Canaries {
    /// At this rate, with everything else as it is by default.
    #[must_use]
    pub fn at(rate: f64) -> Self {
        Self { rate, right: half(), floor: one(), tolerance: fifth(), window: ten() }
    }
}

/// As a recipe has them: a rate, or a map with more.
struct Written(Canaries);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a rate, for example 0.05, or {rate: 0.05, right: 0.5}";
        match shape::read::<D, Canaries, Never>(deserializer, EXPECTED)? {
            Shape::Number(rate) => Ok(Self(Canaries::at(rate))),
            Shape::Map(canaries) => Ok(Self(canaries)),
            Shape::Text(text) => Err(D::Error::invalid_type(Unexpected::Str(&text), &EXPECTED)),
            Shape::List(never) => match never {},
        }
    }
}

/// Reads what a recipe says of them.
pub(super) fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Canaries>, D::Error> {
    Ok(Option::<Written>::deserialize(deserializer)?.map(|Written(canaries)| canaries))
}
