//! How weights move and which: optimiser, schedule, regularisers, what stays frozen, and what guards a round.

use serde::{Deserialize, Serialize};

use super::On;
use crate::ids::Name;

/// The rule of an update. Weight decay is decoupled and applies to matrices only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimiser {
    Adamw(Adamw),
    Sgd(Sgd),
    /// Orthogonalised momentum for the matrices inside layers, AdamW for the rest.
    Muon(Muon),
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::Adamw(Adamw { betas: default_betas(), eps: default_eps() })
    }
}

/// Settings of [`Optimiser::Adamw`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adamw {
    /// Decay of the first and of the second moment.
    #[serde(default = "default_betas")]
    pub betas: [f64; 2],
    #[serde(default = "default_eps")]
    pub eps: f64,
}

/// Settings of [`Optimiser::Sgd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    #[serde(default)]
    pub momentum: f64,
    #[serde(default)]
    pub nesterov: bool,
}

/// Settings of [`Optimiser::Muon`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Muon {
    #[serde(default = "default_momentum")]
    pub momentum: f64,
    #[serde(default = "yes")]
    pub nesterov: bool,
}

/// The curve of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Half a cosine down to the floor.
    #[default]
    Cosine,
    /// A line down to the floor.
    Linear,
    Constant,
    /// Constant, then a line down to the floor over this last part of all steps.
    Wsd {
        decay: f64,
    },
}

/// Which checkpoint is the reference of the round. It is pinned when the round is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The weights that the round starts from.
    #[default]
    Start,
    /// The base weights.
    Base,
    /// The current member of a role.
    Role(Name),
}

/// A penalty on the distance from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kl {
    pub weight: f64,
    /// In place of `weight` on the tokens of the first learned part of a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_turn: Option<f64>,
    #[serde(default)]
    pub form: KlForm,
    /// Where it enters.
    #[serde(default, rename = "in")]
    pub place: KlPlace,
}

/// Estimators of the divergence from one sample (Schulman, 2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum KlForm {
    /// The log-ratio: unbiased, of either sign.
    K1,
    /// Half its square.
    K2,
    /// Unbiased and never negative.
    #[default]
    K3,
}

/// Where the penalty enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum KlPlace {
    #[default]
    Loss,
    /// Every token's reward; with a critic only.
    Reward,
}

/// Steps on other data between those of the loss, by negative log-likelihood: behaviour cloning mixed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    pub on: On,
    /// One step of the mix comes after so many of the loss.
    #[serde(default = "one")]
    pub every: u32,
}

/// Train a low-rank adapter in place of the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    pub rank: u32,
    /// The update is scaled by `alpha / rank`; twice the rank when absent.
    #[serde(default)]
    pub alpha: Option<u32>,
    #[serde(default)]
    pub on: AdapterTargets,
}

/// Which projections get a low-rank update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AdapterTargets {
    /// Every projection inside the layers.
    #[default]
    All,
    Attention,
    Mlp,
}

/// What keeps its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// So many layers, from the first.
    #[serde(default)]
    pub layers: u32,
    /// Token and position embeddings (and the output projection, where it is the same weight).
    #[serde(default)]
    pub embeddings: bool,
}

/// What a round does about a step that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// After a loss or gradient that is no number.
    #[serde(default)]
    pub nonfinite: Policy,
    /// A loss so many times the running mean, or above it by so many of its deviations, is a spike; none are when absent.
    #[serde(default)]
    pub spike: Option<f64>,
    /// After a spike.
    #[serde(default = "skip")]
    pub on_spike: Policy,
    /// So many skipped or rewound steps are borne.
    #[serde(default = "default_patience")]
    pub patience: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self { nonfinite: Policy::Stop, spike: None, on_spike: Policy::Skip, patience: default_patience() }
    }
}

/// What follows a step that cannot be right. The offending records are named in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The update is not made; its records count as trained on.
    Skip,
    /// The weights of the last in-round checkpoint come back, and the offending batch is left out.
    Rewind,
    /// The round fails.
    #[default]
    Stop,
}

/// How sequences lie in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One after another without padding; none sees another.
    #[default]
    Packed,
    /// A rectangle, padded to the longest.
    Padded,
}

fn one() -> u32 {
    1
}
fn yes() -> bool {
    true
}
fn skip() -> Policy {
    Policy::Skip
}
fn default_betas() -> [f64; 2] {
    [0.9, 0.95]
}
fn default_eps() -> f64 {
    1e-8
}
fn default_momentum() -> f64 {
    0.95
}
fn default_patience() -> u32 {
    3
}
