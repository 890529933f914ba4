//! Reads off a finished evolution what an experiment compares: one number per arm and seed, and what it cost.

use galapagos_domain::cluster::view::{Decision, EvolutionView, Interval, Phase, StepView, Summary};
use galapagos_domain::experiment::measure;
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::evaluate::Metric;
use serde::Serialize;

use crate::outcome;

/// One run as an arm of an experiment sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    pub seed: u64,
    /// The metric of the arm's member on the sealed tasks, with the interval of this one run.
    pub value: Interval,
    /// Tokens sampled or trained on before `finish`: what the arm was given to reach the value.
    pub tokens: u64,
    /// Challengers that a gate promoted, and all that it judged.
    pub promoted: u64,
    pub judged: u64,
}

impl Reading {
    /// What `member` came to in `view`; `None` if `finish` did not measure it with this metric on sealed tasks.
    #[must_use]
    pub fn of(view: &EvolutionView, member: &Name, metric: &Metric) -> Option<Self> {
        let scores: Vec<_> = outcome::final_scores(view).cloned().collect();
        let gates: Vec<Decision> = view.steps.iter().filter_map(decision).collect();
        Some(Self {
            seed: view.seed.0,
            value: measure(&scores, metric, member)?,
            tokens: view.steps.iter().filter(|step| step.phase != Phase::Finish).map(|step| step.tokens).sum(),
            promoted: gates.iter().filter(|&&decision| decision == Decision::Promoted).count() as u64,
            judged: gates.len() as u64,
        })
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
        | Summary::Control(_) => None,
    }
}
