//! What the families around Llama share: the same tensor names under `model.`, rotary embeddings, RMS norms and a gated
//! feed-forward part. Each family says what it adds or changes.

use galapagos_kernels::AttentionSpec;
use serde_json::{Map, Value};

use super::plan::{
    AttentionPlan, Bias, EmbeddingPlan, HeadPlan, LayerPlan, LinearPlan, MlpPlan, NormKind, NormPlan, Plan,
    ResidualNorms,
};
use super::{Definition, vision};
use crate::config::{Fields, RopeScaling, invalid, unsupported};
use crate::{ConfigError, ModelConfig, ModelKind};

/// What their definitions have in common.
pub(super) const DECODER: Definition = Definition {
    model_type: "",
    class: "",
    language_model: "ForCausalLM",
    trunk: "model.",
    derived: &[".rotary_emb.inv_freq"],
    read,
    write,
    plan,
};

/// Reads the keys these families have in common.
pub(super) fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    config.vocab_size = fields.size("vocab_size")?;
    config.hidden_size = fields.size("hidden_size")?;
    config.intermediate_size = fields.size("intermediate_size")?;
    config.num_hidden_layers = fields.size("num_hidden_layers")?;
    config.num_attention_heads = fields.size("num_attention_heads")?;
    config.num_key_value_heads = fields.optional_size("num_key_value_heads")?.unwrap_or(config.num_attention_heads);
    config.head_dim = match fields.optional_size("head_dim")? {
        Some(size) => size,
        None => fields.even_part("num_attention_heads", config.hidden_size, config.num_attention_heads)?,
    };
    config.rms_norm_eps = fields.number("rms_norm_eps")?.unwrap_or(1e-6);
    config.max_position_embeddings = fields.size("max_position_embeddings")?;
    (config.rope_theta, config.rope_scaling) = RopeScaling::read(fields, config.max_position_embeddings)?;
    config.tie_word_embeddings = fields.flag("tie_word_embeddings")?.unwrap_or(config.tie_word_embeddings);
    config.initializer_range = fields.number("initializer_range")?.unwrap_or(0.02);
    Ok(())
}

/// Writes the keys that [`read`] reads.
pub(super) fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("hidden_size", config.hidden_size),
        ("intermediate_size", config.intermediate_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", config.num_attention_heads),
        ("num_key_value_heads", config.num_key_value_heads),
        ("head_dim", config.head_dim),
        ("max_position_embeddings", config.max_position_embeddings),
    ];
    map.extend(sizes.map(|(key, size)| (key.to_owned(), Value::from(size))));
    map.insert("rms_norm_eps".to_owned(), config.rms_norm_eps.into());
    map.insert("initializer_range".to_owned(), config.initializer_range.into());
    map.insert("tie_word_embeddings".to_owned(), config.tie_word_embeddings.into());
    map.insert("attention_dropout".to_owned(), 0.0.into());
    config.rope_scaling.write(config.rope_theta, map);
}

/// The plan of Llama itself.
pub(super) fn plan(config: &ModelConfig) -> Plan {
    Plan {
        embedding: EmbeddingPlan {
            tokens: "model.embed_tokens.weight".to_owned(),
            vocabulary: config.vocab_size,
            hidden: config.hidden_size,
            positions: None,
            types: None,
            scale: None,
            norm: None,
            vision: vision::plan(config),
        },
        layers: (0..config.num_hidden_layers).map(|layer| self::layer(config, layer)).collect(),
        final_norm: Some(rms_norm(config, "model.norm".to_owned())),
        head: head(config),
    }
}

