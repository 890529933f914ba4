//! Names and shapes of a model's tensors, as `transformers` stores them.

use std::collections::BTreeMap;

use crate::{ModelConfig, ModelKind};

pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(crate) const FINAL_NORM: &str = "model.norm.weight";
pub(crate) const LM_HEAD: &str = "lm_head.weight";
pub(crate) const SCORE_WEIGHT: &str = "score.weight";
pub(crate) const SCORE_BIAS: &str = "score.bias";

pub(crate) const INPUT_NORM: &str = "input_layernorm.weight";
pub(crate) const POST_NORM: &str = "post_attention_layernorm.weight";
pub(crate) const QUERY: &str = "self_attn.q_proj.weight";
pub(crate) const KEY: &str = "self_attn.k_proj.weight";
pub(crate) const VALUE: &str = "self_attn.v_proj.weight";
pub(crate) const OUTPUT: &str = "self_attn.o_proj.weight";
pub(crate) const GATE: &str = "mlp.gate_proj.weight";
pub(crate) const UP: &str = "mlp.up_proj.weight";
pub(crate) const DOWN: &str = "mlp.down_proj.weight";

/// The full name of a tensor of block `layer`.
pub(crate) fn in_layer(layer: usize, name: &str) -> String {
    format!("model.layers.{layer}.{name}")
}

/// Every tensor a model of this configuration has, and its shape.
pub(crate) fn expected(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let query = config.num_attention_heads * config.head_dim;
    let key = config.num_key_value_heads * config.head_dim;
    let mut shapes = BTreeMap::from([
        (EMBEDDING.to_owned(), vec![config.vocab_size, hidden]),
        (FINAL_NORM.to_owned(), vec![hidden]),
    ]);
    for layer in 0..config.num_hidden_layers {
        for (name, shape) in [
            (INPUT_NORM, vec![hidden]),
            (POST_NORM, vec![hidden]),
            (QUERY, vec![query, hidden]),
            (KEY, vec![key, hidden]),
            (VALUE, vec![key, hidden]),
            (OUTPUT, vec![hidden, query]),
            (GATE, vec![inner, hidden]),
            (UP, vec![inner, hidden]),
            (DOWN, vec![hidden, inner]),
        ] {
            shapes.insert(in_layer(layer, name), shape);
        }
    }
    match config.kind {
        ModelKind::CausalLm if config.tie_word_embeddings => {}
        ModelKind::CausalLm => {
            shapes.insert(LM_HEAD.to_owned(), vec![config.vocab_size, hidden]);
        }
        ModelKind::Scalar => {
            shapes.insert(SCORE_WEIGHT.to_owned(), vec![1, hidden]);
            shapes.insert(SCORE_BIAS.to_owned(), vec![1]);
        }
    }
    shapes
}
