//! Llama 1 to 3 and what has the same shape: SmolLM2, and the small character transformers that recipes make.

use serde_json::{Map, Value};

use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) const DEFINITION: Definition =
    Definition { model_type: "llama", class: "Llama", read, write, plan: common::plan, ..common::DECODER };

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    common::read(fields, config)?;
    config.activation = Activation::read(fields, "hidden_act", Activation::Silu)?;
    config.attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.mlp_bias = fields.flag("mlp_bias")?.unwrap_or(false);
    fields.require_null("sliding_window")?;
    fields.require_one_of("rope_interleaved", &[Value::from(false)])
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    common::write(config, map);
    map.insert("hidden_act".to_owned(), config.activation.name().into());
    map.insert("attention_bias".to_owned(), config.attention_bias.into());
    map.insert("mlp_bias".to_owned(), config.mlp_bias.into());
    map.insert("pretraining_tp".to_owned(), 1.into());
}
