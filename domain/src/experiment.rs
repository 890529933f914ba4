//! An experiment is data: a claim about a recipe, the arms that are compared, and what must come out. Here it is read,
//! turned into the recipes to run, and judged; running it is the shell's business.

mod judge;
mod measure;

pub use judge::{ArmResult, Expectation, Outcome, Report, judge};
pub use measure::measure;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::recipe::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::document::{Document, Loader};
use crate::recipe::evaluate::Metric;
use crate::recipe::path::Path;

/// The arm that the claim is about.
pub const METHOD: &str = "method";

/// A checked experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    document: Document,
    header: Header,
    at: Option<Document>,
    arms: BTreeMap<Name, Arm>,
    quick: Quick,
}

/// What stands in the file besides overrides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What is claimed, in one sentence.
    pub claim: String,
    /// The recipe's file, as the loader knows it.
    pub recipe: String,
    pub seeds: Vec<u64>,
    /// What every arm gets as much of as the method.
    #[serde(default)]
    pub equal: Option<Equal>,
    pub metric: Metric,
    pub expect: Vec<Expect>,
}

/// A budget that arms share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equal {
    /// The arms' plans must allow the same number of sampled tokens.
    Tokens,
}

/// One thing that must come out: exactly one of the four comparisons is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub arm: Name,
    /// The interval of the difference lies above `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Name>,
    /// The interval of the difference lies below `-by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Name>,
    /// A difference of more than `within` is not shown: the interval reaches down to `within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_above: Option<Name>,
    /// The interval of the difference lies above `-within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Name>,
    /// Tolerance of `not_above` and `at_least`, in units of the metric.
    #[serde(default)]
    pub within: f64,
    /// Least difference of `above` and `below`, in units of the metric.
    #[serde(default)]
    pub by: f64,
}

/// How an expectation compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Above,
    Below,
    NotAbove,
    AtLeast,
}

impl Expect {
    /// The comparison and the arm compared with; `None` unless exactly one is given (a checked experiment has one).
    #[must_use]
    pub fn comparison(&self) -> Option<(Comparison, &Name)> {
        let given = [
            (Comparison::Above, &self.above),
            (Comparison::Below, &self.below),
            (Comparison::NotAbove, &self.not_above),
            (Comparison::AtLeast, &self.at_least),
        ];
        let mut given = given.into_iter().filter_map(|(comparison, arm)| Some((comparison, arm.as_ref()?)));
        let first = given.next();
        if given.next().is_some() { None } else { first }
    }
}

/// One arm as written: the rest of its map overrides the recipe.
#[derive(Debug, Clone, PartialEq)]
struct Arm {
    settings: ArmSettings,
    overrides: Document,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmSettings {
    #[serde(default)]
    control: bool,
    #[serde(default = "champion")]
    member: Name,
}

/// A smaller run that checks the machinery and the control, not the claim.
#[derive(Debug, Clone, PartialEq, Default)]
struct Quick {
    seeds: Option<Vec<u64>>,
    overrides: Option<Document>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuickSettings {
    #[serde(default)]
    seeds: Option<Vec<u64>>,
}

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// What the claim is about.
    Full,
    /// The `quick` overrides.
    Quick,
}

/// One arm, ready to run for each seed. Arms with equal recipes share a run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedArm {
    pub name: Name,
    pub recipe: Recipe,
    /// Whose scores of `finish` count: `champion`, or another member the recipe evaluates there.
    pub member: Name,
    /// Whether the arm must fail for the claim to mean anything.
    pub control: bool,
}

fn champion() -> Name {
    #[expect(clippy::expect_used, reason = "a constant of letters is a name")]
    Name::new("champion").expect("`champion` is a name")
}

impl Experiment {
    /// Parses and checks an experiment's text; recipes are read later, by [`Self::arms`].
    ///
    /// # Errors
    /// [`Diagnostics`] with places, as for recipes.
    pub fn parse(file: &str, text: &str, loader: Loader<'_>) -> Result<Self, Diagnostics> {
        let mut document = Document::load(file, text, loader)?;
        let at = document.take("at");
        let quick = document.take("quick").map(Quick::read).transpose()?.unwrap_or_default();
        let arms = document.take("arms").map(Document::into_entries).transpose()?.unwrap_or_default();
        let arms =
            arms.into_iter().map(|(name, arm)| Ok((name, Arm::read(arm)?))).collect::<Result<_, Diagnostics>>()?;
        let experiment = Self { header: document.read()?, document, at, arms, quick };
        Diagnostics::of(experiment.complaints()).map_or(Ok(experiment), Err)
    }

