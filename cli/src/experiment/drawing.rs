//! The figures of an experiment as curves over seeds: every point is the mean of the runs that have one there, with Student's
//! interval (one seed: the run's own).

use galapagos_domain::experiment::{Figure, Line, PlannedArm, over_seeds};
use galapagos_domain::stats::Interval;
use serde::Serialize;

use super::reading::Reading;
use crate::render;

/// A figure, ready to be drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawing {
    pub title: String,
    /// What runs along it.
    pub x: &'static str,
    pub curves: Vec<Drawn>,
}

/// A curve with points (x, mean, low, high).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawn {
    pub label: String,
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// All figures of an experiment; those without a curve are left out.
#[must_use]
pub fn drawings(figures: &[Figure], arms: &[PlannedArm], readings: &[Vec<Reading>]) -> Vec<Drawing> {
    let drawn = figures.iter().enumerate().map(|(place, figure)| {
        let curves = arms.iter().zip(readings).flat_map(|(arm, readings)| of_arm(place, arm, readings)).collect();
        Drawing { title: title(figure), x: x_of(figure), curves }
    });
    drawn.filter(|drawing| !drawing.curves.is_empty()).collect()
}

fn title(figure: &Figure) -> String {
    match figure {
        Figure::Curve(curve) => {
            curve.title.clone().unwrap_or_else(|| format!("{} by {}", render::metric(&curve.y), x_of(figure)))
        }
        Figure::Variable(variable) => {
            variable.title.clone().unwrap_or_else(|| format!("{} as the controller moves it", variable.y))
        }
        Figure::Searches(searches) => {
            searches.title.clone().unwrap_or_else(|| format!("share solved against tokens per task, {}", searches.arm))
        }
    }
}

fn x_of(figure: &Figure) -> &'static str {
    use galapagos_domain::experiment::Axis;
    match figure {
        Figure::Curve(curve) => match curve.x {
            Axis::Generation => "generation",
            Axis::Tokens => "tokens",
        },
        Figure::Variable(_) => "generation",
        Figure::Searches(_) => "tokens per task",
    }
}

/// An arm's curves in one figure; lines of several runs belong together by their order.
fn of_arm(figure: usize, arm: &PlannedArm, readings: &[Reading]) -> Vec<Drawn> {
    let runs: Vec<&[Line]> = readings.iter().filter_map(|r| r.figures.get(figure)).map(Vec::as_slice).collect();
    let lines = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let curve = |at: usize| {
        let of: Vec<&Line> = runs.iter().map(|run| &run[at]).collect();
        let label = match &of[0].of {
            Some(metric) => render::metric(metric),
            None => arm.name.to_string(),
        };
        Drawn { label, points: mean_points(&of) }
    };
    (0..lines).map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

/// The points that all runs have, by their order.
fn mean_points(lines: &[&Line]) -> Vec<(f64, f64, f64, f64)> {
    let shared = lines.iter().map(|line| line.points.len()).min().unwrap_or(0);
    let point = |at: usize| {
        let x = lines.iter().map(|line| line.points[at].x).sum::<f64>() / lines.len() as f64;
        let values: Vec<Interval> = lines.iter().map(|line| line.points[at].y).collect();
        over_seeds(&values).map(|y| (x, y.mean, y.low, y.high))
    };
    (0..shared).filter_map(point).collect()
}
