//! What a point of a controller's grid is worth on one task: pure functions of what was sampled, asked by the worker for all points that
//! share the samples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::grid::product;
use super::{Bounds, GridArgmax, Metric, Point, Range};
use crate::ids::Name;
use crate::recipe::Number;
use crate::recipe::curate::Measure;
use crate::stats::pass_at_k::task_estimate;

/// One sample of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The number that cuts and ranks look at, if it has one.
    pub number: Option<f64>,
    pub pass: bool,
    /// The same for equal texts of the task, and for no others.
    pub text: u32,
}

/// Bounds with their values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cut {
    pub above: Option<f64>,
    pub at_least: Option<f64>,
    pub below: Option<f64>,
    pub at_most: Option<f64>,
}

impl Cut {
    /// Whether a sample with this number is selected.
    #[must_use]
    pub fn selects(&self, number: Option<f64>) -> bool {
        if *self == Self::default() {
            return true;
        }
        number.is_some_and(|number| {
            self.above.is_none_or(|bound| number > bound)
                && self.at_least.is_none_or(|bound| number >= bound)
                && self.below.is_none_or(|bound| number < bound)
                && self.at_most.is_none_or(|bound| number <= bound)
        })
    }
}

impl Bounds {
    fn cut(&self, vars: &Point) -> Result<Cut, Number> {
        let value = |number: &Option<Number>| match number {
            None => Ok(None),
            Some(number) => number.resolve(vars).map(Some).ok_or_else(|| number.clone()),
        };
        let (above, at_least) = (value(&self.above)?, value(&self.at_least)?);
        Ok(Cut { above, at_least, below: value(&self.below)?, at_most: value(&self.at_most)? })
    }
}

/// How samples are measured, at every point that shares them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    pub metric: Metric,
    pub by: Measure,
    pub filter: Option<Bounds>,
    /// Of the variables that are not swept.
    pub vars: BTreeMap<Name, f64>,
    pub swept: BTreeMap<Name, Range>,
}

impl Sweep {
    /// What a controller sweeps, where the other variables are `vars`.
    #[must_use]
    pub fn of(grid: &GridArgmax, vars: Point, swept: BTreeMap<Name, Range>) -> Self {
        Self { metric: grid.metric, by: grid.by.clone(), filter: grid.filter.clone(), vars, swept }
    }

    /// The swept points, in order: by name of the variable, the last one fastest.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        product(&self.swept)
    }

    /// How many these are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.swept.values().map(Range::count).fold(1, u64::saturating_mul)
    }

    /// What each of them selects.
    ///
    /// # Errors
    /// A variable without a value.
    pub fn cuts(&self) -> Result<Vec<Cut>, Number> {
        let Some(filter) = &self.filter else { return Ok(vec![Cut::default(); self.points().len()]) };
        let cut = |point: Point| {
            let mut vars = self.vars.clone();
            vars.extend(point);
            filter.cut(&vars)
        };
        self.points().into_iter().map(cut).collect()
    }
}

impl Metric {
    /// What the samples of one task are worth under a cut, from 0 to 1.
    #[must_use]
    pub fn of_task(self, draws: &[Draw], cut: &Cut) -> f64 {
        let selected = || draws.iter().filter(|draw| cut.selects(draw.number));
        match self {
            Self::BalanceScore(balance) => {
                let unique: BTreeMap<u32, bool> = selected().map(|draw| (draw.text, draw.pass)).collect();
                let right = unique.values().filter(|pass| **pass).count();
                balance_score(unique.len(), right, balance.n_star)
            }
            Self::RewardPass(rank) => {
                let mut ranked: Vec<&Draw> = selected().collect();
                // Without a number last; the earliest of equals first.
                let number = |draw: &Draw| draw.number.unwrap_or(f64::NEG_INFINITY);
                ranked.sort_by(|a, b| number(b).total_cmp(&number(a)));
                f64::from(u8::from(ranked.iter().take(rank.top as usize).any(|draw| draw.pass)))
            }
            Self::PassAt(k) => {
                let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                let passes = draws.iter().filter(|draw| draw.pass).count();
                // Of samples that were left out since nothing is known of them, fewer than k may remain.
                let samples = count(draws.len());
                task_estimate(samples, count(passes), k.min(samples)).unwrap_or(0.0)
            }
            Self::Random => 0.0,
        }
    }
}

