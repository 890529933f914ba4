//! A small random model and a server process on it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use galapagos_model::{ModelConfig, ModelKind};

pub use crate::python::python;
use crate::small_model::Kind;

/// Of the models here.
pub const KIND: Kind = Kind {
    alphabet: "0123456789 x{}\"ab:,",
    chat_template: "{% for message in messages %}{{ message.content }}{% endfor %} ",
};

/// Writes a random model with a chat template into `folder`.
pub fn write_model(folder: &Path, seed: u64) {
    write_model_of_width(folder, seed, 64);
}

/// The same, of this hidden size.
pub fn write_model_of_width(folder: &Path, seed: u64, hidden_size: usize) {
    write_model_of(&KIND, folder, seed, hidden_size);
}

/// The same, of another kind.
pub fn write_model_of(kind: &Kind, folder: &Path, seed: u64, hidden_size: usize) {
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        hidden_size,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        max_position_embeddings: 256,
        tie_word_embeddings: true,
        initializer_range: 0.15,
        ..ModelConfig::default()
    };
    kind.write(folder, config, seed, |_, _| {});
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
