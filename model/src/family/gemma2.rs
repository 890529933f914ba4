//! Gemma 2: norms before and after each part, `1 + weight` in norms, scaled embeddings, soft caps on attention scores and on the
//! next-token logits, and a sliding window in every other layer.

use serde_json::{Map, Value};

use super::plan::{LayerPlan, NormKind, NormPlan, Plan, ResidualNorms};
use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) const DEFINITION: Definition =
    Definition { model_type: "gemma2", class: "Gemma2", read, write, plan, ..common::DECODER };

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    for key in ["head_dim", "num_key_value_heads"] {
        fields.require_present(key)?;
    }
    config.tie_word_embeddings = true;
    common::read(fields, config)?;
    // Older files name the activation twice; only `hidden_activation` counts.
    fields.present("hidden_act");
    config.activation = Activation::read(fields, "hidden_activation", Activation::GeluTanh)?;
    config.attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    fields.require_one_of("use_bidirectional_attention", &[Value::from(false)])?;
    let unless_null = |key: &'static str, default: f64| match fields.has(key) {
        true => fields.number(key),
        false => Ok(Some(default)),
    };
    config.attn_logit_softcapping = unless_null("attn_logit_softcapping", 50.0)?;
    config.final_logit_softcapping = unless_null("final_logit_softcapping", 30.0)?;
    config.query_pre_attn_scalar = Some(fields.number("query_pre_attn_scalar")?.unwrap_or(256.0));
    let window = if fields.has("sliding_window") { fields.optional_size("sliding_window")? } else { Some(4096) };
    config.windows = common::windows(fields, config.num_hidden_layers, window, |layer| layer % 2 == 0)?;
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    common::write(config, map);
    let scalar = config.query_pre_attn_scalar.unwrap_or(config.head_dim as f64);
    let entries = [
        ("hidden_activation", Value::from(config.activation.name())),
        ("attention_bias", config.attention_bias.into()),
        ("attn_logit_softcapping", config.attn_logit_softcapping.into()),
        ("final_logit_softcapping", config.final_logit_softcapping.into()),
        // A whole number in transformers, which checks the type.
        ("query_pre_attn_scalar", if scalar.fract() == 0.0 { (scalar as u64).into() } else { scalar.into() }),
        ("sliding_window", config.windows.iter().flatten().next().copied().into()),
        ("layer_types", common::layer_types(config)),
    ];
    map.extend(entries.map(|(key, value)| (key.to_owned(), value)));
}

fn plan(config: &ModelConfig) -> Plan {
    let mut plan = common::plan(config);
    plan.embedding.scale = Some((config.hidden_size as f64).sqrt());
    for (index, layer) in plan.layers.iter_mut().enumerate() {
        change(config, index, layer);
    }
    plan.final_norm = plan.final_norm.map(off_by_one);
    plan
}

fn change(config: &ModelConfig, index: usize, layer: &mut LayerPlan) {
    let norm = |name: &str| Some(off_by_one(common::rms_norm(config, format!("model.layers.{index}.{name}"))));
    layer.attention_norms =
        ResidualNorms { input: norm("input_layernorm"), output: norm("post_attention_layernorm"), sum: None };
    layer.mlp_norms = ResidualNorms {
        input: norm("pre_feedforward_layernorm"),
        output: norm("post_feedforward_layernorm"),
        sum: None,
    };
    let scalar = config.query_pre_attn_scalar.unwrap_or(config.head_dim as f64);
    layer.attention.spec.scale = (1.0 / scalar.sqrt()) as f32;
    layer.attention.spec.soft_cap = config.attn_logit_softcapping.map(|cap| cap as f32);
}

/// Gemma stores the difference of the weight from one.
fn off_by_one(norm: NormPlan) -> NormPlan {
    NormPlan { kind: NormKind::Rms { offset: 1.0 }, ..norm }
}
