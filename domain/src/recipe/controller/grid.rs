//! The points of a controller's grid: the values of the moved variables that its search names are sampled anew, the others are swept over
//! the same samples.

use std::collections::BTreeMap;

use super::{Bounds, GridArgmax, Range};
use crate::ids::Name;
use crate::recipe::search::Search;

/// Values are rounded to this part of one, so that 0.5 + 2 · 0.1 is 0.7.
const PRECISION: f64 = 1.0e9;

/// A value for each of some variables.
pub type Point = BTreeMap<Name, f64>;

/// What a controller tries.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The points that need samples of their own, in order: by name of the variable, the last one fastest. One without variables if
    /// the search names none that are moved.
    pub sampled: Vec<Point>,
    /// The variables that are swept over the samples of each of them.
    pub swept: BTreeMap<Name, Range>,
}

impl Range {
    /// How many values there are; 0 if they never end or never begin.
    #[must_use]
    pub fn count(&self) -> u64 {
        let sound =
            self.step > 0.0 && self.from <= self.to && [self.from, self.to, self.step].iter().all(|n| n.is_finite());
        // A `to` that was meant to be hit is.
        if sound { ((self.to - self.from) / self.step + 1.0e-6).floor() as u64 + 1 } else { 0 }
    }

    /// The values, ascending.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        let value = |i: u64| ((self.from + i as f64 * self.step) * PRECISION).round() / PRECISION;
        (0..self.count()).map(value).collect()
    }
}

/// All combinations, in order of the variables' names, the last one fastest.
pub(super) fn product(axes: &BTreeMap<Name, Range>) -> Vec<Point> {
    let mut points = vec![Point::new()];
    for (name, range) in axes {
        let values = range.values();
        let with = |point: &Point, value: f64| {
            let mut point = point.clone();
            point.insert(name.clone(), value);
            point
        };
        points = points.iter().flat_map(|point| values.iter().map(move |value| with(point, *value))).collect();
    }
    points
}

impl Search {
    /// Whether it names this variable.
    #[must_use]
    pub fn reads(&self, variable: &Name, vars: &BTreeMap<Name, f64>) -> bool {
        let mut others = vars.clone();
        others.remove(variable);
        self.resolved(vars, 1).is_ok() && self.resolved(&others, 1).is_err()
    }
}

impl Bounds {
    /// Whether one of them is this variable.
    #[must_use]
    pub fn reads(&self, variable: &Name) -> bool {
        self.each().into_iter().filter_map(|(_, bound)| bound).any(|bound| bound.variable() == Some(variable.as_str()))
    }
}

impl GridArgmax {
    /// Its grid, where `vars` are all variables of the recipe.
    #[must_use]
    pub fn grid(&self, vars: &BTreeMap<Name, f64>) -> Grid {
        let moves = self.moves.iter().map(|(name, range)| (name.clone(), *range));
        let (sampled, swept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            moves.partition(|(name, _)| self.search.reads(name, vars));
        Grid { sampled: product(&sampled), swept }
    }

    /// How many points its grid has.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.moves.values().map(Range::count).fold(1, u64::saturating_mul)
    }

    /// How far `point` is from the values `now`, in squared steps.
    #[must_use]
    pub fn distance(&self, point: &Point, now: &Point) -> f64 {
        let part = |(name, range): (&Name, &Range)| {
            let (there, here) = (point.get(name)?, now.get(name)?);
            Some(((there - here) / range.step).powi(2))
        };
        self.moves.iter().filter_map(part).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn values_are_those_that_a_person_would_write() {
        let values = |from, to, step| Range { from, to, step }.values();
        assert_eq!(values(0.5, 1.2, 0.1), [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]);
        assert_eq!(values(-1.0, 1.0, 0.01).len(), 201);
        assert_eq!(values(-0.2, 0.2, 0.2), [-0.2, 0.0, 0.2]);
        assert_eq!(values(0.0, 1.0, 0.3), [0.0, 0.3, 0.6, 0.9], "`to` need not be hit");
        assert_eq!(values(1.0, 1.0, 0.5), [1.0]);
        assert!(values(1.0, 0.5, 0.1).is_empty() && values(0.0, 1.0, 0.0).is_empty());
        assert_eq!(Range { from: 0.0, to: f64::INFINITY, step: 1.0 }.count(), 0);
    }

    #[test]
    fn what_the_search_names_is_sampled_and_the_rest_is_swept() {
        let grid: GridArgmax = serde_json::from_str(
            r#"{"on": {}, "search": {"sample_k": {"n": 2, "temperature": "$heat", "top_p": "$p"}},
                "filter": {"above": "$bound"}, "metric": "random", "moves": {"heat": {"from": 0.5, "to": 0.7, "step": 0.1},
                "bound": {"from": 0, "to": 1, "step": 0.5}, "p": {"from": 0.9, "to": 1.0, "step": 0.1}}}"#,
        )
        .unwrap();
        let vars = Point::from([(name("heat"), 0.6), (name("bound"), 0.0), (name("p"), 1.0)]);
        let points = grid.grid(&vars);
        let sampled: Vec<(f64, f64)> = points.sampled.iter().map(|p| (p[&name("heat")], p[&name("p")])).collect();
        assert_eq!(sampled, [(0.5, 0.9), (0.5, 1.0), (0.6, 0.9), (0.6, 1.0), (0.7, 0.9), (0.7, 1.0)]);
        assert_eq!(points.swept.keys().collect::<Vec<_>>(), [&name("bound")]);
        assert_eq!(grid.points(), 18);
        let far = Point::from([(name("heat"), 0.5), (name("bound"), 1.0), (name("p"), 1.0)]);
        assert!((grid.distance(&far, &vars) - 5.0).abs() < 1e-9, "one step and two");
    }
}
