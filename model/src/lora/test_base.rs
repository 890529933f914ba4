//! A small base for the tests of this folder.

use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::{Adapter, AdapterConfig};
use crate::ModelConfig;

/// A Llama of two layers with grouped heads.
pub(crate) fn base() -> ModelConfig {
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 20, "hidden_size": 24,
        "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "tie_word_embeddings": true,
        "initializer_range": 0.1, "hidden_act": "silu",
    });
    ModelConfig::from_json(&config.to_string()).unwrap()
}

/// An adapter of [`base`] whose B is not zero.
pub(crate) fn trained(config: AdapterConfig, seed: u64) -> Adapter {
    let adapter = Adapter::init(config, &base(), seed, Device::Cpu).unwrap();
    for (name, tensor) in adapter.parameters().iter().filter(|(name, _)| name.contains("lora_B")) {
        let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 0.37;
        let values = (values + name.len() as f64 + seed as f64).sin() * 0.3;
        tensor.shallow_clone().copy_(&values.reshape(tensor.size()));
    }
    adapter
}
