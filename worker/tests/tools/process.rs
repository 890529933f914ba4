//! A small random model, and the executable.

use std::path::Path;
use std::process::{Command, Output};

use galapagos_model::ModelConfig;

use crate::small_model::Kind;

const KIND: Kind = Kind {
    alphabet: "0123456789 abcdefghij:",
    chat_template: "{% for message in messages %}{{ message.content }}: {% endfor %}",
};

/// Writes a random model into `folder` that never ends an answer by itself, for at most `positions` tokens. Its chat template puts
/// the messages one after the other.
pub fn write_model(folder: &Path, positions: usize) {
    let config = ModelConfig {
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        max_position_embeddings: positions,
        tie_word_embeddings: false,
        initializer_range: 0.2,
        ..ModelConfig::default()
    };
    KIND.write(folder, config, 3, |model, tokenizer| {
        let _no_gradients = tch::no_grad_guard();
        for token in tokenizer.eos().into_iter().chain(tokenizer.pad()) {
            // A logit of zero is never the greatest of twenty.
            let _ = model.parameters().get("lm_head.weight").unwrap().get(i64::from(token)).zero_();
        }
    });
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
