//! Mistral: Llama without biases, every layer with a sliding window where the configuration names one.

use serde_json::{Map, Value};

use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) const DEFINITION: Definition =
    Definition { model_type: "mistral", class: "Mistral", read, write, plan: common::plan, ..common::DECODER };

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    fields.require_present("num_key_value_heads")?;
    common::read(fields, config)?;
    config.activation = Activation::read(fields, "hidden_act", Activation::Silu)?;
    fields.require_one_of("attention_bias", &[Value::from(false)])?;
    fields.require_one_of("mlp_bias", &[Value::from(false)])?;
    // Absent and null differ here: transformers' own default is a window.
    let window = if fields.has("sliding_window") { fields.optional_size("sliding_window")? } else { Some(4096) };
    config.windows = common::windows(fields, config.num_hidden_layers, window, |_| true)?;
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    common::write(config, map);
    map.insert("hidden_act".to_owned(), config.activation.name().into());
    map.insert("sliding_window".to_owned(), config.window(0).into());
}
