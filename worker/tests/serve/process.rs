//! A small random model and a server process on it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use galapagos_model::{Decoder, ModelConfig, ModelFolder, ModelKind, Tokenizer};
use tch::Device;

/// The characters the model writes.
const ALPHABET: &str = "0123456789 x{}\"ab:,";

/// Writes a random model with a chat template into `folder`.
pub fn write_model(folder: &Path, seed: u64) {
    write_model_of_width(folder, seed, 64);
}

/// The same, of this hidden size.
pub fn write_model_of_width(folder: &Path, seed: u64, hidden_size: usize) {
    tch::set_num_threads(1);
    let plain = Tokenizer::characters(ALPHABET).unwrap();
    let mut files = plain.files().clone();
    let text = files.get("tokenizer_config.json").cloned().unwrap_or_else(|| b"{}".to_vec());
    let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
    config["chat_template"] = "{% for message in messages %}{{ message.content }}{% endfor %} ".into();
    files.insert("tokenizer_config.json".to_owned(), config.to_string().into_bytes());
    let tokenizer = Tokenizer::from_files(files).unwrap();
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: tokenizer.vocab_size(),
        hidden_size,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        max_position_embeddings: 256,
        tie_word_embeddings: true,
        initializer_range: 0.15,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        ..ModelConfig::default()
    };
    let model = Decoder::init(config, seed, Device::Cpu).unwrap();
    ModelFolder::save(folder, &model, &tokenizer).unwrap();
}

/// A server process; killed when dropped.
pub struct Served {
    child: Child,
    /// `http://HOST:PORT`.
    pub url: String,
}

impl Served {
    /// Serves `folder` as `name` in 32-bit floats. Ends with this process, by its lifeline.
    pub fn start(folder: &Path, name: &str) -> Self {
        Self::start_with(folder, name, &[])
    }

    /// The same with further options.
    pub fn start_with(folder: &Path, name: &str, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_galapagos-worker"))
            .args(["serve", "--listen", "127.0.0.1:0", "--dtype", "f32", "--lifeline", "--name", name])
            .args(options)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // The line comes once it serves; the end of the output, without one, when it cannot.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.find("http://").unwrap_or_else(|| panic!("the server did not start: {line:?}"));
        let url = line[at..].trim_end().trim_end_matches("/v1").to_owned();
        Self { child, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The tests' Python.
pub fn python() -> PathBuf {
    let path = match (std::env::var_os("GALAPAGOS_PYTHON"), std::env::var_os("HOME")) {
        (Some(python), _) => PathBuf::from(python),
        (None, Some(home)) => Path::new(&home).join(".cache/galapagos/venv/bin/python"),
        (None, None) => panic!("neither GALAPAGOS_PYTHON nor HOME is set"),
    };
    assert!(path.is_file(), "the tests' Python `{}` is missing; run `make setup`", path.display());
    path
}
