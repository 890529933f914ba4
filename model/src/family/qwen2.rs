//! Qwen 2 and 2.5: Llama with biases on queries, keys and values, and optional windows in the later layers.

use serde_json::{Map, Value};

use super::plan::{Bias, Plan};
use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) const DEFINITION: Definition =
    Definition { model_type: "qwen2", class: "Qwen2", read, write, plan, ..common::DECODER };

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    read_shape(fields, config)?;
    config.attention_bias = fields.flag("attention_bias")?.unwrap_or(true);
    fields.require_one_of("attention_bias", &[Value::from(true)])
}

/// What Qwen 3 has too.
pub(super) fn read_shape(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    fields.require_present("num_key_value_heads")?;
    common::read(fields, config)?;
    config.activation = Activation::read(fields, "hidden_act", Activation::Silu)?;
    fields.require_one_of("mlp_bias", &[Value::from(false)])?;
    let size = if fields.has("sliding_window") { fields.optional_size("sliding_window")? } else { Some(4096) };
    let slides = fields.flag("use_sliding_window")?.unwrap_or(false);
    let window = size.filter(|_| slides);
    let first = fields.optional_size("max_window_layers")?.unwrap_or(28);
    config.windows = common::windows(fields, config.num_hidden_layers, window, |layer| layer >= first)?;
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    write_shape(config, map);
}

pub(super) fn write_shape(config: &ModelConfig, map: &mut Map<String, Value>) {
    common::write(config, map);
    let window = config.windows.iter().flatten().next();
    map.insert("hidden_act".to_owned(), config.activation.name().into());
    map.insert("use_sliding_window".to_owned(), window.is_some().into());
    map.insert("sliding_window".to_owned(), window.copied().into());
    map.insert("max_window_layers".to_owned(), config.num_hidden_layers.into());
    map.insert("layer_types".to_owned(), common::layer_types(config));
}

fn plan(config: &ModelConfig) -> Plan {
    let mut plan = common::plan(config);
    for layer in &mut plan.layers {
        layer.attention.output.bias = Bias::No;
    }
    plan
}
