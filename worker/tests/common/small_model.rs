//! Small random models of characters, for tests with real processes.

use std::path::Path;

use galapagos_model::{Decoder, ModelConfig, ModelFolder, Tokenizer};
use tch::Device;

/// What a model writes, and how conversations are put to it.
pub struct Kind {
    pub alphabet: &'static str,
    /// In Jinja.
    pub chat_template: &'static str,
}

impl Kind {
    pub fn tokenizer(&self) -> Tokenizer {
        let plain = Tokenizer::characters(self.alphabet).unwrap();
        let mut files = plain.files().clone();
        let text = files.get("tokenizer_config.json").cloned().unwrap_or_else(|| b"{}".to_vec());
        let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
        config["chat_template"] = self.chat_template.into();
        files.insert("tokenizer_config.json".to_owned(), config.to_string().into_bytes());
        Tokenizer::from_files(files).unwrap()
    }

    /// Writes a model into `folder`, drawn from `seed`, of the shape in `config`, after `adjust` saw it.
    pub fn write(&self, folder: &Path, config: ModelConfig, seed: u64, adjust: impl FnOnce(&Decoder, &Tokenizer)) {
        tch::set_num_threads(1);
        let tokenizer = self.tokenizer();
        let config = ModelConfig {
            vocab_size: tokenizer.vocab_size(),
            eos_token_ids: tokenizer.eos().into_iter().collect(),
            pad_token_id: tokenizer.pad(),
            ..config
        };
        let model = Decoder::init(config, seed, Device::Cpu).unwrap();
        adjust(&model, &tokenizer);
        ModelFolder::save(folder, &model, &tokenizer).unwrap();
    }
}
