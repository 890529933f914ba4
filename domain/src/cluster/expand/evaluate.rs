//! `evaluate`: each distinct checkpoint on each task set, once per way of sampling that the metrics need.

use std::collections::BTreeSet;

use super::{ResolveError, Site, rollout};
use crate::cluster::evolution::Evolution;
use crate::ids::{Digest, Name};
use crate::job::{EvaluateSpec, JobKind, JobSpec, MeasureSpec, RolloutSpec, Sampling};
use crate::member::{Member, Origin};
use crate::plan::chunks;
use crate::recipe::evaluate::{Evaluate, Metric, NumberOf};
use crate::recipe::search::Trust;
use crate::recipe::step::RecipeStep;
use crate::recipe::tournament::Selection;
use crate::recipe::verify::Verifier;

/// A way of sampling: `best_of` and `pair_accuracy` must rank exactly n samples by one critic, other metrics take any samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Probe {
    pub critic: Option<Name>,
    pub samples: u32,
}

impl Probe {
    /// Whether a metric can be read from this probe.
    pub fn answers(&self, metric: &Metric) -> bool {
        match metric {
            Metric::PassAt1 => true,
            Metric::PassAt(k) => self.samples >= *k,
            Metric::BestOf(best) | Metric::PairAccuracy(best) => {
                self.samples == best.n && self.critic.as_ref() == Some(&best.by)
            }
            Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_) => false,
        }
    }
}

/// The fewest probes that answer all metrics: one per n and critic, and one without a critic if none of them has enough samples
/// for the rest.
pub(in crate::cluster) fn probes(metrics: &[Metric]) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    let mut most = 0;
    for metric in metrics {
        match metric {
            Metric::PassAt1 => {}
            Metric::PassAt(k) => most = most.max(*k),
            Metric::BestOf(best) | Metric::PairAccuracy(best) => {
                let probe = Probe { critic: Some(best.by.clone()), samples: best.n };
                if !probes.contains(&probe) {
                    probes.push(probe);
                }
            }
            Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_) => {}
        }
    }
    let elsewhere = |metric: &Metric| matches!(metric, Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_));
    let sampled = metrics.iter().any(|metric| !elsewhere(metric));
    if sampled && !probes.iter().any(|probe| probe.samples >= most) {
        probes.push(Probe { critic: None, samples: most });
    }
    probes
}

pub(super) fn jobs(site: &Site<'_>, evaluate: &Evaluate) -> Result<Vec<JobSpec>, ResolveError> {
    let sampling = Sampling {
        max_tokens: evaluate.max_tokens,
        guide: evaluate.guide.clone(),
        speculate: evaluate.speculate,
        ..Sampling::at(site.number(&evaluate.temperature)?)
    };
    let mut searches = Vec::new();
    for (metric, search) in evaluate.measured() {
        let search = rollout::resolved(site, &search)?;
        let critics = rollout::critics(site, search.roles())?;
        searches.push((metric, search, critics));
    }
    let mut policies = BTreeSet::new();
    let mut jobs = Vec::new();
    for called in &evaluate.members {
        let policy = site.evolution.called(called)?.checkpoint;
        if !policies.insert(policy) {
            continue;
        }
        for (set, selection) in &evaluate.tasks {
            for probe in probes(&evaluate.metrics) {
                let critic = probe.critic.as_ref().map(|role| site.evolution.current(role)).transpose()?;
                for part in chunks(selection.n.of(site.available(set, selection.split)?)) {
                    let spec = EvaluateSpec {
                        policy,
                        critic: critic.map(|member| member.checkpoint),
                        critic_shots: critic.is_some_and(|member| trained_with_shots(site.evolution, member)),
                        tasks: site.slice(set, selection.split, part.collect())?,
                        samples: probe.samples,
                        sampling: sampling.clone(),
                    };
                    jobs.push(site.job(jobs.len(), JobKind::Evaluate(spec))?);
                }
            }
            for (metric, search, critics) in &searches {
                for part in chunks(selection.n.of(site.available(set, selection.split)?)) {
                    let spec = MeasureSpec {
                        policy,
                        tasks: site.slice(set, selection.split, part.collect())?,
                        metric: metric.clone(),
                        search: Box::new(search.clone()),
                        critics: critics.clone(),
                    };
                    jobs.push(site.job(jobs.len(), JobKind::Measure(spec))?);
                }
            }
            for number in evaluate.numbers.values() {
                for spec in number_jobs(site, policy, (set, *selection), number)? {
                    jobs.push(site.job(jobs.len(), JobKind::Rollout(spec))?);
                }
            }
        }
    }
    Ok(jobs)
}

/// A rollout over the tasks whose verdicts are the number; its trajectories are read by nobody.
fn number_jobs(
    site: &Site<'_>,
    policy: Digest,
    (set, selection): (&Name, Selection),
    number: &NumberOf,
) -> Result<Vec<RolloutSpec>, ResolveError> {
    let search = rollout::resolved(site, &number.search())?;
    let plays = site.evolution.recipe.tasks.get(set).is_some_and(|tasks| tasks.env().is_some());
    let verify = number.verify(plays);
    let critics = rollout::critics(site, search.roles().into_iter().chain(verify.iter().flat_map(Verifier::roles)))?;
    let parts = chunks(selection.n.of(site.available(set, selection.split)?));
    let spec = |part: std::ops::Range<u32>| {
        Ok(RolloutSpec {
            policy,
            tasks: site.slice(set, selection.split, part.collect())?,
            search: Box::new(search.clone()),
            verify: verify.clone(),
            critics: critics.clone(),
            // An error counts as nothing, so there may be none.
            trust: Trust { most_errors: 0.0, ..Trust::default() },
            grown: Vec::new(),
        })
    };
    parts.into_iter().map(spec).collect()
}

/// Whether the round that made `member` kept the few-shot prefix.
pub(super) fn trained_with_shots(evolution: &Evolution, member: &Member) -> bool {
    let round = match &member.origin {
        Origin::Trained { round, .. } => round,
        Origin::Base { .. } => return true,
    };
    let run = evolution.steps.iter().find(|run| run.work.round() == Some(round));
    match run.and_then(|run| evolution.recipe_step(run)) {
        Some(RecipeStep::Train(train)) => train.shots,
        Some(
            RecipeStep::Rollout(_)
            | RecipeStep::Curate(_)
            | RecipeStep::Tournament(_)
            | RecipeStep::Evaluate(_)
            | RecipeStep::Propose(_),
        )
        | None => true,
    }
}
