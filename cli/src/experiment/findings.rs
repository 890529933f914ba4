//! The findings of an experiment: the object that `reproduce --json` prints, and the exit code that follows from it.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::Interval;
use galapagos_domain::experiment::{
    ArmResult, Experiment, METHOD, Measure, Outcome, PlannedArm, Question, Scale, judge, over_seeds,
};
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::evaluate::Metric;
use serde::Serialize;

use super::drawing::{Drawing, drawings};
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
    pub drawings: Vec<Drawing>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What the mean is of.
    pub measure: Measure,
    pub member: Name,
    pub control: bool,
    pub recipe_digest: String,
    pub readings: Vec<Reading>,
    /// Of a search: tokens sampled per task, in the mean over seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<f64>,
    /// Tokens that the arm was given, over those of the method.
    pub tokens_ratio: Option<f64>,
    /// Of an arm that was run with several values: the one that stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Name>,
}

/// One expectation, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    pub expectation: String,
    /// What is compared, where it is not what the table of arms shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
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
        let arms = arms(subject.arms, readings);
        let results = results(subject.arms, &arms);
        let questions = subject.experiment.questions();
        let report = judge(&questions, &results);
        let control_fails = match subject.scale {
            Scale::Full => report.control_fails,
            Scale::Quick => judge(&without_method(&questions), &results).control_fails,
        };
        let mean = |name: &str| arms.iter().find(|(arm, _)| arm.as_str() == name).and_then(|(_, arm)| arm.mean);
        let judged = report.expectations.iter().zip(&questions).map(|(e, question)| Judged {
            expectation: e.expectation.clone(),
            measure: measured(question, &arms),
            difference: e.difference.map(Mean::from),
            holds: e.holds,
            rule: question.expect.rule(),
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
            drawings: drawings(&header.figures, subject.arms, readings),
            expect: judged.collect(),
            arms,
        }
    }

    /// Done only if the verdict holds and the control fails; a quick run is about the control alone.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let holds = self.quick || self.verdict == Outcome::Holds;
        if holds && self.control_fails { Exit::Done } else { Exit::Failed }
    }
}

/// The arms that ran, and those that the best of several stands for.
fn arms(planned: &[PlannedArm], readings: &[Vec<Reading>]) -> BTreeMap<Name, Arm> {
    let tokens = |readings: &[Reading]| readings.iter().map(|reading| reading.tokens).sum::<u64>();
    let of_method =
        planned.iter().zip(readings).find(|(arm, _)| arm.name.as_str() == METHOD).map_or(0, |(_, r)| tokens(r));
    let one = |(arm, readings): (&PlannedArm, &Vec<Reading>)| {
        let values: Vec<Interval> = readings.iter().map(|reading| reading.value).collect();
        let found = Arm {
            mean: over_seeds(&values).map(Mean::from),
            about: arm.about.clone(),
            measure: arm.measures[0].clone(),
            member: arm.member.clone(),
            control: arm.control,
            recipe_digest: arm.recipe.digest().hex(),
            readings: readings.clone(),
            spent: spent(readings),
            tokens_ratio: (of_method > 0).then(|| tokens(readings) as f64 / of_method as f64),
            best: None,
        };
        (arm.name.clone(), found)
    };
    let mut arms: BTreeMap<Name, Arm> = planned.iter().zip(readings).map(one).collect();
    for group in planned.iter().filter_map(|arm| arm.of.as_ref()) {
        let members = planned.iter().filter(|arm| arm.of.as_ref() == Some(group));
        let mean = |arm: &&PlannedArm| arms[&arm.name].mean.map_or(f64::NEG_INFINITY, |mean| mean.mean);
        let best = members.max_by(|a, b| mean(a).total_cmp(&mean(b)));
        if let Some(best) = best {
            let stands = Arm { best: Some(best.name.clone()), ..arms[&best.name].clone() };
            arms.insert(group.clone(), stands);
        }
    }
    arms
}

fn spent(readings: &[Reading]) -> Option<f64> {
    let spent: Option<f64> = readings.iter().map(|reading| reading.spent).sum();
    spent.filter(|_| !readings.is_empty()).map(|spent| spent / readings.len() as f64)
}

/// What is judged: by arm the values of each of its measures.
fn results(planned: &[PlannedArm], arms: &BTreeMap<Name, Arm>) -> BTreeMap<Name, ArmResult> {
    let one = |(name, arm): (&Name, &Arm)| {
        let ran = arm.best.as_ref().unwrap_or(name);
        let measures = planned.iter().find(|planned| planned.name == *ran).map(|planned| &planned.measures);
        let values = measures.into_iter().flatten().enumerate().map(|(place, measure)| {
            (measure.clone(), arm.readings.iter().filter_map(|reading| reading.at(place)).collect())
        });
        (name.clone(), ArmResult { control: arm.control, values: values.collect() })
    };
    arms.iter().map(one).collect()
}

/// The expectations that the method has no part in.
fn without_method<'a>(questions: &[Question<'a>]) -> Vec<Question<'a>> {
    questions.iter().filter(|q| !q.expect.arms().any(|arm| arm.as_str() == METHOD)).cloned().collect()
}

/// What an expectation compares, where that is not what the table of arms shows of both.
fn measured(question: &Question<'_>, arms: &BTreeMap<Name, Arm>) -> Option<String> {
    let shown = |name: &Name, measure: &Measure| arms.get(name).is_some_and(|arm| arm.measure == *measure);
    let mut compared = question.expect.arms().zip(std::iter::once(&question.of_arm).chain(&question.of_other));
    if compared.all(|(name, measure)| shown(name, measure)) {
        return None;
    }
    Some(said(&question.of_arm))
}

/// What a search spends, to be put behind what is read of its arm; nothing for any other measure.
#[must_use]
pub fn spending(arm: &Arm) -> String {
    arm.spent.map(|spent| format!(", {spent:.0} tokens a task")).unwrap_or_default()
}

/// A measure in words.
#[must_use]
pub fn said(measure: &Measure) -> String {
    let tasks = measure.tasks.as_ref().map(|tasks| {
        let names: Vec<&str> = tasks.iter().map(Name::as_str).collect();
        format!(" on {}", names.join(", "))
    });
    format!("{}{}{}", crate::render::metric(&measure.metric), tasks.unwrap_or_default(), measure.when())
}

#[cfg(test)]
mod tests;
