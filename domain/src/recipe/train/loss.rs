//! What a round learns: the losses and their settings. Formulas and their sources stand with the mathematics, in
//! `trainer/src/losses`; what each loss needs of a record, in `trainer/src/data`.

mod policy_gradient;

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::recipe::Head;

pub use policy_gradient::*;

/// A loss. Records whose verdict it cannot use are left out and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Negative log-likelihood of the completion's tokens.
    Nll,
    /// Negative log-likelihood, each record times its reward.
    WeightedNll,
    /// Policy gradient: REINFORCE, PPO, GRPO, RLOO and their kin, by baseline, scale and surrogate.
    Pg(PolicyGradient),
    /// Preference pairs against the reference: DPO, conservative DPO, IPO.
    Dpo(Dpo),
    /// Desirable and undesirable records against the reference, unpaired.
    Kto(Kto),
    /// Squared regression of the pair's log-ratio margin onto its reward margin.
    DpoRegression(DpoRegression),
    /// Contrastive preference learning on segments, without a reference.
    Cpl(Cpl),
    /// Bradley-Terry on a scalar head, every prompt's pairs weighing 1/(n+ n-) each.
    BtPair(BtPair),
    /// A regression or classification of the record, or of each of its steps.
    Pointwise(Pointwise),
    /// A critic's regression on returns at every token, as PPO trains it.
    Value(ValueLoss),
    /// Q-learning from logged actions with a conservative penalty: CQL, Cal-QL.
    TdConservative(TdConservative),
    /// InfoNCE between what a prompt's and a completion's last hidden states say.
    ContrastiveMi(ContrastiveMi),
    /// Prediction of every component of a trajectory, prompt included.
    Component(Component),
}

/// Settings of [`Loss::Dpo`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpo {
    #[serde(default = "default_beta")]
    pub beta: f64,
    #[serde(default)]
    pub form: DpoForm,
    /// Probability that a pair's order is wrong.
    #[serde(default)]
    pub smoothing: f64,
}

/// Forms of direct preference optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DpoForm {
    #[default]
    Sigmoid,
    /// Squared, on means over tokens.
    Ipo,
}

/// Settings of [`Loss::Kto`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kto {
    #[serde(default = "default_beta")]
    pub beta: f64,
    #[serde(default = "whole")]
    pub desirable: f64,
    #[serde(default = "whole")]
    pub undesirable: f64,
}

/// Settings of [`Loss::DpoRegression`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpoRegression {
    #[serde(default = "default_beta")]
    pub beta: f64,
}

/// Settings of [`Loss::Cpl`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpl {
    #[serde(default = "default_beta")]
    pub alpha: f64,
    /// Weight of the worse segment: below 1 the loss is conservative.
    #[serde(default = "default_conservative")]
    pub lambda: f64,
    /// Discount from token to token of a segment.
    #[serde(default = "whole")]
    pub gamma: f64,
}

/// Settings of [`Loss::BtPair`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BtPair {
    /// Whether the difference of the pair's rewards must be exceeded.
    #[serde(default)]
    pub margin: bool,
}

/// Pointwise losses, against the label of the record (its reward, else 1 for pass and 0 for fail).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pointwise {
    /// Binary cross-entropy with logits; labels from 0 to 1.
    Bce,
    /// Squared error.
    Mse,
    /// Huber's error: squared up to 1, linear beyond.
    Huber,
    /// Cross-entropy over the head's classes; the record says its class, else 1 for pass and 0 for fail.
    Classes,
    /// [`Pointwise::Classes`] of the greatest output over the completion's tokens, class by class.
    PooledClasses,
    /// One of the others at the end of each step instead of the last token.
    Steps(StepLoss),
}

/// Losses of steps; their labels are the record's, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepLoss {
    Bce,
    Mse,
    Huber,
    Classes,
}

/// Settings of [`Loss::Value`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueLoss {
    /// How far a value may move from that at the round's start before its gradient ends; free when absent.
    #[serde(default)]
    pub clip: Option<f64>,
    #[serde(default = "whole")]
    pub gamma: f64,
    #[serde(default = "default_lambda")]
    pub lambda: f64,
}

