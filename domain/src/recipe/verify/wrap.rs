//! Verifiers that are made of others: several that are combined, one that is asked again, one whose doubt counts. What their verdicts
//! come to is decided where they are asked; here is what a recipe says of it.
//!
//! One rule holds for all of them: what a member does not decide (error, timeout, suspect) never counts as a fail.

use serde::{Deserialize, Serialize};

use super::{Mode, Verifier};
use crate::ids::Name;

/// Several verifiers, asked the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combine {
    pub of: Vec<Member>,
    pub how: How,
    /// The score from which the combination passes; without it numbers give a number.
    #[serde(default)]
    pub pass_at: Option<f64>,
}

/// One of several verifiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub verify: Verifier,
    /// What it counts in a majority or a mean.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// What several verdicts come to. The first three read pass and fail, the others scores (1 and 0 without one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// All pass.
    All,
    /// One passes.
    Any,
    /// More than half of the weight passes.
    Majority,
    /// Weighted mean.
    Mean,
    Min,
    Product,
    /// 1 - Π(1 - score), of scores from 0 to 1.
    NoisyOr,
    /// 1 if all give the same, else 0: how far verifiers agree that give places or counts.
    Equal,
}

impl How {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::Majority => "majority",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Product => "product",
            Self::NoisyOr => "noisy_or",
            Self::Equal => "equal",
        }
    }

    /// Whether it counts who passes, and not how good.
    #[must_use]
    pub fn votes(self) -> bool {
        match self {
            Self::All | Self::Any | Self::Majority => true,
            Self::Mean | Self::Min | Self::Product | Self::NoisyOr | Self::Equal => false,
        }
    }

    /// Whether weights mean something to it.
    #[must_use]
    pub fn weighs(self) -> bool {
        matches!(self, Self::Majority | Self::Mean)
    }
}

/// One verifier, asked several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    pub verify: Box<Verifier>,
    pub times: u32,
    #[serde(default)]
    pub how: Agreement,
}

/// What repeated verdicts come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// More than half pass.
    #[default]
    Majority,
    /// The mean score of those that decided; a verifier of pass and fail passes if more than half of them pass.
    Mean,
    /// All pass.
    All,
}

/// A role that gives numbers, and how unsure it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncertainty {
    pub verify: Box<Verifier>,
    pub how: Spread,
    /// Standard deviations that are taken from the mean.
    #[serde(default = "one")]
    pub penalty: f64,
    /// The standard deviation above which nothing is decided.
    #[serde(default)]
    pub suspect_above: Option<f64>,
    /// The score from which it passes; without it, it gives a number.
    #[serde(default)]
    pub pass_at: Option<f64>,
}

/// Where several numbers about one text come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    McDropout(Dropout),
    /// Other roles, asked beside the verifier's own.
    Ensemble(Vec<Name>),
}

/// The head reads the last hidden state with parts of it left out (Gal and Ghahramani, arXiv 1506.02142, at the last layer).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    pub samples: u32,
    /// The share that is left out.
    pub rate: f64,
}

impl Verifier {
    /// The verifiers that it is made of, each as often as it is written.
    #[must_use]
    pub fn members(&self) -> Vec<&Self> {
        match self {
            Self::Combine(combine) => combine.of.iter().map(|member| &member.verify).collect(),
            Self::Repeat(repeat) => vec![&repeat.verify],
            Self::Uncertainty(uncertainty) => vec![&uncertainty.verify],
            Self::McRollout(mc) => mc.by.iter().map(|by| &**by).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it or one that it is made of is such.
    #[must_use]
    pub fn holds(&self, such: &dyn Fn(&Self) -> bool) -> bool {
        such(self) || self.members().into_iter().any(|member| member.holds(such))
    }

    /// Questions behind one of it.
    #[must_use]
    pub fn questions(&self) -> u64 {
        let members = || self.members().into_iter().map(Self::questions).fold(0, u64::saturating_add);
        match self {
            Self::Combine(_) => members(),
            Self::Repeat(repeat) => u64::from(repeat.times).saturating_mul(members()),
            Self::Uncertainty(Uncertainty { how: Spread::Ensemble(others), .. }) => 1 + others.len() as u64,
            Self::McRollout(mc) if mc.by.is_some() => u64::from(mc.samples).saturating_mul(members()),
            _ => 1,
        }
    }

    /// Whether what it says depends on the question's seed: asked again, it may say something else.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.holds(&|verifier| match verifier {
            Self::McRollout(_) => true,
            Self::Judge(judge) => matches!(judge.mode, Mode::Rationale(_)),
            Self::Uncertainty(uncertainty) => matches!(uncertainty.how, Spread::McDropout(_)),
            _ => false,
        })
    }

    /// Whether it says if an answer is the right one, so that known answers can test it: not so what looks at its form.
    #[must_use]
    pub fn knows_answers(&self) -> bool {
        match self {
            Self::Rule
            | Self::Exact(_)
            | Self::Numeric(_)
            | Self::List(_)
            | Self::MultipleChoice(_)
            | Self::Math(_)
            | Self::UnitTests(_) => true,
            Self::Regex(regex) => regex.capture.is_some(),
            // One that is tried on known answers is meant to know.
            Self::Judge(_) | Self::Principles(_) => self.calibrate().is_some(),
            Self::JsonSchema(schema) => schema.equal,
            Self::Combine(_) | Self::Repeat(_) => self.decides() && self.members().into_iter().any(Self::knows_answers),
            _ => false,
        }
    }

    /// Whether it is told the right answer, or what an environment pays, as no user of a model can be.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.holds(&|verifier| {
            let shown = matches!(verifier, Self::UnitTests(tests) if tests.examples.is_some());
            let by_rule = matches!(verifier, Self::McRollout(mc) if mc.by.is_none());
            (verifier.checks_answers() && !shown) || by_rule || verifier.shows_expected()
        })
    }

    /// Whether its errors may be those of a moment: what runs elsewhere, and what draws.
    #[must_use]
    pub fn errs_by_chance(&self) -> bool {
        match self {
            Self::StepExecutor(_) | Self::UnitTests(_) => true,
            // What judges its continuations is asked again by itself.
            Self::McRollout(mc) => mc.by.is_none(),
            Self::Judge(judge) => matches!(judge.mode, Mode::Rationale(_)),
            _ => false,
        }
    }
}
