//! What a controller decides: which points of its grid are the better ones, and where the variables go. Ties go to the point nearest to
//! where the variables are, then to the earliest.

use std::cmp::Ordering;

use super::view::{Decided, Measured, Moved};
use crate::recipe::controller::{GridArgmax, Metric, Point, Sweep};
use crate::seed::Seed;

/// Values that differ by less are the same: sums in another order may.
const SAME: f64 = 1.0e12;

/// How many of the best points are told.
const TOLD: usize = 3;

/// What was measured of a grid.
#[derive(Debug, Clone)]
pub(super) struct Known {
    sampled: Vec<Point>,
    swept: Vec<Point>,
    /// Sums over tasks: of each sampled point, of each swept point.
    sums: Vec<Vec<f64>>,
    /// Tasks behind the sums of each sampled point.
    tasks: Vec<u64>,
    /// Where the numbers of the metric `random` come from.
    luck: Seed,
    /// The sampled points that were measured on all tasks.
    pub finalists: Vec<usize>,
}

/// A point of the grid with its value; see [`best_first`] for the order.
#[derive(Debug, Clone, PartialEq)]
struct Ranked {
    value: f64,
    distance: f64,
    /// Number of the sampled point, and of the swept one.
    number: (usize, usize),
    at: Point,
}

impl Known {
    pub(super) fn new(sampled: &[Point], sweep: &Sweep, seed: Seed) -> Self {
        let swept = sweep.points();
        Self {
            sums: vec![vec![0.0; swept.len()]; sampled.len()],
            tasks: vec![0; sampled.len()],
            sampled: sampled.to_vec(),
            swept,
            luck: seed.derive("random"),
            finalists: Vec::new(),
        }
    }

    /// More tasks were measured at a sampled point.
    pub(super) fn add(&mut self, sampled: usize, sums: &[f64], tasks: u64) {
        for (sum, more) in self.sums[sampled].iter_mut().zip(sums) {
            *sum += more;
        }
        self.tasks[sampled] += tasks;
    }

    fn value(&self, metric: Metric, (sampled, swept): (usize, usize)) -> f64 {
        match metric {
            Metric::Random => {
                let number = sampled as u64 * self.swept.len() as u64 + swept as u64;
                (self.luck.nth(number).0 >> 11) as f64 / (1u64 << 53) as f64
            }
            Metric::BalanceScore(_) | Metric::RewardPass(_) | Metric::PassAt(_) => {
                self.sums[sampled][swept] / self.tasks[sampled].max(1) as f64
            }
        }
    }

    /// All points that share the samples of one, the best first.
    fn ranked(&self, grid: &GridArgmax, sampled: usize, now: &Point) -> Vec<Ranked> {
        let one = |(swept, more): (usize, &Point)| {
            let mut at = self.sampled[sampled].clone();
            at.extend(more.iter().map(|(name, value)| (name.clone(), *value)));
            let number = (sampled, swept);
            Ranked { value: self.value(grid.metric, number), distance: grid.distance(&at, now), number, at }
        };
        let mut ranked: Vec<Ranked> = self.swept.iter().enumerate().map(one).collect();
        ranked.sort_by(order);
        ranked
    }
}

fn order(a: &Ranked, b: &Ranked) -> Ordering {
    let value = |ranked: &Ranked| (ranked.value * SAME).round();
    value(b).total_cmp(&value(a)).then(a.distance.total_cmp(&b.distance)).then(a.number.cmp(&b.number))
}

/// The sampled points of `among`, each by the best of what is swept over its samples: greater values first, of equals the nearer to `now`,
/// then the earlier.
pub(super) fn best_first(grid: &GridArgmax, known: &Known, among: &[usize], now: &Point) -> Vec<usize> {
    let mut best: Vec<Ranked> =
        among.iter().filter_map(|sampled| known.ranked(grid, *sampled, now).into_iter().next()).collect();
    best.sort_by(order);
    best.into_iter().map(|ranked| ranked.number.0).collect()
}

