//! GPT-2: learned positions, layer norms with biases, a feed-forward part without gate, and weights stored transposed (`Conv1D`), with
//! queries, keys and values in one.

use galapagos_kernels::AttentionSpec;
use serde_json::{Map, Value};

use super::plan::{
    AttentionPlan, Bias, EmbeddingPlan, HeadPlan, LayerPlan, LinearPlan, MlpPlan, NormKind, NormPlan, Plan,
    ResidualNorms,
};
use super::{Definition, common};
use crate::config::{Activation, Fields};
use crate::{ConfigError, ModelConfig, ModelKind};

pub(super) const DEFINITION: Definition = Definition {
    model_type: "gpt2",
    class: "GPT2",
    language_model: "LMHeadModel",
    trunk: "transformer.",
    // Masks that old versions of transformers stored; they follow from the shape.
    derived: &[".attn.bias", ".attn.masked_bias"],
    read,
    write,
    plan,
};

fn read(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    config.vocab_size = fields.size("vocab_size")?;
    config.hidden_size = fields.size("n_embd")?;
    config.num_hidden_layers = fields.size("n_layer")?;
    config.num_attention_heads = fields.size("n_head")?;
    config.num_key_value_heads = config.num_attention_heads;
    config.head_dim = fields.even_part("n_head", config.hidden_size, config.num_attention_heads)?;
    config.intermediate_size = fields.optional_size("n_inner")?.unwrap_or(4 * config.hidden_size);
    config.max_position_embeddings = fields.size("n_positions")?;
    config.activation = Activation::read(fields, "activation_function", Activation::GeluTanh)?;
    config.rms_norm_eps = fields.number("layer_norm_epsilon")?.unwrap_or(1e-5);
    config.initializer_range = fields.number("initializer_range")?.unwrap_or(0.02);
    config.tie_word_embeddings = fields.flag("tie_word_embeddings")?.unwrap_or(true);
    (config.attention_bias, config.mlp_bias) = (true, true);
    // Scores that are not scaled are divided by the root of 1.
    config.query_pre_attn_scalar = (!fields.flag("scale_attn_weights")?.unwrap_or(true)).then_some(1.0);
    config.scale_attn_by_inverse_layer_idx = fields.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false);
    fields.require_one_of("add_cross_attention", &[Value::from(false)])?;
    // Only where sums are rounded.
    fields.present("reorder_and_upcast_attn");
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    // The same function under the name, and with the rounding, that GPT-2 has in transformers.
    let activation = match config.activation {
        Activation::GeluTanh => "gelu_new",
        Activation::Silu | Activation::Gelu | Activation::Relu => config.activation.name(),
    };
    let entries = [
        ("vocab_size", Value::from(config.vocab_size)),
        ("n_embd", config.hidden_size.into()),
        ("n_layer", config.num_hidden_layers.into()),
        ("n_head", config.num_attention_heads.into()),
        ("n_inner", config.intermediate_size.into()),
        ("n_positions", config.max_position_embeddings.into()),
        ("activation_function", activation.into()),
        ("layer_norm_epsilon", config.rms_norm_eps.into()),
        ("initializer_range", config.initializer_range.into()),
        ("tie_word_embeddings", config.tie_word_embeddings.into()),
        ("scale_attn_weights", config.query_pre_attn_scalar.is_none().into()),
        ("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx.into()),
        ("attn_pdrop", 0.0.into()),
        ("embd_pdrop", 0.0.into()),
        ("resid_pdrop", 0.0.into()),
    ];
    map.extend(entries.map(|(key, value)| (key.to_owned(), value)));
}

fn plan(config: &ModelConfig) -> Plan {
    Plan {
        embedding: EmbeddingPlan {
            tokens: "transformer.wte.weight".to_owned(),
            vocabulary: config.vocab_size,
            hidden: config.hidden_size,
            positions: Some(("transformer.wpe.weight".to_owned(), config.max_position_embeddings)),
            types: None,
            scale: None,
            norm: None,
            vision: None,
        },
        layers: (0..config.num_hidden_layers).map(|layer| self::layer(config, layer)).collect(),
        final_norm: Some(layer_norm(config, "transformer.ln_f".to_owned())),
        head: head(config),
    }
}

fn layer(config: &ModelConfig, layer: usize) -> LayerPlan {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let module = |name: &str| format!("transformer.h.{layer}.{name}");
    let linear = |name: &str, inputs: usize, outputs: usize| LinearPlan {
        module: module(name),
        inputs,
        outputs,
        bias: Bias::Yes,
        transposed: true,
    };
    let norms =
        |name: &str| ResidualNorms { input: Some(layer_norm(config, module(name))), ..ResidualNorms::default() };
    LayerPlan {
        attention: AttentionPlan {
            query_key_value: vec![linear("attn.c_attn", hidden, 3 * hidden)],
            output: linear("attn.c_proj", hidden, hidden),
            query_heads: config.num_attention_heads,
            key_heads: config.num_attention_heads,
            head_dim: config.head_dim,
            query_norm: None,
            key_norm: None,
            rotary: false,
            spec: AttentionSpec { scale: scale(config, layer), soft_cap: None, window: None },
        },
        attention_norms: norms("ln_1"),
        mlp: MlpPlan {
            gate: None,
            up: linear("mlp.c_fc", hidden, inner),
            down: linear("mlp.c_proj", inner, hidden),
            activation: config.activation.into(),
        },
        mlp_norms: norms("ln_2"),
    }
}

/// What the scores of a layer are multiplied by.
fn scale(config: &ModelConfig, layer: usize) -> f32 {
    let root = config.query_pre_attn_scalar.unwrap_or(config.head_dim as f64).sqrt();
    let depth = if config.scale_attn_by_inverse_layer_idx { (layer + 1) as f64 } else { 1.0 };
    (1.0 / (root * depth)) as f32
}

fn layer_norm(config: &ModelConfig, module: String) -> NormPlan {
    NormPlan { module, width: config.hidden_size, kind: NormKind::Layer, eps: config.rms_norm_eps }
}

fn head(config: &ModelConfig) -> HeadPlan {
    match config.kind {
        ModelKind::CausalLm => {
            let module = if config.tie_word_embeddings { "transformer.wte" } else { "lm_head" };
            let product = common::head_linear(config, module, config.vocab_size, Bias::No);
            HeadPlan::Vocabulary { product, soft_cap: None }
        }
        ModelKind::TokenClassifier => {
            HeadPlan::Labels(common::head_linear(config, "classifier", config.labels.len(), Bias::Yes))
        }
        ModelKind::Scalar | ModelKind::SequenceClassifier => common::sequence_head(config),
    }
}
