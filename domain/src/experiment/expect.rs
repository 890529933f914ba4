//! What must come out: one comparison of an arm with another arm, or with a number.

use serde::{Deserialize, Serialize};

use super::measure::Read;
use crate::ids::Name;
use crate::recipe::evaluate::Metric;

/// One thing that must come out: exactly one of the five comparisons is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub arm: Name,
    /// Of arms that have none of their own; the experiment's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// When it is read, of arms that do not say so; at the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Read>,
    /// The interval of the difference lies above `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Name>,
    /// The interval of the difference lies below `-by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Name>,
    /// A difference of more than `within` is not shown: the interval reaches down to `within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_above: Option<Name>,
    /// The interval of the difference lies above `-within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Name>,
    /// The interval of the arm's own value lies within `within` of this number, as theory gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<f64>,
    /// Tolerance of `not_above`, `at_least` and `near`, in units of the metric.
    #[serde(default)]
    pub within: f64,
    /// Least difference of `above` and `below`, in units of the metric.
    #[serde(default)]
    pub by: f64,
}

/// How an expectation compares, and with what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comparison<'a> {
    Above(&'a Name),
    Below(&'a Name),
    NotAbove(&'a Name),
    AtLeast(&'a Name),
    Near(f64),
}

impl<'a> Comparison<'a> {
    /// The arm compared with, if it is one.
    #[must_use]
    pub fn other(self) -> Option<&'a Name> {
        match self {
            Self::Above(name) | Self::Below(name) | Self::NotAbove(name) | Self::AtLeast(name) => Some(name),
            Self::Near(_) => None,
        }
    }
}

impl Expect {
    /// The comparison; `None` unless exactly one is given (a checked experiment has one).
    #[must_use]
    pub fn comparison(&self) -> Option<Comparison<'_>> {
        let given = [
            self.above.as_ref().map(Comparison::Above),
            self.below.as_ref().map(Comparison::Below),
            self.not_above.as_ref().map(Comparison::NotAbove),
            self.at_least.as_ref().map(Comparison::AtLeast),
            self.near.map(Comparison::Near),
        ];
        let mut given = given.into_iter().flatten();
        let first = given.next();
        if given.next().is_some() { None } else { first }
    }

    /// The arms that take part.
    pub fn arms(&self) -> impl Iterator<Item = &Name> {
        std::iter::once(&self.arm).chain(self.comparison().and_then(Comparison::other))
    }

    /// What the interval must show, for people.
    #[must_use]
    pub fn rule(&self) -> String {
        match self.comparison() {
            None => "exactly one comparison".to_owned(),
            Some(Comparison::Above(_)) => format!("all of the interval above {}", self.by),
            Some(Comparison::Below(_)) => format!("all of the interval below {}", 0.0 - self.by),
            Some(Comparison::NotAbove(_)) => format!("a part of the interval at {} or below", self.within),
            Some(Comparison::AtLeast(_)) => format!("all of the interval at {} or above", 0.0 - self.within),
            Some(Comparison::Near(value)) => {
                format!("all of the interval from {:.3} to {:.3}", value - self.within, value + self.within)
            }
        }
    }

    /// The whole expectation, for people: `method above control by 0.2`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let within = |text: String| if self.within > 0.0 { format!("{text} within {}", self.within) } else { text };
        let by = |text: String| if self.by > 0.0 { format!("{text} by {}", self.by) } else { text };
        let arm = &self.arm;
        match self.comparison() {
            None => format!("{arm} is compared with nothing, or with several"),
            Some(Comparison::Above(other)) => by(format!("{arm} above {other}")),
            Some(Comparison::Below(other)) => by(format!("{arm} below {other}")),
            Some(Comparison::NotAbove(other)) => within(format!("{arm} not above {other}")),
            Some(Comparison::AtLeast(other)) => within(format!("{arm} at least {other}")),
            Some(Comparison::Near(value)) => within(format!("{arm} near {value}")),
        }
    }
}