    /// Claim, seeds, metric and expectations.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The seeds that every arm is run with.
    #[must_use]
    pub fn seeds(&self, scale: Scale) -> &[u64] {
        match (scale, &self.quick.seeds) {
            (Scale::Quick, Some(seeds)) => seeds,
            (Scale::Quick, None) | (Scale::Full, _) => &self.header.seeds,
        }
    }

    /// The arms with their recipes: the recipe, under `at`, under `quick` if asked for, under the arm's overrides.
    ///
    /// # Errors
    /// [`Diagnostics`] if the recipe cannot be read, or if an arm's recipe breaks a rule or has no control to run.
    pub fn arms(&self, scale: Scale, loader: Loader<'_>) -> Result<Vec<PlannedArm>, Diagnostics> {
        let text = loader(&self.header.recipe)
            .map_err(|e| self.refuse("recipe", format!("cannot read the recipe `{}`: {e}", self.header.recipe)))?;
        let mut base = Document::load(&self.header.recipe, &text, loader)?;
        let quick = match scale {
            Scale::Full => None,
            Scale::Quick => self.quick.overrides.clone(),
        };
        for over in self.at.clone().into_iter().chain(quick) {
            base.merge(over);
        }
        let arms = self.arms.iter().map(|(name, arm)| self.planned(name, arm, base.clone()));
        let arms = arms.collect::<Result<Vec<_>, _>>()?;
        match self.header.equal {
            None => Ok(arms),
            Some(Equal::Tokens) => self.same_tokens(&arms).map(|()| arms),
        }
    }

    fn same_tokens(&self, arms: &[PlannedArm]) -> Result<(), Diagnostics> {
        let tokens = |arm: &PlannedArm| Plan::of(&arm.recipe).totals.sampled_tokens;
        let Some(method) = arms.iter().find(|arm| arm.name.as_str() == METHOD).map(tokens) else { return Ok(()) };
        match arms.iter().find(|arm| tokens(arm) != method) {
            None => Ok(()),
            Some(arm) => {
                let message = format!("`{}` may sample {} tokens, the method {method}", arm.name, tokens(arm));
                Err(self.refuse("equal", message))
            }
        }
    }

    fn planned(&self, name: &Name, arm: &Arm, mut recipe: Document) -> Result<PlannedArm, Diagnostics> {
        recipe.merge(arm.overrides.clone());
        let mut recipe = recipe.recipe()?;
        if arm.settings.control {
            let no_control =
                || self.refuse("recipe", format!("the arm `{name}` needs a recipe that declares `control`"));
            recipe = recipe.with_control().ok_or_else(no_control)?;
        }
        let ArmSettings { member, control } = arm.settings.clone();
        Ok(PlannedArm { name: name.clone(), recipe, member, control })
    }

    fn complaints(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut complain = |path: Path, message: String| {
            found.push(self.document.diagnose(self.document.place_of(&path), path, message));
        };
        let root = Path::root();
        if !self.arms.keys().any(|name| name.as_str() == METHOD) {
            complain(root.clone(), format!("there is no arm `{METHOD}`: the claim must be about something"));
        }
        for (key, seeds) in [("seeds", Some(&self.header.seeds)), ("quick", self.quick.seeds.as_ref())] {
            if seeds.is_some_and(Vec::is_empty) {
                complain(root.key(key), "there are no seeds: give at least one".to_owned());
            }
        }
        if self.header.expect.is_empty() {
            complain(root.key("expect"), "nothing is expected, so nothing can fail".to_owned());
        }
        for (i, expect) in self.header.expect.iter().enumerate() {
            let path = root.key("expect").index(i);
            let Some((_, other)) = expect.comparison() else {
                complain(path, "give exactly one of above, below, not_above, at_least".to_owned());
                continue;
            };
            for arm in [&expect.arm, other].into_iter().filter(|arm| !self.arms.contains_key(*arm)) {
                complain(path.clone(), format!("there is no arm `{arm}`"));
            }
            for (key, value) in [("within", expect.within), ("by", expect.by)] {
                if !(0.0..=1.0).contains(&value) {
                    complain(path.key(key), format!("{value} is out of range: use 0 to 1"));
                }
            }
        }
        found
    }

    fn refuse(&self, key: &str, message: String) -> Diagnostics {
        let path = Path::root().key(key);
        self.document.diagnose(self.document.place_of(&path), path, message).into()
    }
}

impl Arm {
    fn read(document: Document) -> Result<Self, Diagnostics> {
        let (settings, overrides) = document.split(&["control", "member"]);
        Ok(Self { settings: settings.read()?, overrides })
    }
}

impl Quick {
    fn read(document: Document) -> Result<Self, Diagnostics> {
        let (settings, overrides) = document.split(&["seeds"]);
        let QuickSettings { seeds } = settings.read()?;
        Ok(Self { seeds, overrides: Some(overrides) })
    }
}

#[cfg(test)]
mod tests;
