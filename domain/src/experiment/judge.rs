//! The verdict on an experiment: each expectation against the interval of a difference between two arms, or of one arm.
//!
//! With several seeds a difference is paired by seed and its interval is Student's over the seeds; with one seed it is
//! made of the two runs' own intervals, as of independent measurements.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::{Measure, minus};
use super::{Comparison, Expect};
use crate::ids::Name;
use crate::stats::Interval;
use crate::stats::student::t975;

/// What an arm measured: of each measure the values, seed by seed in the experiment's order.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmResult {
    pub control: bool,
    pub values: BTreeMap<Measure, Vec<Interval>>,
}

/// An expectation with what is read of each arm for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question<'a> {
    pub expect: &'a Expect,
    pub of_arm: Measure,
    /// `None` where it is compared with a number.
    pub of_other: Option<Measure>,
}

/// Whether the claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
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
    /// The difference between the two arms, or the arm's own value; absent if a value is missing.
    pub difference: Option<Interval>,
    pub holds: bool,
    /// Whether a control takes part.
    pub control: bool,
}

/// The judged experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub expectations: Vec<Expectation>,
    /// `Holds` only if every expectation does.
    pub verdict: Outcome,
    /// Whether there is an expectation about a control, and all of them hold: the control failed, as it must.
    pub control_fails: bool,
}

/// Judges `questions` on what the arms measured. An arm without values fails every expectation about it.
#[must_use]
pub fn judge(questions: &[Question<'_>], results: &BTreeMap<Name, ArmResult>) -> Report {
    let judged: Vec<Expectation> = questions.iter().map(|question| expectation(question, results)).collect();
    let holds = !judged.is_empty() && judged.iter().all(|e| e.holds);
    let about_control = || judged.iter().filter(|e| e.control);
    Report {
        verdict: if holds { Outcome::Holds } else { Outcome::DoesNotHold },
        control_fails: about_control().next().is_some() && about_control().all(|e| e.holds),
        expectations: judged,
    }
}

fn expectation(question: &Question<'_>, results: &BTreeMap<Name, ArmResult>) -> Expectation {
    let expect = question.expect;
    let comparison = expect.comparison();
    let of = |name: &Name, measure: &Measure| results.get(name)?.values.get(measure).map(Vec::as_slice);
    let own = of(&expect.arm, &question.of_arm);
    let difference = match comparison {
        None => None,
        Some(Comparison::Near(_)) => own.and_then(over_seeds),
        Some(
            Comparison::Above(other)
            | Comparison::Below(other)
            | Comparison::NotAbove(other)
            | Comparison::AtLeast(other),
        ) => {
            let others = question.of_other.as_ref().and_then(|measure| of(other, measure));
            own.zip(others).and_then(|(a, b)| difference(a, b))
        }
    };
    let (within, by) = (expect.within, expect.by);
    let holds = difference.zip(comparison).is_some_and(|(d, comparison)| match comparison {
        Comparison::Above(_) => d.low > by,
        Comparison::Below(_) => d.high < -by,
        Comparison::NotAbove(_) => d.low <= within,
        Comparison::AtLeast(_) => d.low >= -within,
        Comparison::Near(value) => d.low >= value - within && d.high <= value + within,
    });
    let control = expect.arms().filter_map(|arm| results.get(arm)).any(|arm| arm.control);
    Expectation { expectation: expect.sentence(), difference, holds, control }
}

/// Mean over seeds with Student's interval; one seed has its own.
#[must_use]
pub fn over_seeds(values: &[Interval]) -> Option<Interval> {
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
        return Some(minus(*a, *b));
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