/// Where the variables go from `now`; `None` of an empty grid.
pub(super) fn decide(grid: &GridArgmax, known: &Known, now: &Point) -> Option<Decided> {
    let all = |places: &[usize]| {
        let mut all: Vec<Ranked> = places.iter().flat_map(|sampled| known.ranked(grid, *sampled, now)).collect();
        all.sort_by(order);
        all
    };
    let finalists = all(&known.finalists);
    let best = finalists.first()?;
    let every: Vec<usize> = (0..known.sampled.len()).collect();
    // Written by a person, or put there by a controller: no more than rounding apart.
    let here = all(&every).into_iter().find(|ranked| ranked.distance < 1.0e-9);
    let moves =
        best.at.iter().filter_map(|(name, to)| Some(Moved { name: name.clone(), from: *now.get(name)?, to: *to }));
    let told = finalists.iter().take(TOLD).map(|ranked| Measured { at: ranked.at.clone(), value: ranked.value });
    Some(Decided {
        metric: grid.metric.name().to_owned(),
        moves: moves.collect(),
        value: best.value,
        was: here.as_ref().map(|here| here.value),
        tasks: known.tasks[best.number.0],
        was_tasks: here.as_ref().map_or(0, |here| known.tasks[here.number.0]),
        points: grid.points(),
        best: told.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Name;

    fn grid(metric: &str) -> GridArgmax {
        let text = format!(
            r#"{{"on": {{}}, "search": {{"sample_k": {{"n": 2, "temperature": "$t"}}}}, "filter": {{"above": "$u"}}, "metric": {metric},
                "moves": {{"t": {{"from": 0.5, "to": 0.8, "step": 0.1}}, "u": {{"from": 0, "to": 1, "step": 0.5}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn at(t: f64, u: f64) -> Point {
        [("t", t), ("u", u)].map(|(name, value)| (Name::new(name).unwrap(), value)).into()
    }

    /// All four sampled points on ten tasks, with these sums.
    fn known(grid: &GridArgmax, now: &Point, sums: [[f64; 3]; 4]) -> Known {
        let points = grid.grid(now);
        let sweep = Sweep::of(grid, now.clone(), points.swept.clone());
        let mut known = Known::new(&points.sampled, &sweep, Seed(3));
        for (place, sums) in sums.iter().enumerate() {
            known.add(place, sums, 10);
        }
        known.finalists = (0..4).collect();
        known
    }

    const SCORE: &str = r#"{"balance_score": {}}"#;

    fn moved(decided: &Decided) -> Vec<(f64, f64)> {
        decided.moves.iter().map(|moved| (moved.from, moved.to)).collect()
    }

    #[test]
    fn the_variables_go_to_the_best_point() {
        let (grid, now) = (grid(SCORE), at(0.7, 0.0));
        let known = known(&grid, &now, [[1.0, 2.0, 3.0], [4.0, 4.5, 1.0], [3.0, 0.0, 1.0], [4.0, 4.0, 4.0]]);
        let decided = decide(&grid, &known, &now).unwrap();
        assert_eq!(moved(&decided), [(0.7, 0.6), (0.0, 0.5)]);
        assert_eq!((decided.value, decided.was, decided.tasks, decided.points), (0.45, Some(0.3), 10, 12));
        let best: Vec<f64> = decided.best.iter().map(|point| point.value).collect();
        assert_eq!(best, [0.45, 0.4, 0.4]);
        assert_eq!(
            decided.best[1].at,
            at(0.6, 0.0),
            "of equals the one nearer to (0.7, 0): one step, as (0.8, 0) is, but earlier"
        );
    }

    #[test]
    fn ties_go_to_the_nearest_point_and_then_to_the_earliest() {
        let (grid, level) = (grid(SCORE), [[5.0; 3]; 4]);
        let chosen = |now: Point| {
            let decided = decide(&grid, &known(&grid, &now, level), &now).unwrap();
            (decided.best[0].at.clone(), decided.was)
        };
        assert_eq!(chosen(at(0.7, 0.5)), (at(0.7, 0.5), Some(0.5)), "what is as good stays");
        assert_eq!(chosen(at(0.9, 1.2)), (at(0.8, 1.0), None), "from outside to the border");
        assert_eq!(chosen(at(0.6, 0.25)), (at(0.6, 0.0), None), "halfway: the earlier one");
        // Values that only rounding tells apart.
        let now = at(0.8, 0.0);
        let mut nearly = level;
        nearly[0][0] += 1.0e-14;
        assert_eq!(decide(&grid, &known(&grid, &now, nearly), &now).unwrap().best[0].at, now);
    }

    #[test]
    fn a_sampled_point_is_as_good_as_the_best_that_is_swept_over_it() {
        let (grid, now) = (grid(SCORE), at(0.5, 0.0));
        let known = known(&grid, &now, [[0.0, 0.0, 2.0], [1.0; 3], [0.0, 3.0, 0.0], [2.0, 1.0, 0.0]]);
        // Of the two with 2.0 the one at (0.5, 1) is two steps away, the other at (0.8, 0) three.
        assert_eq!(best_first(&grid, &known, &[0, 1, 2, 3], &now), [2, 0, 3, 1]);
        assert_eq!(best_first(&grid, &known, &[3, 1], &now), [3, 1]);
    }

    #[test]
    fn random_goes_by_its_seed_alone() {
        let (grid, now) = (grid("\"random\""), at(0.7, 0.0));
        let chosen = |sums| decide(&grid, &known(&grid, &now, sums), &now).unwrap();
        assert_eq!(chosen([[0.0; 3]; 4]), chosen([[9.0; 3], [0.0; 3], [1.0; 3], [2.0; 3]]));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let mut known = known(&grid, &now, [[0.0; 3]; 4]);
            known.luck = Seed(seed);
            let decided = decide(&grid, &known, &now).unwrap();
            assert!((0.0..1.0).contains(&decided.value));
            seen.insert(format!("{:?}", decided.best[0].at));
        }
        assert_eq!(seen.len(), 12, "every point is chosen by some seed");
    }
}
