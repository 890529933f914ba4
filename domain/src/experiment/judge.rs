//! The verdict on an experiment: each expectation against the interval of a difference between two arms.
//!
//! With several seeds a difference is paired by seed and its interval is Student's over the seeds; with one seed it is
//! made of the two runs' own intervals, as of independent measurements.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Comparison, Expect};
use crate::ids::Name;
use crate::stats::Interval;
use crate::stats::student::t975;

/// What an arm measured, seed by seed in the experiment's order.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmResult {
    pub control: bool,
    pub values: Vec<Interval>,
}

/// Whether the claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Holds,
    DoesNotHold,
}

/// One expectation, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expectation {
    /// For people: `method above control`.
    pub expectation: String,
    /// The difference between the two arms; absent if a value is missing.
    pub difference: Option<Interval>,
    pub holds: bool,
}

/// The judged experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Each arm's mean over seeds.
    pub arms: BTreeMap<Name, Interval>,
    pub expectations: Vec<Expectation>,
    /// `Holds` only if every expectation does.
    pub verdict: Outcome,
    /// Whether there is an expectation about a control, and all of them hold: the control failed, as it must.
    pub control_fails: bool,
}

/// Judges `expect` on what the arms measured. An arm without values fails every expectation about it.
#[must_use]
pub fn judge(expect: &[Expect], results: &BTreeMap<Name, ArmResult>) -> Report {
    let judged: Vec<(bool, Expectation)> = expect.iter().map(|e| expectation(e, results)).collect();
    let holds = !judged.is_empty() && judged.iter().all(|(_, e)| e.holds);
    let about_control = || judged.iter().filter(|(control, _)| *control);
    Report {
        arms: results.iter().filter_map(|(name, arm)| Some((name.clone(), over_seeds(&arm.values)?))).collect(),
        verdict: if holds { Outcome::Holds } else { Outcome::DoesNotHold },
        control_fails: about_control().next().is_some() && about_control().all(|(_, e)| e.holds),
        expectations: judged.into_iter().map(|(_, e)| e).collect(),
    }
}

/// Judges one expectation; also says whether a control takes part.
fn expectation(expect: &Expect, results: &BTreeMap<Name, ArmResult>) -> (bool, Expectation) {
    let Some((comparison, other)) = expect.comparison() else {
        let expectation = format!("{} is compared with nothing, or with several arms", expect.arm);
        return (false, Expectation { expectation, difference: None, holds: false });
    };
    let (arm, other_arm) = (results.get(&expect.arm), results.get(other));
    let difference = arm.zip(other_arm).and_then(|(a, b)| difference(&a.values, &b.values));
    let (within, by) = (expect.within, expect.by);
    let holds = difference.is_some_and(|d| match comparison {
        Comparison::Above => d.low > by,
        Comparison::Below => d.high < -by,
        Comparison::NotAbove => d.low <= within,
        Comparison::AtLeast => d.low >= -within,
    });
    let word = match comparison {
        Comparison::Above => "above",
        Comparison::Below => "below",
        Comparison::NotAbove => "not above",
        Comparison::AtLeast => "at least",
    };
    let tolerance = match comparison {
        Comparison::Above | Comparison::Below if by > 0.0 => format!(" by {by}"),
        Comparison::NotAbove | Comparison::AtLeast if within > 0.0 => format!(" within {within}"),
        Comparison::Above | Comparison::Below | Comparison::NotAbove | Comparison::AtLeast => String::new(),
    };
    let expectation = format!("{} {word} {other}{tolerance}", expect.arm);
    let control = [arm, other_arm].into_iter().flatten().any(|a| a.control);
    (control, Expectation { expectation, difference, holds })
}

/// Mean over seeds with Student's interval; one seed has its own.
fn over_seeds(values: &[Interval]) -> Option<Interval> {
    match values {
        [only] => Some(*only),
        several => student(&several.iter().map(|v| v.mean).collect::<Vec<_>>()),
    }
}

/// `a - b`, paired by seed; `None` unless both have a value for every seed.
fn difference(a: &[Interval], b: &[Interval]) -> Option<Interval> {
    if a.len() != b.len() {
        return None;
    }
    if let ([a], [b]) = (a, b) {
        let mean = a.mean - b.mean;
        let below = (a.mean - a.low).hypot(b.high - b.mean);
        let above = (a.high - a.mean).hypot(b.mean - b.low);
        return Some(Interval { mean, low: mean - below, high: mean + above });
    }
    student(&a.iter().zip(b).map(|(a, b)| a.mean - b.mean).collect::<Vec<_>>())
}

/// Student's 95% interval of a mean of at least two values.
fn student(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = t975(n as u64 - 1) * (variance / n as f64).sqrt();
    Some(Interval { mean, low: mean - half, high: mean + half })
}
