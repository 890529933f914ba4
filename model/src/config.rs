//! Model configuration: what this crate can run, read from and written to Hugging Face's `config.json`.
//!
//! Every key that is known to change the forward pass is either read or required to have the value that is implemented; a
//! wrong setting is an error, never ignored. Keys nobody here knows are collected for the caller to show. Which keys a
//! family has stands in `crate::family`.

use galapagos_domain::image::FIRST_PATCH;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::family::{self, Family};

mod error;
mod fields;
mod read;
mod rope_scaling;
mod vision;
mod write;

pub use error::ConfigError;
pub(crate) use error::{invalid, unsupported};
pub(crate) use fields::Fields;
pub use rope_scaling::RopeScaling;
pub use vision::VisionConfig;
pub(crate) use write::generation_json;

/// What the last layer makes of a hidden state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Next-token logits.
    #[default]
    CausalLm,
    /// One number for each row: `score.weight` `[1, hidden]` and, in models made here, `score.bias` `[1]`.
    Scalar,
    /// One number for each label of a sequence.
    SequenceClassifier,
    /// One number for each label of a token.
    TokenClassifier,
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ModelKind::CausalLm => "language-model",
            ModelKind::Scalar => "scalar",
            ModelKind::SequenceClassifier => "sequence-classification",
            ModelKind::TokenClassifier => "token-classification",
        })
    }
}