/// Settings of [`Loss::TdConservative`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdConservative {
    #[serde(default = "default_gamma")]
    pub gamma: f64,
    /// Weight of the penalty; 0 is plain Q-learning.
    #[serde(default = "whole")]
    pub alpha: f64,
    /// Values are not pushed below the logged return (Cal-QL).
    #[serde(default = "yes")]
    pub calibrated: bool,
    /// How far the target network moves to the weights after each step; 0 keeps it at the round's start.
    #[serde(default = "default_target_rate")]
    pub target_rate: f64,
}

/// Settings of [`Loss::ContrastiveMi`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastiveMi {
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    /// Both ways: prompts among completions too.
    #[serde(default)]
    pub symmetric: bool,
}

/// Settings of [`Loss::Component`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Each token from those before it.
    Next,
    /// Tokens that were masked, from all the others.
    Masked(Masked),
}

/// Settings of [`Component::Masked`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masked {
    /// Part of the tokens.
    #[serde(default = "default_mask_rate")]
    pub rate: f64,
    /// The token that stands in their place.
    pub token: u32,
}

/// What of the model a loss reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Next-token log-probabilities.
    Tokens,
    /// The scalar head.
    Scalar,
    /// The head with one output per class.
    Classes,
    /// Hidden states, whatever the head.
    Hidden,
}

impl Loss {
    /// Its name in a recipe.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nll => "nll",
            Self::WeightedNll => "weighted_nll",
            Self::Pg(_) => "pg",
            Self::Dpo(_) => "dpo",
            Self::Kto(_) => "kto",
            Self::DpoRegression(_) => "dpo_regression",
            Self::Cpl(_) => "cpl",
            Self::BtPair(_) => "bt_pair",
            Self::Pointwise(_) => "pointwise",
            Self::Value(_) => "value",
            Self::TdConservative(_) => "td_conservative",
            Self::ContrastiveMi(_) => "contrastive_mi",
            Self::Component(_) => "component",
        }
    }

    /// What of the model it reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        match self {
            Self::Nll
            | Self::WeightedNll
            | Self::Pg(_)
            | Self::Dpo(_)
            | Self::Kto(_)
            | Self::DpoRegression(_)
            | Self::Cpl(_)
            | Self::Component(_) => Reads::Tokens,
            Self::BtPair(_) | Self::Value(_) => Reads::Scalar,
            Self::Pointwise(pointwise) => pointwise.reads(),
            Self::TdConservative(_) => Reads::Classes,
            Self::ContrastiveMi(_) => Reads::Hidden,
        }
    }

    /// Whether it can train a model with this head.
    #[must_use]
    pub fn fits(&self, head: Head) -> bool {
        match self.reads() {
            Reads::Tokens => head == Head::Lm,
            Reads::Scalar => head == Head::Scalar,
            Reads::Classes => matches!(head, Head::Classes(_)),
            Reads::Hidden => true,
        }
    }

    /// Whether it compares the policy with the round's reference.
    #[must_use]
    pub fn needs_reference(&self) -> bool {
        matches!(self, Self::Dpo(_) | Self::Kto(_) | Self::DpoRegression(_))
    }

    /// The frozen critic that it reads: its values or its classes.
    #[must_use]
    pub fn critic(&self) -> Option<&Name> {
        match self {
            Self::Pg(PolicyGradient { credit: Credit::CriticClass(critic), .. }) => Some(&critic.role),
            _ => self.value_critic(),
        }
    }

    /// The critic whose values it reads.
    #[must_use]
    pub fn value_critic(&self) -> Option<&Name> {
        match self {
            Self::Pg(PolicyGradient { baseline: Baseline::Critic(critic), .. }) => Some(&critic.role),
            _ => None,
        }
    }
}

impl Pointwise {
    fn reads(self) -> Reads {
        match self {
            Self::Bce | Self::Mse | Self::Huber => Reads::Scalar,
            Self::Classes | Self::PooledClasses => Reads::Classes,
            Self::Steps(StepLoss::Bce | StepLoss::Mse | StepLoss::Huber) => Reads::Scalar,
            Self::Steps(StepLoss::Classes) => Reads::Classes,
        }
    }
}

fn yes() -> bool {
    true
}
fn whole() -> f64 {
    1.0
}
fn default_beta() -> f64 {
    0.1
}
fn default_lambda() -> f64 {
    0.95
}
fn default_gamma() -> f64 {
    0.99
}
fn default_target_rate() -> f64 {
    0.005
}
fn default_conservative() -> f64 {
    0.5
}
fn default_temperature() -> f64 {
    0.1
}
fn default_mask_rate() -> f64 {
    0.15
}
