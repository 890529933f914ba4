//! Qwen 3: Llama with a norm of each query and key head before rotation.

use serde_json::{Map, Value};

use super::plan::{NormPlan, Plan};
use super::{Definition, common, qwen2};
use crate::config::Fields;
use crate::{ConfigError, ModelConfig};

pub(super) const DEFINITION: Definition =
    Definition { model_type: "qwen3", class: "Qwen3", read, write, plan, ..common::DECODER };

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    fields.require_present("head_dim")?;
    qwen2::read_shape(fields, config)?;
    config.attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    qwen2::write_shape(config, map);
    map.insert("attention_bias".to_owned(), config.attention_bias.into());
}

fn plan(config: &ModelConfig) -> Plan {
    let mut plan = common::plan(config);
    for (index, layer) in plan.layers.iter_mut().enumerate() {
        let norm = |name: &str| NormPlan {
            width: config.head_dim,
            ..common::rms_norm(config, format!("model.layers.{index}.self_attn.{name}"))
        };
        layer.attention.query_norm = Some(norm("q_norm"));
        layer.attention.key_norm = Some(norm("k_norm"));
    }
    plan
}