/// The activation of the feed-forward blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    #[default]
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// Shape of a model. Field names are those of Llama's `config.json`; families that name them otherwise say so.
///
/// The default is a Llama model without sizes, to be filled in: [`ModelConfig::validate`] refuses it as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// The head.
    pub kind: ModelKind,
    /// Names of the classes of a classifier, in order; empty for other heads.
    pub labels: Vec<String>,
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
    /// Activation of the feed-forward blocks.
    pub activation: Activation,
    /// Added to the mean square in RMSNorm, to the variance in layer norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are changed for contexts longer than those of pretraining.
    pub rope_scaling: RopeScaling,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Kinds of segments an encoder tells apart; 0 for decoders.
    pub type_vocab_size: usize,
    /// Whether the attention's projections have biases (which of them, the family says).
    pub attention_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// For each layer, the number of latest tokens it sees; empty where every layer sees all.
    pub windows: Vec<Option<usize>>,
    /// Attention scores become `cap * tanh(score / cap)`.
    pub attn_logit_softcapping: Option<f64>,
    /// Next-token logits become `cap * tanh(logit / cap)`.
    pub final_logit_softcapping: Option<f64>,
    /// Attention scores are divided by its square root; `None` for `head_dim`.
    pub query_pre_attn_scalar: Option<f64>,
    /// Attention scores of layer `i`, from 0, are also divided by `i + 1`.
    pub scale_attn_by_inverse_layer_idx: bool,
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
    /// Reads the images of prompts; only models of the Llama family may have it.
    pub vision: Option<VisionConfig>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            family: Family::default(),
            kind: ModelKind::default(),
            labels: Vec::new(),
            vocab_size: 0,
            hidden_size: 0,
            intermediate_size: 0,
            num_hidden_layers: 0,
            num_attention_heads: 0,
            num_key_value_heads: 0,
            head_dim: 0,
            activation: Activation::default(),
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::default(),
            max_position_embeddings: 0,
            type_vocab_size: 0,
            attention_bias: false,
            mlp_bias: false,
            windows: Vec::new(),
            attn_logit_softcapping: None,
            final_logit_softcapping: None,
            query_pre_attn_scalar: None,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: false,
            initializer_range: 0.02,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            pad_token_id: None,
            vision: None,
        }
    }
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, its value and what would be right.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::from_json_with_ignored(text).map(|(config, _)| config)
    }

    /// As [`ModelConfig::from_json`], with the keys that were not used although they are not known to be harmless, in name
    /// order. A caller should show them: one that changes the forward pass would make this another model.
    ///
    /// # Errors
    /// As [`ModelConfig::from_json`].
    pub fn from_json_with_ignored(text: &str) -> Result<(Self, Vec<String>), ConfigError> {
        read::from_json(text)
    }

    /// The text of a `config.json` that `transformers` 5 loads and [`ModelConfig::from_json`] reads back equal.
    /// `dtype` is the stored format of the weights, for example `"float32"`.
    #[must_use]
    pub fn to_json(&self, dtype: &str) -> String {
        write::to_json(self, dtype)
    }

    /// The window of one layer's attention.
    #[must_use]
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// Numbers the head gives for a row; 0 for a language model.
    #[must_use]
    pub fn label_count(&self) -> usize {
        match self.kind {
            ModelKind::CausalLm => 0,
            ModelKind::Scalar => 1,
            ModelKind::SequenceClassifier | ModelKind::TokenClassifier => self.labels.len(),
        }
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
        self.validate_numbers()?;
        self.validate_scores()?;
        self.validate_head()?;
        self.rope_scaling.validate()?;
        self.validate_windows()?;
        self.validate_vision()?;
        let ids = self.eos_token_ids.iter().chain(&self.bos_token_id).chain(&self.pad_token_id);
        for id in ids {
            if *id as usize >= self.vocab_size {
                return Err(invalid("special token id", *id, format!("below vocab_size ({})", self.vocab_size)));
            }
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<(), ConfigError> {
        let present = [
            ("rms_norm_eps", Some(self.rms_norm_eps)),
            ("rope_theta", Some(self.rope_theta)),
            ("attn_logit_softcapping", self.attn_logit_softcapping),
            ("final_logit_softcapping", self.final_logit_softcapping),
            ("query_pre_attn_scalar", self.query_pre_attn_scalar),
        ];
        for (field, value) in present.into_iter().filter_map(|(field, value)| Some((field, value?))) {
            if !(value.is_finite() && value > 0.0) {
                return Err(invalid(field, value, "a positive number"));
            }
        }
        if !(self.initializer_range.is_finite() && self.initializer_range >= 0.0) {
            return Err(invalid("initializer_range", self.initializer_range, "not negative"));
        }
        Ok(())
    }

    /// Attention that only some families can express.
    fn validate_scores(&self) -> Result<(), ConfigError> {
        let possible = match self.family {
            Family::Gemma2 => true,
            Family::Gpt2 => self.query_pre_attn_scalar.is_none_or(|scalar| scalar == 1.0),
            Family::Llama | Family::Mistral | Family::Qwen2 | Family::Qwen3 | Family::Bert => {
                self.query_pre_attn_scalar.is_none()
            }
        };
        if !possible {
            let scalar = format!("{:?}", self.query_pre_attn_scalar);
            return Err(invalid("query_pre_attn_scalar", scalar, format!("what the {} family has", self.family)));
        }
        if self.scale_attn_by_inverse_layer_idx && self.family != Family::Gpt2 {
            return Err(invalid("scale_attn_by_inverse_layer_idx", true, format!("false for {}", self.family)));
        }
        Ok(())
    }

    fn validate_head(&self) -> Result<(), ConfigError> {
        if self.family.is_encoder() {
            if self.kind == ModelKind::CausalLm {
                let expected = "a sequence or token classifier, as this family is an encoder";
                return Err(invalid("architectures", "a language model", expected));
            }
            if self.type_vocab_size == 0 || self.type_vocab_size > MAX_SIZE {
                return Err(invalid("type_vocab_size", self.type_vocab_size, "between 1 and 2147483647"));
            }
        }
        let classifies = matches!(self.kind, ModelKind::SequenceClassifier | ModelKind::TokenClassifier);
        if classifies && self.labels.is_empty() {
            return Err(invalid("number of labels", 0, "at least 1"));
        }
        Ok(())
    }

    fn validate_windows(&self) -> Result<(), ConfigError> {
        if !(self.windows.is_empty() || self.windows.len() == self.num_hidden_layers) {
            let expected = format!("one for each of the {} layers, or none", self.num_hidden_layers);
            return Err(invalid("number of windows", self.windows.len(), expected));
        }
        let uniform = self.windows.iter().all(|window| *window == self.window(0));
        let possible = match self.family {
            Family::Qwen2 | Family::Qwen3 | Family::Gemma2 => true,
            Family::Mistral => uniform,
            Family::Llama | Family::Gpt2 | Family::Bert => self.windows.iter().all(Option::is_none),
        };
        if !possible {
            let expected = format!("what the {} family has", self.family);
            return Err(invalid("windows", format!("{:?}", self.windows), expected));
        }
        let mut sizes = self.windows.iter().flatten();
        let Some(first) = sizes.next() else { return Ok(()) };
        if *first == 0 || sizes.any(|size| size != first) {
            return Err(invalid(
                "sliding_window",
                format!("{:?}", self.windows),
                "at least 1 and the same in all layers",
            ));
        }
        Ok(())
    }

    fn validate_vision(&self) -> Result<(), ConfigError> {
        let Some(vision) = self.vision else { return Ok(()) };
        if self.family != Family::Llama {
            return Err(invalid(
                "vision_config",
                "there",
                format!("absent in {}; the Llama family has it", self.family),
            ));
        }
        // Tokens of patches are code points, so that they mean the same in every model.
        if self.vocab_size > FIRST_PATCH as usize {
            return Err(invalid(
                "vocab_size",
                self.vocab_size,
                format!("at most {FIRST_PATCH} beside a vision encoder"),
            ));
        }
        vision.validate()
    }

    /// Number of weights.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        family::tensors(self).values().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

/// Sizes must fit libtorch's and oneDNN's 32-bit dimensions.
const MAX_SIZE: usize = i32::MAX as usize;

/// Names an activation has in `config.json`; the first is the one written.
const ACTIVATIONS: [(&str, Activation); 7] = [
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
];

impl Activation {
    /// Its name in `config.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
        }
    }

    /// The activation that `field` names.
    pub(crate) fn read(fields: &Fields<'_>, field: &'static str, absent: Self) -> Result<Self, ConfigError> {
        let Some(value) = fields.present(field) else { return Ok(absent) };
        let named = ACTIVATIONS.iter().find(|(name, _)| value.as_str() == Some(name));
        named.map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<String> = ACTIVATIONS.iter().map(|(name, _)| Value::from(*name).to_string()).collect();
            unsupported(field, value, &names.join(", "))
        })
    }
}

impl From<Activation> for galapagos_kernels::rows::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Silu => Self::Silu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::Gelu => Self::Gelu,
            Activation::Relu => Self::Relu,
        }
    }
}