fn layer(config: &ModelConfig, layer: usize) -> LayerPlan {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (queries, keys) = (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
    let module = |name: &str| format!("model.layers.{layer}.{name}");
    let linear = |name: &str, (outputs, inputs): (usize, usize), bias: bool| LinearPlan {
        module: module(name),
        inputs,
        outputs,
        bias: bias.into(),
        transposed: false,
    };
    let norm = |name: &str| Some(rms_norm(config, module(name)));
    let (bias, mlp_bias) = (config.attention_bias, config.mlp_bias);
    LayerPlan {
        attention: AttentionPlan {
            query_key_value: vec![
                linear("self_attn.q_proj", (queries, hidden), bias),
                linear("self_attn.k_proj", (keys, hidden), bias),
                linear("self_attn.v_proj", (keys, hidden), bias),
            ],
            output: linear("self_attn.o_proj", (hidden, queries), bias),
            query_heads: config.num_attention_heads,
            key_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            query_norm: None,
            key_norm: None,
            rotary: true,
            spec: AttentionSpec {
                scale: (1.0 / (config.head_dim as f64).sqrt()) as f32,
                soft_cap: None,
                window: config.window(layer),
            },
        },
        attention_norms: ResidualNorms { input: norm("input_layernorm"), ..ResidualNorms::default() },
        mlp: MlpPlan {
            gate: Some(linear("mlp.gate_proj", (inner, hidden), mlp_bias)),
            up: linear("mlp.up_proj", (inner, hidden), mlp_bias),
            down: linear("mlp.down_proj", (hidden, inner), mlp_bias),
            activation: config.activation.into(),
        },
        mlp_norms: ResidualNorms { input: norm("post_attention_layernorm"), ..ResidualNorms::default() },
    }
}

pub(super) fn rms_norm(config: &ModelConfig, module: String) -> NormPlan {
    NormPlan { module, width: config.hidden_size, kind: NormKind::Rms { offset: 0.0 }, eps: config.rms_norm_eps }
}

fn head(config: &ModelConfig) -> HeadPlan {
    match config.kind {
        ModelKind::CausalLm => {
            let module = if config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
            let product = head_linear(config, module, config.vocab_size, Bias::No);
            HeadPlan::Vocabulary { product, soft_cap: config.final_logit_softcapping }
        }
        ModelKind::TokenClassifier => HeadPlan::Labels(head_linear(config, "score", config.labels.len(), Bias::Yes)),
        ModelKind::Scalar | ModelKind::SequenceClassifier => sequence_head(config),
    }
}

/// The head of a classifier of whole sequences on a decoder.
pub(super) fn sequence_head(config: &ModelConfig) -> HeadPlan {
    // Scalar heads of ours have a bias; `transformers` makes sequence classifiers without.
    let bias = if config.kind == ModelKind::Scalar { Bias::Optional } else { Bias::No };
    HeadPlan::Labels(head_linear(config, "score", config.label_count(), bias))
}

/// A product that reads the last hidden states.
pub(super) fn head_linear(config: &ModelConfig, module: &str, outputs: usize, bias: Bias) -> LinearPlan {
    LinearPlan { module: module.to_owned(), inputs: config.hidden_size, outputs, bias, transposed: false }
}

/// The window of each layer: by `layer_types`, else `window` where `slides` says so.
pub(super) fn windows(
    fields: &Fields<'_>,
    layers: usize,
    window: Option<usize>,
    slides: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, ConfigError> {
    let windows: Vec<Option<usize>> = match fields.present("layer_types") {
        None => (0..layers).map(|layer| window.filter(|_| slides(layer))).collect(),
        Some(types) => {
            let wrong = || invalid("layer_types", types, format!("a list of {layers} names"));
            let of = |name: &Value| match name.as_str() {
                Some("full_attention") => Ok(None),
                Some("sliding_attention") if window.is_some() => Ok(window),
                Some("sliding_attention") => Err(invalid("sliding_window", "null", "a number, as `layer_types` slide")),
                _ => Err(unsupported("layer_types", name, "\"full_attention\" and \"sliding_attention\"")),
            };
            let names = types.as_array().filter(|names| names.len() == layers).ok_or_else(wrong)?;
            names.iter().map(of).collect::<Result<_, _>>()?
        }
    };
    // No window at all has one form.
    Ok(if windows.iter().all(Option::is_none) { Vec::new() } else { windows })
}

/// `layer_types` of a configuration.
pub(super) fn layer_types(config: &ModelConfig) -> Value {
    let name = |layer| if config.window(layer).is_some() { "sliding_attention" } else { "full_attention" };
    (0..config.num_hidden_layers).map(name).collect()
}
