//! Runs `reference.py` in the tests' Python and exchanges JSON and tensors with it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use galapagos_model::{ModelFolder, Tokenizer};
use serde_json::{Value, json};
use tch::Tensor;

/// Answers of `transformers` to `requests`, in order, by a process of its own.
pub fn ask(requests: &[Value]) -> Vec<Value> {
    Reference::start().ask(requests)
}

/// A running `reference.py`: starting it takes seconds, asking again does not.
pub struct Reference {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// Its errors go here.
    errors: tempfile::NamedTempFile,
}

impl Reference {
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/reference.py");
        let errors = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().unwrap())
            .env("OMP_NUM_THREADS", "1")
            .env("HF_HUB_OFFLINE", "1")
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}; run `make setup`", python().display()));
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers, errors }
    }

    /// Answers of `transformers` to `requests`, in order.
    pub fn ask(&mut self, requests: &[Value]) -> Vec<Value> {
        // A process that has ended shows itself by the missing answer.
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{}", json!(requests));
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let errors = std::fs::read_to_string(self.errors.path()).unwrap();
        assert!(!answer.is_empty(), "reference.py failed (if a package is missing, run `make setup`):\n{errors}");
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    match std::env::var_os("GALAPAGOS_PYTHON") {
        Some(path) => path.into(),
        None => home().join(".cache/galapagos/venv/bin/python"),
    }
}

fn home() -> PathBuf {
    std::env::var_os("HOME").expect("HOME is set").into()
}

/// The real weights, set up by `make setup`.
pub fn smollm2() -> ModelFolder {
    let models = match std::env::var_os("GALAPAGOS_MODELS") {
        Some(path) => path.into(),
        None => home().join(".cache/galapagos/models"),
    };
    single_thread();
    ModelFolder::open(&models.join("smollm2-135m")).unwrap_or_else(|error| panic!("{error}; run `make setup`"))
}

/// Spinning threads on shared cores slow everything down.
pub fn single_thread() {
    tch::set_num_threads(1);
}

/// A random model made by `transformers`, with a character tokenizer of ours.
pub struct Made {
    pub folder: tempfile::TempDir,
}

/// Shape of a [`Made`] model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub vocabulary: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub head_dim: usize,
    pub tied: bool,
    pub dtype: &'static str,
}

impl Shape {
    /// Grouped heads, a head width other than hidden / heads, a head of its own.
    pub const UNTIED: Self = Self {
        vocabulary: 70,
        hidden: 48,
        layers: 3,
        heads: 6,
        key_heads: 2,
        head_dim: 16,
        tied: false,
        dtype: "float32",
    };
    /// Every head its own key, output tied to the embedding.
    pub const TIED: Self = Self {
        vocabulary: 33,
        hidden: 64,
        layers: 2,
        heads: 4,
        key_heads: 4,
        head_dim: 16,
        tied: true,
        dtype: "float32",
    };
    /// One key head for all, stored in bfloat16.
    pub const SINGLE_KEY: Self = Self {
        vocabulary: 40,
        hidden: 32,
        layers: 2,
        heads: 4,
        key_heads: 1,
        head_dim: 8,
        tied: true,
        dtype: "bfloat16",
    };

    /// The request that makes this model in `folder`. Weights are larger than usual, so that logits differ clearly.
    fn request(self, folder: &Path, seed: u64) -> Value {
        json!({
            "do": "make_model", "folder": folder, "seed": seed, "dtype": self.dtype,
            "config": {
                "vocab_size": self.vocabulary, "hidden_size": self.hidden, "intermediate_size": self.hidden * 2 + 8,
                "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
                "num_key_value_heads": self.key_heads, "head_dim": self.head_dim, "rms_norm_eps": 1e-5,
                "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}, "max_position_embeddings": 512,
                "tie_word_embeddings": self.tied, "initializer_range": 0.2,
                "bos_token_id": null, "eos_token_id": 1, "pad_token_id": 0,
            },
        })
    }
}

impl Made {
    /// Makes one model for each shape.
    pub fn all<const N: usize>(shapes: [Shape; N]) -> [Self; N] {
        single_thread();
        let made = shapes.map(|_| Self { folder: tempfile::tempdir().unwrap() });
        let requests: Vec<Value> =
            shapes.iter().zip(&made).map(|(shape, made)| shape.request(made.folder.path(), 11)).collect();
        ask(&requests);
        for (shape, made) in shapes.iter().zip(&made) {
            write_tokenizer(made.folder.path(), shape.vocabulary);
        }
        made
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn open(&self) -> ModelFolder {
        ModelFolder::open(self.path()).unwrap()
    }
}

/// A character tokenizer with that many tokens.
pub fn character_tokenizer(vocabulary: usize) -> Tokenizer {
    let alphabet: String = ('!'..).take(vocabulary - 2).collect();
    Tokenizer::characters(&alphabet).unwrap()
}

/// Writes [`character_tokenizer`] to a folder.
pub fn write_tokenizer(folder: &Path, vocabulary: usize) {
    for (name, bytes) in character_tokenizer(vocabulary).files() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Token sequences that look random but are always the same.
pub fn sequences(vocabulary: usize, lengths: &[usize]) -> Vec<Vec<u32>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % vocabulary as u64) as u32
    };
    lengths.iter().map(|length| (0..*length).map(|_| next()).collect()).collect()
}

/// A batch padded on the right with zeros, [batch, time].
pub fn padded(sequences: &[Vec<u32>]) -> Tensor {
    let time = sequences.iter().map(Vec::len).max().unwrap_or(0);
    let flat: Vec<i64> = sequences
        .iter()
        .flat_map(|sequence| sequence.iter().map(|token| i64::from(*token)).chain(std::iter::repeat(0)).take(time))
        .collect();
    Tensor::from_slice(&flat).reshape([sequences.len() as i64, time as i64])
}

/// Tensors of a safetensors file by name.
pub fn tensors(path: &Path) -> std::collections::BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Greatest absolute difference; shapes must agree.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}
