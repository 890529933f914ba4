//! Model configuration: what this crate can run, read from and written to Hugging Face's `config.json`.
//!
//! Reading refuses whatever would change the forward pass and is not implemented here (another model type, rope scaling,
//! biases, another activation, dropout): a wrong setting is an error, never ignored. Keys that say nothing about the
//! forward pass are accepted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod read;
mod write;

pub(crate) use write::generation_json;

/// What the last layer makes of a hidden state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Next-token logits.
    CausalLm,
    /// One number: `score.weight` `[1, hidden]` and `score.bias` `[1]`.
    Scalar,
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ModelKind::CausalLm => "language-model",
            ModelKind::Scalar => "scalar",
        })
    }
}

/// Shape of a model of the Llama family. Field names are those of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The head.
    pub kind: ModelKind,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward blocks.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the output projection is the embedding itself.
    pub tie_word_embeddings: bool,
    /// Standard deviation of random initial weights.
    pub initializer_range: f64,
    /// Beginning-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a sequence; may be empty.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, its value and what would be right.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        read::from_json(text)
    }

    /// The text of a `config.json` that `transformers` 5 loads and [`ModelConfig::from_json`] reads back equal.
    /// `dtype` is the stored format of the weights, for example `"float32"`.
    #[must_use]
    pub fn to_json(&self, dtype: &str) -> String {
        write::to_json(self, dtype)
    }

    /// Checks the relations between fields, for configurations made in code.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for the first relation that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (field, value) in positive {
            if value == 0 || value > MAX_SIZE {
                return Err(invalid(field, value, "between 1 and 2147483647"));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(invalid(
                "num_key_value_heads",
                self.num_key_value_heads,
                format!("a divisor of num_attention_heads ({})", self.num_attention_heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(invalid("head_dim", self.head_dim, "even, for rotary embeddings"));
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(invalid(field, value, "a positive number"));
            }
        }
        if !(self.initializer_range.is_finite() && self.initializer_range >= 0.0) {
            return Err(invalid("initializer_range", self.initializer_range, "not negative"));
        }
        let ids = self.eos_token_ids.iter().chain(&self.bos_token_id).chain(&self.pad_token_id);
        for id in ids {
            if *id as usize >= self.vocab_size {
                return Err(invalid("special token id", *id, format!("below vocab_size ({})", self.vocab_size)));
            }
        }
        Ok(())
    }

    /// Number of weights.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        crate::llama::layout::expected(self).values().map(|shape| shape.iter().product::<usize>()).sum()
    }
}

/// Sizes must fit libtorch's and oneDNN's 32-bit dimensions.
const MAX_SIZE: usize = i32::MAX as usize;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or not an object.
    #[error("config.json is not a JSON object")]
    Json {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A field that has no default is absent.
    #[error("config.json lacks `{field}`")]
    Missing {
        /// The absent field.
        field: &'static str,
    },
    /// A value that makes no sense.
    #[error("config.json: `{field}` is {value}; it must be {expected}")]
    Invalid {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A value that makes sense but is not implemented here.
    #[error("config.json: `{field}` is {value}; only {supported} is implemented")]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is implemented.
        supported: String,
    },
}

fn invalid(field: &str, value: impl std::fmt::Display, expected: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
}

fn unsupported(field: &str, value: &Value, supported: &str) -> ConfigError {
    ConfigError::Unsupported { field: field.to_owned(), value: value.to_string(), supported: supported.to_owned() }
}
