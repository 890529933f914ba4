//! One point of a controller's grid: held-out tasks are searched and verified as a rollout's are, nothing is stored, and what comes back is
//! what the samples are worth at every swept point.

use std::collections::BTreeMap;

use galapagos_domain::job::{JobOutput, JobSpec, SweepSpec};
use galapagos_domain::recipe::Number;
use galapagos_domain::recipe::controller::Draw;
use galapagos_domain::recipe::curate::Measure;
use galapagos_domain::trajectory::{Outcome, Trajectory, VerdictCounts};

use super::meter::Meter;
use super::rollout::{believe, row, search_failed};
use super::scene::Scene;
use super::{JobError, Workshop};
use crate::operators::measure;
use crate::search::{Harvest, Nowhere};

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &SweepSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let SweepSpec { rollout, sweep } = spec;
    if rollout.verify.is_empty() {
        return Err(JobError::NoVerifier);
    }
    let cuts = sweep.cuts().map_err(|number| JobError::Unbound { bound: written(&number) })?;
    let scene = Scene::set(shop, job, rollout)?;
    let units = scene.tasks.items.len() as u64 * rollout.search.trajectories().unwrap_or(1);
    meter.expect(units, units);
    let forest = scene.forest(&[], meter);
    let court = forest.court().map_err(search_failed)?;
    let searched = forest.search(&court, BTreeMap::new(), &mut Nowhere).map_err(search_failed)?;
    let Harvest { searched, audit, erring } = searched;
    let mut counts = VerdictCounts::default();
    let mut sums = vec![0.0; cuts.len()];
    for (origin, searched) in scene.origins.iter().zip(&searched) {
        let found = (0..).zip(&searched.found);
        let rows: Vec<Trajectory> =
            found.map(|(number, found)| row(origin, number, (found, &searched.tree), None)).collect();
        rows.iter().for_each(|row| counts.count(row.verdict.outcome));
        let draws = draws(&rows, &sweep.by);
        for (sum, cut) in sums.iter_mut().zip(&cuts) {
            *sum += sweep.metric.of_task(&draws, cut);
        }
    }
    believe(rollout, &counts, &audit, &erring)?;
    Ok(JobOutput::Sweep { sums, tokens: meter.tokens() })
}

/// The samples of one task. One on which the verifier failed says nothing, and is left out.
fn draws(rows: &[Trajectory], by: &Measure) -> Vec<Draw> {
    let mut texts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut draws = Vec::with_capacity(rows.len());
    for row in rows {
        let pass = match row.verdict.outcome {
            Outcome::Pass => true,
            Outcome::Fail | Outcome::Suspect | Outcome::Timeout => false,
            Outcome::Error => continue,
        };
        let next = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let text = *texts.entry(row.completion.as_str()).or_insert(next);
        draws.push(Draw { number: measure(row, by), pass, text });
    }
    draws
}

