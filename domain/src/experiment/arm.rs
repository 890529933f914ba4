//! The arms of an experiment: a recipe each, and what is read off its runs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::measure::{Measure, Read};
use crate::ids::Name;
use crate::recipe::Recipe;
use crate::recipe::diagnostic::Diagnostics;
use crate::recipe::document::Document;
use crate::recipe::evaluate::Metric;

/// One arm, ready to run for each seed. Arms with equal recipes share a run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedArm {
    pub name: Name,
    /// What it is, for people.
    pub about: Option<String>,
    pub recipe: Recipe,
    /// Whose scores count: `champion`, or another member that the recipe evaluates.
    pub member: Name,
    /// Whether the arm must fail for the claim to mean anything.
    pub control: bool,
    /// What is read of it; the first is what the table of arms shows.
    pub measures: Vec<Measure>,
    /// The arm that stands for the best of this one and its like; its values of variables are in `about`.
    pub of: Option<Name>,
}

/// One arm as written: the rest of its map overrides the recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arm {
    pub settings: ArmSettings,
    pub overrides: Document,
}

/// What stands in an arm besides overrides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArmSettings {
    #[serde(default)]
    pub about: Option<String>,
    /// Runs the control that the recipe declares.
    #[serde(default)]
    pub control: bool,
    /// The arm is a control as it is written.
    #[serde(default)]
    pub must_fail: bool,
    #[serde(default = "champion")]
    pub member: Name,
    #[serde(default)]
    pub metric: Option<Metric>,
    #[serde(default)]
    pub read: Option<Read>,
    /// The task sets that count.
    #[serde(default)]
    pub on: Option<Vec<Name>>,
    /// Values of variables: the arm is run with each of them, and the best stands for it.
    #[serde(default)]
    pub sweep: BTreeMap<Name, Vec<f64>>,
}

const SETTINGS: [&str; 8] = ["about", "control", "must_fail", "member", "metric", "read", "on", "sweep"];

fn champion() -> Name {
    #[expect(clippy::expect_used, reason = "a constant of letters is a name")]
    Name::new("champion").expect("`champion` is a name")
}

impl Arm {
    pub fn read(document: Document) -> Result<Self, Diagnostics> {
        let (settings, overrides) = document.split(&SETTINGS);
        Ok(Self { settings: settings.read()?, overrides })
    }

    /// Every choice of values that `sweep` asks for; one without any where it asks for none.
    pub fn choices(&self) -> Vec<BTreeMap<Name, f64>> {
        let mut choices = vec![BTreeMap::new()];
        for (variable, values) in &self.settings.sweep {
            let with = |choice: &BTreeMap<Name, f64>, value: f64| {
                let mut choice = choice.clone();
                choice.insert(variable.clone(), value);
                choice
            };
            choices = choices.iter().flat_map(|choice| values.iter().map(move |value| with(choice, *value))).collect();
        }
        choices
    }
}

/// `temperature 0.5, threshold 0`, for people.
pub(super) fn said(choice: &BTreeMap<Name, f64>) -> String {
    choice.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}
