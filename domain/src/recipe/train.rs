//! The `train` verb: one round that makes one member. What it learns is `loss`, how weights move `optimise`.

mod loss;
mod optimise;

pub use loss::*;
pub use optimise::*;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::generations::Generations;
use super::shape::{self, Never, Shape};
use crate::ids::Name;

/// Reads a role and datasets; makes a candidate member of the role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Name of the new member for later recipe steps. Without it the new member takes the role at once.
    #[serde(rename = "as", default)]
    pub name: Option<Name>,
    pub role: Name,
    /// A named member takes its role at once, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub promote: bool,
    pub on: On,
    pub loss: Loss,
    #[serde(default)]
    pub start: Start,
    #[serde(default = "one")]
    pub data_epochs: u32,
    /// Peak learning rate.
    pub lr: f64,
    /// World size of the round.
    #[serde(default = "one")]
    pub ranks: u32,
    /// Sequences per optimiser step, over all ranks.
    #[serde(default = "default_batch")]
    pub batch: u32,
    /// Sequences per rank in one forward pass; `batch` is reached by gradient accumulation.
    #[serde(default = "default_micro_batch")]
    pub micro_batch: u32,
    /// Records joined behind one shared few-shot prefix to one sequence; each later record sees the earlier as examples.
    /// (`layout: packed`, by which no sequence sees another, is another thing.)
    #[serde(default = "one")]
    pub pack: u32,
    /// Keep the few-shot prefix before each sequence.
    #[serde(default = "yes")]
    pub shots: bool,
    /// Part of all optimiser steps over which the learning rate rises from 0.
    #[serde(default = "default_warmup")]
    pub warmup: f64,
    /// The learning rate falls along a half cosine to this part of its peak.
    #[serde(default = "default_floor")]
    pub floor: f64,
    #[serde(default)]
    pub weight_decay: f64,
    /// Largest global gradient norm.
    #[serde(default = "default_clip")]
    pub clip: f64,
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    pub optimiser: Optimiser,
    #[serde(default)]
    pub schedule: Schedule,
    /// Which weights losses and penalties compare with.
    #[serde(default)]
    pub reference: Reference,
    #[serde(default)]
    pub kl: Option<Kl>,
    /// Weight of the policy's entropy, which is rewarded.
    #[serde(default)]
    pub entropy: f64,
    #[serde(default)]
    pub mix: Option<Mix>,
    /// A low-rank adapter is trained instead of the weights.
    #[serde(default)]
    pub adapter: Option<Adapter>,
    #[serde(default)]
    pub freeze: Freeze,
    /// The member gets a moving average of the weights with this decay instead of the last ones.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Layers are computed again in the backward pass instead of kept: less memory, more time.
    #[serde(default)]
    pub recompute: bool,
    #[serde(default)]
    pub layout: Layout,
    /// Each rank keeps the optimiser's state of its own part of the weights (ZeRO-1).
    #[serde(default)]
    pub shard_optimiser: bool,
    /// Optimiser steps between checkpoints inside the round, from which an interrupted one goes on; 0: none.
    #[serde(default = "default_save_every")]
    pub save_every: u32,
    #[serde(default)]
    pub guard: Guard,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

impl Train {
    /// A step with every default filled in, for a member that takes its role at once.
    #[must_use]
    pub fn new(role: Name, on: Name, loss: Loss, lr: f64) -> Self {
        Self {
            name: None,
            role,
            promote: false,
            on: On::One(on),
            loss,
            start: Start::default(),
            data_epochs: one(),
            lr,
            ranks: one(),
            batch: default_batch(),
            micro_batch: default_micro_batch(),
            pack: one(),
            shots: yes(),
            warmup: default_warmup(),
            floor: default_floor(),
            weight_decay: 0.0,
            clip: default_clip(),
            precision: Precision::default(),
            optimiser: Optimiser::default(),
            schedule: Schedule::default(),
            reference: Reference::default(),
            kl: None,
            generations: None,
            entropy: 0.0,
            mix: None,
            adapter: None,
            freeze: Freeze::default(),
            ema: None,
            recompute: false,
            layout: Layout::default(),
            shard_optimiser: false,
            save_every: default_save_every(),
            guard: Guard::default(),
        }
    }

    /// Whether the new member takes its role as soon as it is there.
    #[must_use]
    pub fn takes_role(&self) -> bool {
        self.name.is_none() || self.promote
    }

    /// Whether the round compares with a reference.
    #[must_use]
    pub fn needs_reference(&self) -> bool {
        self.loss.needs_reference() || self.kl.is_some()
    }
}

/// Which datasets a round reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum On {
    One(Name),
    Many(Vec<Source>),
}

impl On {
    /// The datasets in order.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        match self {
            Self::One(name) => vec![Source::Latest(name.clone())],
            Self::Many(sources) => sources.clone(),
        }
    }
}

/// One dataset, of this generation or of all so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// The newest dataset of that name.
    Latest(Name),
    /// The datasets of that name of all generations so far.
    All { all: Name },
}

impl Source {
    /// The dataset's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Latest(name) | Self::All { all: name } => name,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllOf {
    all: Name,
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a dataset's name, or a list such as [demonstrations, {all: correct}]";
        match shape::read::<D, AllOf, Vec<Source>>(deserializer, EXPECTED)? {
            Shape::Text(text) => Name::new(text).map(Self::One).map_err(D::Error::custom),
            Shape::List(sources) => Ok(Self::Many(sources)),
            Shape::Map(AllOf { all }) => Ok(Self::Many(vec![Source::All { all }])),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a dataset's name, or {all: NAME}";
        match shape::read::<D, AllOf, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) => Name::new(text).map(Self::Latest).map_err(D::Error::custom),
            Shape::Map(AllOf { all }) => Ok(Self::All { all }),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::List(never) => match never {},
        }
    }
}

/// Which weights a round starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The role's current member; a role without one starts from its `init`. The optimiser starts anew.
    #[default]
    Continue,
    /// [`Start::Continue`], with the optimiser's state at the end of the round that made the member.
    ContinueOptimiser,
    /// The role's `init` as it is now.
    Restart,
    /// The base weights.
    Base,
}

/// Arithmetic of the forward and backward pass; master weights and optimiser are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Bf16,
    F32,
}

fn one() -> u32 {
    1
}
fn yes() -> bool {
    true
}
fn default_batch() -> u32 {
    8
}
fn default_micro_batch() -> u32 {
    4
}
fn default_warmup() -> f64 {
    0.1
}
fn default_floor() -> f64 {
    0.1
}
fn default_clip() -> f64 {
    1.0
}
fn default_save_every() -> u32 {
    25
}
