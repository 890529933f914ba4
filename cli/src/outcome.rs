//! What an evolution came to: the numbers of its `finish`, pooled over task sets, as printed, reported and compared.

use galapagos_domain::cluster::view::{EvolutionView, Interval, Phase, Score, Status, StepView, Summary};
use galapagos_domain::member::Member;
use galapagos_domain::recipe::evaluate::Metric;
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::stats;
use serde::Serialize;

/// The last line of `run --json`, under the key `final`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Final {
    pub evolution: String,
    pub status: Status,
    pub seed: u64,
    /// Checkpoint digest of the champion.
    pub digest: String,
    /// Digest of the champion's tensors alone.
    pub weights: String,
    pub champion: String,
    /// Greedy pass share of the base on the sealed tasks of all sets together.
    pub base_pass_at_1: Option<f64>,
    pub base_ci95: Option<[f64; 2]>,
    /// The same of the champion.
    pub pass_at_1: Option<f64>,
    pub ci95: Option<[f64; 2]>,
    /// Every score of `finish`.
    pub scores: Vec<Score>,
    /// Attempts and round tries that were lost and repeated.
    pub retries: u64,
    pub elapsed_ms: u64,
}

impl Final {
    /// Reads the outcome off a snapshot; `None` while no policy holds its role.
    #[must_use]
    pub fn of(view: &EvolutionView) -> Option<Self> {
        let champion = champion(view)?;
        let base = pooled_pass_at_1(view, "base");
        let ours = pooled_pass_at_1(view, "champion");
        Some(Self {
            evolution: view.id.to_string(),
            status: view.status,
            seed: view.seed.0,
            digest: champion.checkpoint.hex(),
            weights: champion.weights.hex(),
            champion: champion.id.to_string(),
            base_pass_at_1: base.map(|i| i.mean),
            base_ci95: base.map(|i| [i.low, i.high]),
            pass_at_1: ours.map(|i| i.mean),
            ci95: ours.map(|i| [i.low, i.high]),
            scores: final_scores(view).cloned().collect(),
            retries: view.retries,
            elapsed_ms: view.steps.iter().map(|s| s.elapsed_ms).sum(),
        })
    }
}

/// Tokens that controllers sampled, and what they are of all tokens that were sampled; `None` without controllers.
#[must_use]
pub fn controllers_share(view: &EvolutionView) -> Option<(u64, f64)> {
    let is_control = |step: &&StepView| step.verb == "control";
    let sampled = |step: &&StepView| !matches!(step.verb.as_str(), "train");
    let controls = view.steps.iter().filter(is_control).count();
    let tokens: u64 = view.steps.iter().filter(is_control).map(|step| step.tokens).sum();
    let all: u64 = view.steps.iter().filter(sampled).map(|step| step.tokens).sum();
    (controls > 0).then(|| (tokens, tokens as f64 / all.max(1) as f64))
}

/// The member that holds the policy role.
#[must_use]
pub fn champion(view: &EvolutionView) -> Option<&Member> {
    let (_, id) = view.champions.iter().find(|(role, _)| role.as_str() == "policy")?;
    view.members.iter().find(|member| member.id == *id)
}

/// All scores of the phase `finish`.
pub fn final_scores(view: &EvolutionView) -> impl Iterator<Item = &Score> {
    scores(view).filter(|(phase, _)| *phase == Phase::Finish).map(|(_, score)| score)
}

/// All scores in order, with their phase.
pub fn scores(view: &EvolutionView) -> impl Iterator<Item = (Phase, &Score)> {
    view.steps.iter().flat_map(|step| {
        let scores: &[Score] = match &step.summary {
            Some(Summary::Evaluate { scores }) => scores,
            Some(
                Summary::Base { .. }
                | Summary::Rollout { .. }
                | Summary::Curate { .. }
                | Summary::Train { .. }
                | Summary::Tournament(_)
                | Summary::Control(_)
                | Summary::Propose { .. },
            )
            | None => &[],
        };
        scores.iter().map(|score| (step.phase, score))
    })
}

/// Greedy pass share over the sealed tasks of all sets, with its Wilson interval.
#[must_use]
pub fn pooled_pass_at_1(view: &EvolutionView, called: &str) -> Option<Interval> {
    let (mut passes, mut tasks) = (0, 0);
    for score in final_scores(view) {
        if score.metric == Metric::PassAt1 && score.split == Split::Test && score.called.as_str() == called {
            // The mean of a pass share is a count over n: rounding restores the count exactly.
            passes += (score.value.mean * score.n as f64).round() as u64;
            tasks += score.n;
        }
    }
    stats::wilson95(passes, tasks)
}
