//! Keys of `config.json` beside those all models have, architecture by architecture.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::error::key as key_error;
use super::{Reader, Shape, required};

/// What the families around Llama have in common.
pub(super) fn rotary(shape: &Shape) -> [(String, Value); 8] {
    [
        ("hidden_size", shape.hidden.into()),
        ("intermediate_size", shape.feed_forward.into()),
        ("num_hidden_layers", shape.layers.into()),
        ("num_attention_heads", shape.heads.into()),
        ("num_key_value_heads", shape.key_heads.into()),
        ("rms_norm_eps", shape.eps.into()),
        ("rope_theta", shape.rope_base.into()),
        ("max_position_embeddings", shape.context.into()),
    ]
    .map(|(name, value): (&str, Value)| (name.to_owned(), value))
}

/// The configuration of Qwen 2 has no width of a head: it is always hidden / heads.
pub(super) fn qwen2(shape: &Shape, reader: &Reader<'_>) -> Result<Value, GgufError> {
    if shape.head_dim * shape.heads != shape.hidden {
        let problem = format!("is {}; for qwen2 it can only be embedding length / heads", shape.head_dim);
        return Err(key_error(&reader.key("attention.key_length"), problem));
    }
    Ok(json!({"hidden_act": "silu", "use_sliding_window": false}))
}

/// The activation is the one GGUF's runtime has for this architecture; scores are always scaled by the head's width.
pub(super) fn gpt2(shape: &Shape, reader: &Reader<'_>) -> Result<Value, GgufError> {
    if shape.head_dim * shape.heads != shape.hidden || shape.key_heads != shape.heads {
        let problem =
            format!("is {}; gpt2 has as many key heads as query heads, of width embedding length / heads", shape.heads);
        return Err(key_error(&reader.key("attention.head_count"), problem));
    }
    Ok(json!({
        "n_embd": shape.hidden,
        "n_inner": shape.feed_forward,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_positions": shape.context,
        "layer_norm_epsilon": shape.eps,
        "activation_function": "gelu_new",
    }))
}

/// Layers of the one Gemma 2 (27B) whose scores are scaled by hidden / heads and not by the head's width; GGUF has no key
/// for it, its runtime goes by the number of layers too.
const GEMMA2_27B_LAYERS: usize = 46;

pub(super) fn gemma2(shape: &Shape, reader: &Reader<'_>) -> Result<Value, GgufError> {
    let scalar = if shape.layers == GEMMA2_27B_LAYERS { shape.hidden / shape.heads } else { shape.head_dim };
    let needed = |key: &str| required(reader.number(key)?, &reader.key(key));
    Ok(json!({
        "head_dim": shape.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": false,
        "attn_logit_softcapping": needed("attn_logit_softcapping")?,
        "final_logit_softcapping": needed("final_logit_softcapping")?,
        "query_pre_attn_scalar": scalar,
        "sliding_window": reader.positive("attention.sliding_window")?,
    }))
}
