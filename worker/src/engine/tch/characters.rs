//! A character transformer from a recipe's shape: a small model of the Llama family (its folder is a Llama folder) with one token per
//! character, weights from the seed. With `vision` it also reads images, which no other loader knows.

use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use galapagos_model::{Decoder, ModelConfig, ModelKind, Tokenizer, VisionConfig};
use tch::Device;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn initialise(shape: &Characters, seed: Seed) -> Result<(Decoder, Tokenizer), BoxError> {
    let tokenizer = match shape.vision {
        None => Tokenizer::characters(&shape.alphabet)?,
        Some(_) => Tokenizer::characters_and_images(&shape.alphabet)?,
    };
    let config = config(shape, &tokenizer)?;
    config.validate()?;
    let model = Decoder::init(config, seed.0, Device::Cpu)?;
    Ok((model, tokenizer))
}

fn config(shape: &Characters, tokenizer: &Tokenizer) -> Result<ModelConfig, BoxError> {
    let Characters { hidden, heads, .. } = *shape;
    if heads == 0 || hidden % heads != 0 {
        return Err(format!("hidden is {hidden} and heads is {heads}; hidden must be a multiple of heads").into());
    }
    Ok(ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: tokenizer.vocab_size(),
        hidden_size: hidden as usize,
        intermediate_size: shape.ffn as usize,
        num_hidden_layers: shape.layers as usize,
        num_attention_heads: heads as usize,
        num_key_value_heads: heads as usize,
        head_dim: (hidden / heads) as usize,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: shape.context as usize,
        tie_word_embeddings: false,
        initializer_range: 0.02,
        bos_token_id: None,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        vision: shape.vision.map(|vision| VisionConfig::new(vision.hidden as usize, vision.layers as usize)),
        ..ModelConfig::default()
    })
}