/// min(c / n*, 1) · c / n of n unique samples with c right ones; 0 without any.
#[must_use]
pub fn balance_score(n: usize, c: usize, n_star: u32) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let c = c as f64;
    (c / f64::from(n_star.max(1))).min(1.0) * (c / n as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BalanceScore, RewardPass};
    use super::*;

    fn draws(given: &[(f64, bool, u32)]) -> Vec<Draw> {
        given.iter().map(|(number, pass, text)| Draw { number: Some(*number), pass: *pass, text: *text }).collect()
    }

    fn above(bound: f64) -> Cut {
        Cut { above: Some(bound), ..Cut::default() }
    }

    #[test]
    fn the_balance_score_is_the_one_computed_by_hand() {
        // Right and wrong answers, two of them the same text.
        let task = draws(&[(1.2, true, 0), (1.2, true, 0), (1.0, true, 1), (0.1, false, 2), (-0.2, false, 3)]);
        let of = |n_star: u32, cut: &Cut| Metric::BalanceScore(BalanceScore { n_star }).of_task(&task, cut);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        // Four unique, two right: min(2/4, 1) · 2/4.
        close(of(4, &Cut::default()), 0.25);
        // Above 0 three are left: 2/4 · 2/3.
        close(of(4, &above(0.0)), 1.0 / 3.0);
        // Both right ones alone, and as many as are wished for: 2/2 · 2/2; more are not better than enough.
        close(of(2, &above(0.1)), 1.0);
        close(of(1, &above(0.1)), 1.0);
        // One of 8: 1/8 · 1/1; the bound itself is not above it.
        close(of(8, &above(1.0)), 0.125);
        close(of(8, &above(2.0)), 0.0);
        close(balance_score(0, 0, 8), 0.0);
    }

    #[test]
    fn a_right_answer_counts_where_it_ranks_among_the_first() {
        let task = draws(&[(0.5, false, 0), (0.9, false, 1), (0.5, true, 2), (0.1, true, 3)]);
        let of = |top: u32, cut: &Cut| Metric::RewardPass(RewardPass { top }).of_task(&task, cut);
        assert_eq!((of(1, &Cut::default()), of(2, &Cut::default()), of(3, &Cut::default())), (0.0, 0.0, 1.0));
        let low = Cut { at_most: Some(0.4), ..Cut::default() };
        assert_eq!((of(1, &low), of(2, &above(0.9))), (1.0, 0.0));
    }

    #[test]
    fn pass_at_k_looks_at_all_samples_and_random_at_none() {
        let task = draws(&[(0.0, true, 0), (0.0, false, 1), (0.0, false, 1), (0.0, false, 2)]);
        assert!((Metric::PassAt(2).of_task(&task, &above(9.0)) - 0.5).abs() < 1e-12, "1 - C(3,2)/C(4,2)");
        assert_eq!(Metric::Random.of_task(&task, &Cut::default()), 0.0);
        assert_eq!(Metric::PassAt(2).of_task(&[], &Cut::default()), 0.0);
    }

    #[test]
    fn what_has_no_number_is_selected_by_no_bound() {
        assert!(Cut::default().selects(None) && !above(-1.0e9).selects(None));
        let both = Cut { at_least: Some(0.0), below: Some(1.0), ..Cut::default() };
        assert_eq!([-0.1, 0.0, 0.9, 1.0].map(|n| both.selects(Some(n))), [false, true, true, false]);
    }

    proptest! {
        #[test]
        fn every_metric_is_a_share(
            given in proptest::collection::vec((-1.0..1.0f64, any::<bool>(), 0u32..4), 0..12), bound in -1.0..1.0f64, k in 1u32..5,
        ) {
            // Equal texts have equal verdicts.
            let task: Vec<Draw> = given.iter().map(|(n, _, text)| Draw { number: Some(*n), pass: text % 2 == 0, text: *text }).collect();
            for metric in [
                Metric::BalanceScore(BalanceScore { n_star: k }), Metric::RewardPass(RewardPass { top: k }), Metric::PassAt(k),
            ] {
                let value = metric.of_task(&task, &above(bound));
                prop_assert!((0.0..=1.0).contains(&value), "{metric:?} {value}");
            }
        }
    }
}