fn written(number: &Number) -> String {
    match number {
        Number::Value(value) => value.to_string(),
        Number::Variable(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::ids::Name;
    use galapagos_domain::job::{FailureClass, JobKind, RolloutSpec};
    use galapagos_domain::recipe::controller::{BalanceScore, Bounds, Metric, Range, Sweep};
    use galapagos_domain::recipe::search::{Propose, Search};
    use galapagos_domain::recipe::tasks::Split;

    use super::super::test_bench::Bench;
    use super::*;

    fn sweep(metric: Metric) -> Sweep {
        let above = Some(Number::Variable("$bound".to_owned()));
        let filter = Some(Bounds { above, at_least: None, below: None, at_most: None });
        let swept = BTreeMap::from([(Name::new("bound").unwrap(), Range { from: -0.5, to: 1.5, step: 1.0 })]);
        Sweep { metric, by: Measure::Reward, filter, vars: BTreeMap::new(), swept }
    }

    fn spec(bench: &Bench, indices: std::ops::Range<u32>, sweep: Sweep) -> SweepSpec {
        let JobKind::Rollout(rollout) = bench.rollout(0..1) else { panic!() };
        let search = Box::new(Search::SampleK(Propose::answers(6, 0.8)));
        let rollout = RolloutSpec { tasks: bench.slice(Split::Val, indices), search, ..rollout };
        SweepSpec { rollout, sweep: Box::new(sweep) }
    }

    fn sums(bench: &Bench, indices: std::ops::Range<u32>, sweep: Sweep) -> (Vec<f64>, u64) {
        let output = bench.run(JobKind::Sweep(spec(bench, indices, sweep))).unwrap();
        let JobOutput::Sweep { sums, tokens } = output else { panic!("{output:?}") };
        (sums, tokens)
    }

    const BALANCE: Metric = Metric::BalanceScore(BalanceScore { n_star: 2 });

    /// What a rollout of the same tasks stores, counted anew.
    #[test]
    fn the_sums_are_those_of_the_samples_that_a_rollout_would_have_stored() {
        let bench = Bench::new();
        let (sums, tokens) = sums(&bench, 0..20, sweep(BALANCE));
        let JobKind::Sweep(same) = JobKind::Sweep(spec(&bench, 0..20, sweep(BALANCE))) else { panic!() };
        let output = bench.run(JobKind::Rollout(same.rollout)).unwrap();
        let JobOutput::Rollout { trajectories, tokens: rolled, .. } = output else { panic!("{output:?}") };
        let rows = bench.read(&trajectories);
        assert_eq!((tokens, rows.len()), (rolled, 120));
        let mut expected = [0.0; 3];
        for task in rows.chunks(6) {
            for (place, bound) in [-0.5, 0.5, 1.5].into_iter().enumerate() {
                let reward = |row: &Trajectory| f64::from(u8::from(row.verdict.outcome == Outcome::Pass));
                let mut unique: Vec<(&str, bool)> = task
                    .iter()
                    .filter(|row| reward(row) > bound)
                    .map(|row| (row.completion.as_str(), reward(row) > 0.5))
                    .collect();
                unique.sort_unstable();
                unique.dedup();
                let (n, c) = (unique.len() as f64, unique.iter().filter(|(_, pass)| *pass).count() as f64);
                expected[place] += if n > 0.0 { (c / 2.0).min(1.0) * c / n } else { 0.0 };
            }
        }
        for (sum, expected) in sums.iter().zip(expected) {
            assert!((sum - expected).abs() < 1e-9, "{sums:?} {expected}");
        }
        assert!(sums[1] > sums[0] && sums[0] > 0.0 && sums[2] == 0.0, "{sums:?}");
    }

    #[test]
    fn pieces_add_up_and_random_samples_as_much() {
        let bench = Bench::new();
        let (whole, tokens) = sums(&bench, 0..10, sweep(BALANCE));
        let (first, rest) = (sums(&bench, 0..3, sweep(BALANCE)), sums(&bench, 3..10, sweep(BALANCE)));
        assert_eq!(tokens, first.1 + rest.1);
        for (place, sum) in whole.iter().enumerate() {
            assert!((sum - first.0[place] - rest.0[place]).abs() < 1e-9);
        }
        assert_eq!(sums(&bench, 0..10, sweep(Metric::Random)), (vec![0.0; 3], tokens));
    }

    #[test]
    fn without_a_filter_there_is_one_point_and_without_a_value_there_is_none() {
        let bench = Bench::new();
        let all = Sweep { filter: None, swept: BTreeMap::new(), ..sweep(Metric::PassAt(6)) };
        assert_eq!(sums(&bench, 0..5, all).0.len(), 1);
        let open = Sweep { swept: BTreeMap::new(), ..sweep(BALANCE) };
        let error = bench.run(JobKind::Sweep(spec(&bench, 0..5, open))).unwrap_err();
        assert_eq!(error.class(), FailureClass::Invalid);
        assert!(error.to_string().contains("$bound"), "{error}");
    }
}
