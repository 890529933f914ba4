//! The families of models this crate runs, one definition each: which keys of `config.json` it has, and the `Plan` they
//! lead to, that is tensor names and shapes and how each layer computes.
//!
//! A family computes nothing itself; `decoder::network` runs any plan with the shared blocks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::Fields;
use crate::{ConfigError, ModelConfig};

pub(crate) mod plan;

mod bert;
mod common;
mod gemma2;
mod gpt2;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;
pub(crate) mod vision;

pub(crate) use plan::{Initial, Plan, TensorPlan};

/// A family of models: `model_type` of `config.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Llama 1 to 3, SmolLM2, and the small character transformers of recipes.
    #[default]
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3.
    Qwen3,
    /// Gemma 2.
    Gemma2,
    /// GPT-2.
    Gpt2,
    /// BERT: an encoder.
    Bert,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] =
        [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3, Self::Gemma2, Self::Gpt2, Self::Bert];

    /// `model_type` of `config.json`.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        self.definition().model_type
    }

    /// The family of that `model_type`.
    #[must_use]
    pub fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.model_type() == model_type)
    }

    /// Whether its models see both ways and classify, instead of generating.
    #[must_use]
    pub fn is_encoder(self) -> bool {
        match self {
            Self::Bert => true,
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 | Self::Gemma2 | Self::Gpt2 => false,
        }
    }

    pub(crate) fn definition(self) -> &'static Definition {
        match self {
            Self::Llama => &llama::DEFINITION,
            Self::Mistral => &mistral::DEFINITION,
            Self::Qwen2 => &qwen2::DEFINITION,
            Self::Qwen3 => &qwen3::DEFINITION,
            Self::Gemma2 => &gemma2::DEFINITION,
            Self::Gpt2 => &gpt2::DEFINITION,
            Self::Bert => &bert::DEFINITION,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.definition().class)
    }
}

/// What a family is.
#[derive(Debug)]
pub(crate) struct Definition {
    /// `model_type` of `config.json`.
    pub(crate) model_type: &'static str,
    /// How the names of its classes in `transformers` begin, as in `LlamaForCausalLM`.
    pub(crate) class: &'static str,
    /// How the name of the class with an output projection ends; empty if there is none.
    pub(crate) language_model: &'static str,
    /// Beginning of the names of all tensors but the head's. Folders of the bare model leave it out.
    pub(crate) trunk: &'static str,
    /// Ends of names of tensors that follow from the shape and are stored in some folders nevertheless.
    pub(crate) derived: &'static [&'static str],
    /// Reads the family's keys into a configuration whose common keys (head, special tokens) are set.
    pub(crate) read: fn(&Fields<'_>, &mut ModelConfig) -> Result<(), ConfigError>,
    /// Writes the keys that `read` reads, under the names `transformers` 5 gives them.
    pub(crate) write: fn(&ModelConfig, &mut Map<String, Value>),
    /// The tensors and layers of a validated configuration.
    pub(crate) plan: fn(&ModelConfig) -> Plan,
}

/// The plan of a configuration.
pub(crate) fn plan(config: &ModelConfig) -> Plan {
    (config.family.definition().plan)(config)
}

/// Every tensor a model of this configuration has, by name.
pub(crate) fn tensors(config: &ModelConfig) -> BTreeMap<String, TensorPlan> {
    plan(config).tensors()
}
