//! The findings of an experiment: the object that `reproduce --json` prints, and the exit code that follows from it.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::Interval;
use galapagos_domain::experiment::{
    ArmResult, Comparison, Expect, Experiment, METHOD, Outcome, PlannedArm, Scale, judge,
};
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::evaluate::Metric;
use serde::Serialize;

use super::machine::{Machine, Versions};
use super::reading::Reading;
use crate::error::Exit;

/// What was asked, by whom it was measured.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub name: &'a str,
    pub experiment: &'a Experiment,
    pub scale: Scale,
    pub arms: &'a [PlannedArm],
}

/// Everything an experiment found. The fields up to `machine` are a contract for scripts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    pub name: String,
    pub claim: String,
    pub metric: Metric,
    pub method: Option<Mean>,
    /// The arms of these names; `null` if the experiment has none.
    pub baseline: Option<Mean>,
    pub control: Option<Mean>,
    pub seeds: Vec<u64>,
    /// Over every expectation.
    pub verdict: Outcome,
    /// Whether everything that is expected of controls came out. A quick run leaves out what is expected of the method.
    pub control_fails: bool,
    /// What the runs took, without the time they were interrupted.
    pub seconds: f64,
    pub versions: Versions,
    pub machine: Machine,
    /// A quick run checks the control, not the claim.
    pub quick: bool,
    pub arms: BTreeMap<Name, Arm>,
    pub expect: Vec<Judged>,
}

/// A mean over seeds with its 95% interval (Student's t; the run's own interval where there is one seed).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    pub mean: f64,
    pub ci95: [f64; 2],
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arm {
    #[serde(flatten)]
    pub mean: Option<Mean>,
    pub member: Name,
    pub control: bool,
    pub recipe_digest: String,
    pub readings: Vec<Reading>,
    /// Tokens that the arm was given, over those of the method.
    pub tokens_ratio: Option<f64>,
}

/// One expectation, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    pub expectation: String,
    pub difference: Option<Mean>,
    pub holds: bool,
    /// What the interval had to show.
    pub rule: String,
}

impl From<Interval> for Mean {
    fn from(interval: Interval) -> Self {
        Self { mean: interval.mean, ci95: [interval.low, interval.high] }
    }
}

impl Findings {
    /// Judges what the arms measured; `readings` stand in the order of the arms, each in the order of the seeds.
    #[must_use]
    pub fn of(subject: Subject<'_>, readings: &[Vec<Reading>], elapsed_ms: u64) -> Self {
        let header = subject.experiment.header();
        let results: BTreeMap<Name, ArmResult> = subject
            .arms
            .iter()
            .zip(readings)
            .map(|(arm, readings)| {
                let values = readings.iter().map(|reading| reading.value).collect();
                (arm.name.clone(), ArmResult { control: arm.control, values })
            })
            .collect();
        let report = judge(&header.expect, &results);
        let control_fails = match subject.scale {
            Scale::Full => report.control_fails,
            Scale::Quick => judge(&without_method(&header.expect), &results).control_fails,
        };
        let mean =
            |name: &str| report.arms.iter().find(|(arm, _)| arm.as_str() == name).map(|(_, mean)| Mean::from(*mean));
        let rules = header.expect.iter().map(rule);
        let judged = report.expectations.iter().zip(rules).map(|(e, rule)| Judged {
            expectation: e.expectation.clone(),
            difference: e.difference.map(Mean::from),
            holds: e.holds,
            rule,
        });
        Self {
            name: subject.name.to_owned(),
            claim: header.claim.clone(),
            metric: header.metric.clone(),
            method: mean(METHOD),
            baseline: mean("baseline"),
            control: mean("control"),
            seeds: subject.experiment.seeds(subject.scale).to_vec(),
            verdict: report.verdict,
            control_fails,
            seconds: elapsed_ms as f64 / 1000.0,
            versions: Versions::here(subject.arms.first().map_or(1, |arm| arm.recipe.galapagos)),
            machine: Machine::here(),
            quick: subject.scale == Scale::Quick,
            arms: arms(subject.arms, readings, &mean),
            expect: judged.collect(),
        }
    }

    /// Done only if the verdict holds and the control fails; a quick run is about the control alone.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let holds = self.quick || self.verdict == Outcome::Holds;
        if holds && self.control_fails { Exit::Done } else { Exit::Failed }
    }
}

fn arms(arms: &[PlannedArm], readings: &[Vec<Reading>], mean: &dyn Fn(&str) -> Option<Mean>) -> BTreeMap<Name, Arm> {
    let tokens = |readings: &[Reading]| readings.iter().map(|reading| reading.tokens).sum::<u64>();
    let of_method =
        arms.iter().zip(readings).find(|(arm, _)| arm.name.as_str() == METHOD).map_or(0, |(_, r)| tokens(r));
    let one = |(arm, readings): (&PlannedArm, &Vec<Reading>)| {
        let found = Arm {
            mean: mean(arm.name.as_str()),
            member: arm.member.clone(),
            control: arm.control,
            recipe_digest: arm.recipe.digest().hex(),
            readings: readings.clone(),
            tokens_ratio: (of_method > 0).then(|| tokens(readings) as f64 / of_method as f64),
        };
        (arm.name.clone(), found)
    };
    arms.iter().zip(readings).map(one).collect()
}

/// The expectations that the method has no part in.
fn without_method(expect: &[Expect]) -> Vec<Expect> {
    let about_method = |e: &Expect| {
        let other = e.comparison().map(|(_, other)| other);
        [Some(&e.arm), other].into_iter().flatten().any(|arm| arm.as_str() == METHOD)
    };
    expect.iter().filter(|e| !about_method(e)).cloned().collect()
}

/// What the interval of the difference must show.
fn rule(expect: &Expect) -> String {
    match expect.comparison() {
        None => "exactly one comparison".to_owned(),
        Some((Comparison::Above, _)) => format!("all of the interval above {}", expect.by),
        Some((Comparison::Below, _)) => format!("all of the interval below {}", 0.0 - expect.by),
        Some((Comparison::NotAbove, _)) => format!("a part of the interval at {} or below", expect.within),
        Some((Comparison::AtLeast, _)) => format!("all of the interval at {} or above", 0.0 - expect.within),
    }
}

#[cfg(test)]
mod tests;
