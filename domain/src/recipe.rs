//! The recipe language as types: what a person may ask for. Parsing with locations, validation and planning stand in
//! the submodules; this file and `recipe/{step,search,guide,curate,train,tournament,evaluate,tasks,controller}.rs` are the grammar.
//!
//! Every field has a default or is required; unknown fields are refused. A choice is a map with one key or a bare word.

mod control;
pub mod controller;
pub mod curate;
pub mod diagnostic;
pub mod document;
pub mod evaluate;
pub mod generations;
pub mod guide;
mod parse;
pub mod path;
pub mod proposals;
mod read;
pub mod search;
mod shape;
pub mod step;
pub mod tasks;
pub mod tournament;
pub mod train;
pub mod validate;
pub mod verify;
mod vocabulary;

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::Name;
use controller::Controller;
use proposals::Proposals;
pub(crate) use shape::whole;
use shape::{Never, Shape};
use step::RecipeStep;
use tasks::TaskSet;

/// A whole recipe, format version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Format version; 1.
    pub galapagos: u32,
    /// Short name; part of ids and of the run folder.
    pub name: Name,
    /// One sentence for people.
    pub about: String,
    /// The published system this implements.
    #[serde(default)]
    pub source: Option<Source>,
    /// Why it may run.
    pub governance: Governance,
    /// The weights everything starts from.
    pub base: Base,
    /// Evolutions of a higher priority get free slots first; those of the same share them.
    #[serde(default)]
    pub priority: i32,
    /// Roles by name; `policy` is required.
    pub roles: BTreeMap<Name, Role>,
    /// Task sets by name.
    pub tasks: BTreeMap<Name, TaskSet>,
    /// How many times `each` runs at most.
    pub generations: u32,
    /// Numbers that recipe steps may refer to as `$name`.
    #[serde(default)]
    pub vars: BTreeMap<Name, f64>,
    /// What moves them, in order, at the start of generations.
    #[serde(default)]
    pub controllers: Vec<Controller>,
    /// Recipe steps that run once, before the first generation (for example training on demonstrations).
    #[serde(default)]
    pub first: Vec<RecipeStep>,
    /// The recipe steps of one generation.
    pub each: Vec<RecipeStep>,
    /// When to stop before `generations` are done.
    #[serde(default)]
    pub stop: Option<StopRule>,
    /// Recipe steps that run once, at the end; only these may read the sealed test split.
    pub finish: Vec<RecipeStep>,
    /// The negative control that `reproduce` runs beside the recipe, at the same budget.
    #[serde(default)]
    pub control: Option<Control>,
}

impl Recipe {
    /// The recipe step that proposes the tasks of that name.
    #[must_use]
    pub fn proposals(&self, name: &Name) -> Option<&Proposals> {
        self.first.iter().chain(&self.each).find_map(|step| match step {
            RecipeStep::Propose(proposals) => Some(proposals).filter(|proposals| proposals.name == *name),
            _ => None,
        })
    }

    /// The task set of that name; of proposed tasks the one that they are like, whose answers they would have.
    #[must_use]
    pub fn task_source(&self, name: &Name) -> Option<&TaskSet> {
        self.tasks.get(name).or_else(|| self.tasks.get(&self.proposals(name)?.like))
    }
}

/// The published system that a recipe implements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub title: String,
    #[serde(default)]
    pub arxiv: Option<String>,
}

/// Short, required answers about purpose and oversight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Governance {
    pub purpose: String,
    pub data: String,
    pub risks: String,
    pub oversight: String,
    pub contact: String,
}

/// Where the base weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Base {
    /// A folder name in the model store, or a path to a Hugging Face folder.
    Model(String),
    /// A character transformer (Llama architecture, one token per character) initialised from the run's seed.
    Characters(Characters),
}

/// Shape of a from-scratch character transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characters {
    /// The characters, each one token; newline is always in.
    pub alphabet: String,
    pub layers: u32,
    pub hidden: u32,
    pub heads: u32,
    /// Width of the feed-forward part.
    pub ffn: u32,
    /// Longest sequence, patches of images counted.
    pub context: u32,
    /// Reads the images of prompts; without it the model reads text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<Vision>,
}

/// Shape of a vision encoder: each patch of an image, with its place, through a perceptron of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vision {
    /// Width.
    pub hidden: u32,
    /// Blocks of two products each, between the projection of the pixels and that to the decoder's width.
    pub layers: u32,
}

/// A role: weights, head, version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `base`, or another role whose current weights it starts from.
    pub init: Name,
    #[serde(default)]
    pub head: Head,
}

/// What stands on top of the trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Next-token logits.
    #[default]
    Lm,
    /// One number per position.
    Scalar,
    /// So many numbers per position: classes of a critic, actions of a Q-function.
    Classes(u32),
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lm => f.write_str("lm"),
            Self::Scalar => f.write_str("scalar"),
            Self::Classes(classes) => write!(f, "classes ({classes})"),
        }
    }
}

/// A number of the recipe, or a variable that a controller may move.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Number {
    Value(f64),
    /// `$name`, with the dollar sign.
    Variable(String),
}

impl Number {
    /// The value under `vars`; `None` if the variable is not declared (validation refuses such a recipe).
    #[must_use]
    pub fn resolve(&self, vars: &BTreeMap<Name, f64>) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Variable(_) => {
                let name = Name::new(self.variable()?).ok()?;
                vars.get(&name).copied()
            }
        }
    }

    /// The variable's name, without the dollar sign.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Variable(text) => text.strip_prefix('$'),
        }
    }

    /// The value under `vars`, if it is a whole number from 0.
    #[must_use]
    pub fn whole(&self, vars: &BTreeMap<Name, f64>) -> Option<u32> {
        self.resolve(vars).and_then(shape::whole)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a number, or a variable such as `$temperature`";
        match shape::read::<D, Never, Never>(deserializer, EXPECTED)? {
            Shape::Number(value) => Ok(Self::Value(value)),
            Shape::Text(text) if text.strip_prefix('$').is_some_and(|name| Name::new(name).is_ok()) => {
                Ok(Self::Variable(text))
            }
            Shape::Text(text) => Err(D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Shape::Map(never) | Shape::List(never) => match never {},
        }
    }
}

/// When an evolution stops before its last generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StopRule {
    /// As soon as one of these holds.
    Any(Vec<StopRule>),
    /// The metric of the last `evaluate` in `each` did not rise for so many generations.
    Plateau { metric: evaluate::Metric, generations: u32 },
}

/// A negative control: what is shuffled so that the method must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// Permute something among the records before any use.
    Shuffle(Shuffled),
}

/// What a control permutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shuffled {
    /// The verdicts among all records of the dataset.
    Verdicts,
    /// What verifiers gave beside pass and fail, and rewards, among all records of the dataset.
    Scores,
    /// Values and classes among all parts of the dataset's records that have a value.
    Labels,
    /// The prompts, each with its task, among all records of the dataset: what is learnt answers something else.
    Prompts,
}
