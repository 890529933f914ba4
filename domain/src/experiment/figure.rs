//! Figures of an experiment: what is drawn of every run, as points. Drawing is the shell's business.

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Read, scores};
use crate::cluster::view::{EvolutionView, Phase, Summary};
use crate::ids::Name;
use crate::recipe::evaluate::Metric;
use crate::stats::Interval;

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// A metric over generations, a curve for each arm.
    Curve(Curve),
    /// The value of a variable that controllers move, over generations, a curve for each arm.
    Variable(Variable),
    /// What searches answer for their tokens, a curve for each of them, at the end of one arm's runs.
    Searches(Searches),
}

/// Settings of [`Figure::Curve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    pub y: Metric,
    #[serde(default)]
    pub x: Axis,
    /// All arms that have their own runs when absent.
    #[serde(default)]
    pub arms: Option<Vec<Name>>,
    /// The task sets that count; all when absent.
    #[serde(default)]
    pub on: Option<Vec<Name>>,
    #[serde(default)]
    pub title: Option<String>,
}

/// Settings of [`Figure::Variable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub y: Name,
    /// All arms with a controller that moves it when absent.
    #[serde(default)]
    pub arms: Option<Vec<Name>>,
    #[serde(default)]
    pub title: Option<String>,
}

/// Settings of [`Figure::Searches`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Searches {
    pub arm: Name,
    #[serde(default)]
    pub title: Option<String>,
}

/// What runs along a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    #[default]
    Generation,
    /// Sampled or trained on since the beginning.
    Tokens,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f64,
    pub y: Interval,
}

/// A curve of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The metric that it shows, where a figure shows several.
    pub of: Option<Metric>,
    pub points: Vec<Point>,
}

impl Figure {
    /// The curves that this figure draws of a run of the arm `arm`, whose member the recipe calls `member`.
    #[must_use]
    pub fn lines(&self, view: &EvolutionView, arm: &Name, member: &Name) -> Vec<Line> {
        match self {
            Self::Curve(curve) if curve.arms.as_ref().is_none_or(|arms| arms.contains(arm)) => {
                vec![Line { of: None, points: curve.points(view, member) }]
            }
            Self::Variable(variable) if variable.arms.as_ref().is_none_or(|arms| arms.contains(arm)) => {
                vec![Line { of: None, points: variable.points(view) }]
            }
            Self::Searches(searches) if searches.arm == *arm => lines_of_searches(view, member),
            Self::Curve(_) | Self::Variable(_) | Self::Searches(_) => Vec::new(),
        }
    }

    /// The arms that it names.
    pub fn arms(&self) -> impl Iterator<Item = &Name> {
        let (several, one) = match self {
            Self::Curve(curve) => (curve.arms.as_ref(), None),
            Self::Variable(variable) => (variable.arms.as_ref(), None),
            Self::Searches(searches) => (None, Some(&searches.arm)),
        };
        several.into_iter().flatten().chain(one)
    }
}

impl Curve {
    fn points(&self, view: &EvolutionView, member: &Name) -> Vec<Point> {
        let mut points = Vec::new();
        let mut tokens = 0;
        let mut steps = view.steps.iter().peekable();
        while let Some(step) = steps.next() {
            tokens += step.tokens;
            let last_of_phase = steps.peek().is_none_or(|next| next.phase != step.phase);
            let (number, read) = match step.phase {
                Phase::First => (0, Read::First),
                Phase::Generation(number) => (number, Read::Generation(number)),
                Phase::Base | Phase::Finish => continue,
            };
            let measure = Measure { metric: self.y.clone(), read, tasks: self.on.clone() };
            let value = if last_of_phase { measure.of(view, member) } else { None };
            let x = match self.x {
                Axis::Generation => f64::from(number),
                Axis::Tokens => tokens as f64,
            };
            points.extend(value.map(|y| Point { x, y }));
        }
        points
    }
}

impl Variable {
    fn points(&self, view: &EvolutionView) -> Vec<Point> {
        let decided = view.steps.iter().filter_map(|step| match (&step.summary, step.phase) {
            (Some(Summary::Control(decided)), Phase::Generation(number)) => Some((number, decided)),
            _ => None,
        });
        let moved = decided.filter_map(|(number, decided)| {
            let to = decided.moves.iter().find(|moved| moved.name == self.y)?.to;
            Some(Point { x: f64::from(number), y: Interval { mean: to, low: to, high: to } })
        });
        moved.collect()
    }
}

fn lines_of_searches(view: &EvolutionView, member: &Name) -> Vec<Line> {
    let measured = scores(view, Phase::Finish).filter(|score| score.called == *member && !score.curve.is_empty());
    let line = |score: &crate::cluster::view::Score| Line {
        of: Some(score.metric.clone()),
        points: score.curve.iter().map(|point| Point { x: point.tokens as f64, y: point.value }).collect(),
    };
    measured.map(line).collect()
}
