//! A small random model, and the executable.

use std::path::Path;
use std::process::{Command, Output};

use galapagos_model::{Decoder, ModelConfig, ModelFolder, Tokenizer};
use tch::Device;

/// Writes a random model into `folder` that never ends an answer by itself, for at most `positions` tokens. Its chat template puts
/// the messages one after the other.
pub fn write_model(folder: &Path, positions: usize) {
    tch::set_num_threads(1);
    let plain = Tokenizer::characters("0123456789 abcdefghij:").unwrap();
    let mut files = plain.files().clone();
    let text = files.get("tokenizer_config.json").cloned().unwrap_or_else(|| b"{}".to_vec());
    let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
    config["chat_template"] = "{% for message in messages %}{{ message.content }}: {% endfor %}".into();
    files.insert("tokenizer_config.json".to_owned(), config.to_string().into_bytes());
    let tokenizer = Tokenizer::from_files(files).unwrap();
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        max_position_embeddings: positions,
        tie_word_embeddings: false,
        initializer_range: 0.2,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        ..ModelConfig::default()
    };
    let special: Vec<u32> = tokenizer.eos().into_iter().chain(tokenizer.pad()).collect();
    let model = Decoder::init(config, 3, Device::Cpu).unwrap();
    let _no_gradients = tch::no_grad_guard();
    for token in special {
        // A logit of zero is never the greatest of twenty.
        let _ = model.parameters().get("lm_head.weight").unwrap().get(i64::from(token)).zero_();
    }
    ModelFolder::save(folder, &model, &tokenizer).unwrap();
}

/// Adds keys to the model's configuration.
pub fn add_keys(folder: &Path, keys: &[(&str, serde_json::Value)]) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in keys {
        config[*key] = value.clone();
    }
    std::fs::write(path, config.to_string()).unwrap();
}

pub fn worker() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_galapagos-worker"));
    command.env_remove("GALAPAGOS_LOG");
    command
}

/// Runs the executable to its end, without input.
pub fn run(arguments: &[&str]) -> Output {
    worker().args(arguments).stdin(std::process::Stdio::null()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
