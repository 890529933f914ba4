//! An experiment is data: a claim about a recipe, the arms that are compared, and what must come out. Here it is read,
//! turned into the recipes to run, and judged; running it is the shell's business.

mod arm;
mod conformance;
mod expect;
mod figure;
mod judge;
mod measure;

pub use arm::PlannedArm;
pub use conformance::{Conformance, Row, Tick};
pub use expect::{Comparison, Expect};
pub use figure::{Axis, Curve, Figure, Line, Point, Searches};
pub use judge::{ArmResult, Expectation, Outcome, Question, Report, judge, over_seeds};
pub use measure::{Measure, Read, scores};

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::recipe::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::document::{Document, Loader};
use crate::recipe::evaluate::Metric;
use crate::recipe::path::Path;
use arm::{Arm, said};

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
    /// How it is shown, for people: what is small here, what the arms are, what the control destroys.
    #[serde(default)]
    pub method: Option<String>,
    /// What its author makes of the figures that stand beside it.
    #[serde(default)]
    pub notes: Option<String>,
    /// The recipe's file, as the loader knows it.
    pub recipe: String,
    /// A recipe that is run once for every seed: its champion is the base of all arms.
    #[serde(default)]
    pub warm: Option<String>,
    pub seeds: Vec<u64>,
    /// Where the built-in environments are served over HTTP while it runs, each at `/NAME`; recipes give the same address.
    #[serde(default)]
    pub environments: Option<SocketAddr>,
    /// What every arm gets as much of as the method.
    #[serde(default)]
    pub equal: Option<Equal>,
    pub metric: Metric,
    pub expect: Vec<Expect>,
    #[serde(default)]
    pub figures: Vec<Figure>,
}

