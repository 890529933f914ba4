//! Reads off a finished evolution what an experiment compares: its numbers per arm and seed, and what they cost.

use galapagos_domain::cluster::view::{Decision, EvolutionView, Interval, Phase, StepView, Summary};
use galapagos_domain::experiment::{Figure, Line, PlannedArm};
use serde::Serialize;

/// One run as an arm of an experiment sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    pub seed: u64,
    /// What the table of arms shows, with the interval of this one run.
    pub value: Interval,
    /// The other measures that expectations ask for, in the arm's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Interval>,
    /// Of a search: tokens sampled per task, in the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<f64>,
    /// Tokens sampled or trained on before `finish`: what the arm was given to reach the value.
    pub tokens: u64,
    /// Challengers that a gate promoted, and all that it judged.
    pub promoted: u64,
    pub judged: u64,
    /// What each figure draws of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Vec<Line>>,
}

impl Reading {
    /// What the arm came to in `view`.
    ///
    /// # Errors
    /// The measure that the run has no score for, in words.
    pub fn of(view: &EvolutionView, arm: &PlannedArm, figures: &[Figure]) -> Result<Self, String> {
        let mut values = Vec::with_capacity(arm.measures.len());
        for measure in &arm.measures {
            let missing = || format!("{}{}", crate::render::metric(&measure.metric), measure.when());
            values.push(measure.of(view, &arm.member).ok_or_else(missing)?);
        }
        let mut values = values.into_iter();
        let value = values.next().ok_or_else(|| "anything".to_owned())?;
        let gates: Vec<Decision> = view.steps.iter().filter_map(decision).collect();
        Ok(Self {
            seed: view.seed.0,
            value,
            others: values.collect(),
            spent: arm.measures.first().and_then(|measure| measure.spent(view, &arm.member)),
            tokens: view.steps.iter().filter(|step| step.phase != Phase::Finish).map(|step| step.tokens).sum(),
            promoted: gates.iter().filter(|&&decision| decision == Decision::Promoted).count() as u64,
            judged: gates.len() as u64,
            figures: figures.iter().map(|figure| figure.lines(view, &arm.name, &arm.member)).collect(),
        })
    }

    /// The value of the arm's measure at `place`.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<Interval> {
        match place.checked_sub(1) {
            None => Some(self.value),
            Some(place) => self.others.get(place).copied(),
        }
    }
}

fn decision(step: &StepView) -> Option<Decision> {
    match step.summary.as_ref()? {
        Summary::Tournament(ladder) => Some(ladder.decision),
        Summary::Base { .. }
        | Summary::Rollout { .. }
        | Summary::Curate { .. }
        | Summary::Train { .. }
        | Summary::Evaluate { .. }
        | Summary::Control(_)
        | Summary::Propose { .. } => None,
    }
}
