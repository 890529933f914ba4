//! A character model with random weights, small enough to train in seconds.

use std::path::Path;

use galapagos_model::{Decoder, ModelConfig, ModelFolder, ModelKind, Tokenizer};
use tch::Device;

/// Saves it as a Hugging Face folder.
pub fn save(at: &Path) -> (Decoder, Tokenizer) {
    let tokenizer = Tokenizer::characters("0123456789+=\n").unwrap();
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        initializer_range: 0.1,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        ..ModelConfig::default()
    };
    let model = Decoder::init(config, 5, Device::Cpu).unwrap();
    ModelFolder::save(at, &model, &tokenizer).unwrap();
    (model, tokenizer)
}