/// A budget that arms share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equal {
    /// The arms' plans must allow the same number of sampled tokens.
    Tokens,
    /// They may differ from the method's by this share of it.
    TokensWithin(f64),
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

    /// Every expectation with what is read of its arms.
    #[must_use]
    pub fn questions(&self) -> Vec<Question<'_>> {
        let question = |expect| Question {
            expect,
            of_arm: self.measure(&expect.arm, Some(expect)),
            of_other: expect.comparison().and_then(Comparison::other).map(|other| self.measure(other, Some(expect))),
        };
        self.header.expect.iter().map(question).collect()
    }

    /// The recipe whose champion is every arm's base, if there is one.
    ///
    /// # Errors
    /// [`Diagnostics`] if it cannot be read or breaks a rule.
    pub fn warm(&self, loader: Loader<'_>) -> Result<Option<Recipe>, Diagnostics> {
        self.header.warm.as_ref().map(|file| self.load("warm", file, loader)?.recipe()).transpose()
    }

    fn load(&self, key: &str, file: &str, loader: Loader<'_>) -> Result<Document, Diagnostics> {
        let text = loader(file).map_err(|e| self.refuse(key, format!("cannot read the recipe `{file}`: {e}")))?;
        Document::load(file, &text, loader)
    }

    /// The arms with their recipes: the recipe, under `at`, under `quick` if asked for, under the arm's overrides.
    ///
    /// # Errors
    /// [`Diagnostics`] if the recipe cannot be read, or if an arm's recipe breaks a rule or has no control to run.
    ///
    /// With `warm`, the base stands there as the warm recipe starts from it: who runs an arm puts the champion in its place.
    pub fn arms(&self, scale: Scale, loader: Loader<'_>) -> Result<Vec<PlannedArm>, Diagnostics> {
        let mut base = self.load("recipe", &self.header.recipe, loader)?;
        let quick = match scale {
            Scale::Full => None,
            Scale::Quick => self.quick.overrides.clone(),
        };
        for over in self.at.clone().into_iter().chain(quick) {
            base.merge(over);
        }
        if let Some(file) = &self.header.warm {
            let (start, _) = self.load("warm", file, loader)?.split(&["base"]);
            base.merge(start);
        }
        let mut arms = Vec::new();
        for (name, arm) in &self.arms {
            arms.extend(self.planned(name, arm, &base)?);
        }
        self.same_budget(&arms)?;
        self.arms_differ(&arms)?;
        Ok(arms)
    }

    /// Two arms that are the same run and are read the same differ by nothing, whatever comes out.
    fn arms_differ(&self, arms: &[PlannedArm]) -> Result<(), Diagnostics> {
        let same = |a: &PlannedArm, b: &PlannedArm| {
            a.name != b.name && a.recipe == b.recipe && a.member == b.member && a.measures.first() == b.measures.first()
        };
        let compared = |a: &PlannedArm, b: &PlannedArm| {
            let both = |expect: &Expect| [a, b].iter().all(|arm| expect.arms().any(|name| *name == arm.name));
            a.control != b.control || self.header.expect.iter().any(both)
        };
        let mut pairs = arms.iter().flat_map(|a| arms.iter().map(move |b| (a, b)));
        match pairs.find(|(a, b)| same(a, b) && compared(a, b)) {
            None => Ok(()),
            Some((a, b)) => {
                let message = format!(
                    "`{}` and `{}` are the same run, read the same, so nothing can tell them apart; give one of them what makes it another, \
                     for example `member: base` or `control: true`",
                    a.name, b.name
                );
                Err(self.refuse("arms", message))
            }
        }
    }

    fn same_budget(&self, arms: &[PlannedArm]) -> Result<(), Diagnostics> {
        let within = match self.header.equal {
            None => return Ok(()),
            Some(Equal::Tokens) => 0.0,
            Some(Equal::TokensWithin(within)) => within,
        };
        let tokens = |arm: &PlannedArm| Plan::of(&arm.recipe).totals.sampled_tokens;
        let Some(method) = arms.iter().find(|arm| arm.name.as_str() == METHOD).map(tokens) else { return Ok(()) };
        let unequal = |arm: &&PlannedArm| tokens(arm).abs_diff(method) as f64 > within * method as f64;
        match arms.iter().find(unequal) {
            None => Ok(()),
            Some(arm) => {
                let message = format!("`{}` may sample {} tokens, the method {method}", arm.name, tokens(arm));
                Err(self.refuse("equal", message))
            }
        }
    }

    /// An arm as one recipe, or one for each choice of its `sweep`.
    fn planned(&self, name: &Name, arm: &Arm, base: &Document) -> Result<Vec<PlannedArm>, Diagnostics> {
        let settings = &arm.settings;
        let mut document = base.clone();
        document.merge(arm.overrides.clone());
        let mut plain = document.recipe()?;
        if settings.control {
            let no_control =
                || self.refuse("recipe", format!("the arm `{name}` needs a recipe that declares `control`"));
            plain = plain.with_control().ok_or_else(no_control)?;
        }
        let choices = arm.choices();
        let swept = !settings.sweep.is_empty();
        let one = |(number, choice): (usize, BTreeMap<Name, f64>)| {
            let mut recipe = plain.clone();
            for (variable, value) in &choice {
                let unknown = || self.refuse("arms", format!("`{name}` sweeps `{variable}`, which is not in `vars`"));
                *recipe.vars.get_mut(variable).ok_or_else(unknown)? = *value;
            }
            let own = if swept { Name::new(format!("{name}-{}", number + 1)) } else { Ok(name.clone()) };
            Ok(PlannedArm {
                name: own.map_err(|e| self.refuse("arms", e.to_string()))?,
                about: if swept { Some(said(&choice)) } else { settings.about.clone() },
                recipe,
                member: settings.member.clone(),
                control: settings.control || settings.must_fail,
                measures: self.measures(name),
                of: swept.then(|| name.clone()),
            })
        };
        choices.into_iter().enumerate().map(one).collect()
    }

    /// What is read of an arm: what the table shows, then what expectations ask besides.
    fn measures(&self, name: &Name) -> Vec<Measure> {
        let mut measures = vec![self.measure(name, None)];
        for expect in self.header.expect.iter().filter(|expect| expect.arms().any(|arm| arm == name)) {
            let measure = self.measure(name, Some(expect));
            if !measures.contains(&measure) {
                measures.push(measure);
            }
        }
        measures
    }

    /// An arm's own metric goes before an expectation's, and that before the experiment's.
    fn measure(&self, name: &Name, expect: Option<&Expect>) -> Measure {
        let settings = self.arms.get(name).map(|arm| &arm.settings);
        let metric = settings.and_then(|settings| settings.metric.clone());
        let read = settings.and_then(|settings| settings.read);
        let asked = || expect.and_then(|expect| expect.metric.clone());
        Measure {
            metric: metric.or_else(asked).unwrap_or_else(|| self.header.metric.clone()),
            read: read.or_else(|| expect.and_then(|expect| expect.read)).unwrap_or_default(),
            tasks: settings.and_then(|settings| settings.on.clone()),
        }
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
            if expect.comparison().is_none() {
                complain(path, "give exactly one of above, below, not_above, at_least, near".to_owned());
                continue;
            }
            for arm in expect.arms().filter(|arm| !self.arms.contains_key(*arm)) {
                complain(path.clone(), format!("there is no arm `{arm}`"));
            }
            for (key, value) in [("within", expect.within), ("by", expect.by)] {
                if !(value >= 0.0 && value.is_finite()) {
                    complain(path.key(key), format!("{value} is out of range: use 0 or more"));
                }
            }
        }
        for (i, figure) in self.header.figures.iter().enumerate() {
            for arm in figure.arms().filter(|arm| !self.arms.contains_key(*arm)) {
                complain(root.key("figures").index(i), format!("there is no arm `{arm}`"));
            }
        }
        found
    }

    fn refuse(&self, key: &str, message: String) -> Diagnostics {
        let path = Path::root().key(key);
        self.document.diagnose(self.document.place_of(&path), path, message).into()
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
