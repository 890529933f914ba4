//! Small random models of every family of decoders: for the crate's own tests as for those of its surface.

use galapagos_model::{Activation, Decoder, Family, ModelConfig, Parameters};
use tch::{Device, Kind, Tensor};

/// Tokens of the models here.
pub const VOCABULARY: usize = 50;

fn base(family: Family) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: VOCABULARY,
        hidden_size: 48,
        intermediate_size: 72,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        max_position_embeddings: 256,
        initializer_range: 0.2,
        eos_token_ids: vec![1],
        ..ModelConfig::default()
    }
}

/// A model of every family, with what sets it apart switched on, and some of which it is switched off.
pub fn configs() -> Vec<ModelConfig> {
    let windows = vec![None, Some(9), Some(9)];
    let made = |family| match family {
        Family::Llama => vec![
            ModelConfig { attention_bias: true, mlp_bias: true, ..base(family) },
            // The character transformers of recipes.
            ModelConfig { num_key_value_heads: 4, head_dim: 12, tie_word_embeddings: true, ..base(family) },
        ],
        Family::Mistral => vec![ModelConfig { windows: vec![Some(7); 3], ..base(family) }],
        Family::Qwen2 => vec![ModelConfig { attention_bias: true, windows: windows.clone(), ..base(family) }],
        Family::Qwen3 => vec![ModelConfig { windows: windows.clone(), ..base(family) }],
        Family::Gemma2 => vec![ModelConfig {
            activation: Activation::GeluTanh,
            windows: windows.clone(),
            attn_logit_softcapping: Some(2.0),
            final_logit_softcapping: Some(3.0),
            query_pre_attn_scalar: Some(24.0),
            tie_word_embeddings: true,
            ..base(family)
        }],
        Family::Gpt2 => gpt2(),
        Family::Bert => Vec::new(),
    };
    Family::ALL.into_iter().flat_map(made).collect()
}

fn gpt2() -> Vec<ModelConfig> {
    let plain = ModelConfig {
        num_key_value_heads: 4,
        head_dim: 12,
        activation: Activation::GeluTanh,
        attention_bias: true,
        mlp_bias: true,
        tie_word_embeddings: true,
        ..base(Family::Gpt2)
    };
    let scaled = ModelConfig {
        query_pre_attn_scalar: Some(1.0),
        scale_attn_by_inverse_layer_idx: true,
        initializer_range: 0.1,
        ..plain.clone()
    };
    vec![ModelConfig { tie_word_embeddings: false, ..plain.clone() }, scaled, plain]
}

/// A model in which no norm is one and no bias zero.
pub fn model(config: ModelConfig) -> Decoder {
    tch::set_num_threads(1);
    config.validate().unwrap();
    let made = Decoder::init(config.clone(), 3, Device::Cpu).unwrap();
    let shifted = |(name, tensor): (&str, &Tensor)| {
        let noise = (Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 1.7).sin() * 0.3;
        (name.to_owned(), if tensor.dim() == 1 { tensor + noise } else { tensor.shallow_clone() })
    };
    let parameters: Parameters = made.parameters().iter().map(shifted).collect();
    Decoder::new(config, parameters).unwrap()
}
