//! From GGUF's keys and tensor names to those of `transformers`, architecture by architecture.
//!
//! What is not known here is refused: an unknown key of the architecture or an unknown tensor may change the forward pass,
//! and leaving it out would give a model that is wrong without saying so.

use serde_json::{Map, Value, json};

use super::GgufError;
use super::error::{key as key_error, tensor as tensor_error};
use super::file::{GgufFile, TensorInfo};
use super::metadata::Metadata;

mod names;
mod rope;
mod settings;

use names::{Names, Role};

/// What must be done to a tensor's values or rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Rows of each of that many heads go from interleaved pairs back to two halves.
    SplitHalves {
        /// Heads in the tensor.
        heads: usize,
    },
    /// 1 is subtracted: GGUF stores Gemma's norms as the factor itself.
    MinusOne,
    /// Rows become columns.
    Transpose,
}

/// A tensor of the file and its place in the folder.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) source: TensorInfo,
    pub(super) name: String,
    pub(super) change: Change,
}

impl Placed {
    /// The shape in the folder.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self.change {
            Change::None | Change::SplitHalves { .. } | Change::MinusOne => self.source.shape.clone(),
            Change::Transpose => self.source.shape.iter().rev().copied().collect(),
        }
    }
}

/// A model as it will stand in the folder, but for its tokens.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) architecture: String,
    pub(super) config: Map<String, Value>,
    /// In name order.
    pub(super) tensors: Vec<Placed>,
    pub(super) context: usize,
    pub(super) vocabulary: usize,
}

/// What the architectures differ in.
struct Family {
    architecture: &'static str,
    model_type: &'static str,
    class: &'static str,
    names: Names,
    /// Whether positions are rotations and norms have no bias, as in all families around Llama.
    rotary: bool,
    /// Keys below the architecture's name that only this family has.
    keys: &'static [&'static str],
    /// Settings only this family has.
    settings: fn(&Shape, &Reader<'_>) -> Result<Value, GgufError>,
}

const FAMILIES: [Family; 5] = [
    Family {
        architecture: "llama",
        model_type: "llama",
        class: "LlamaForCausalLM",
        names: names::LLAMA,
        rotary: true,
        keys: &[],
        settings: |shape, _| {
            let head_dim = shape.head_dim;
            Ok(json!({"head_dim": head_dim, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false}))
        },
    },
    Family {
        architecture: "qwen2",
        model_type: "qwen2",
        class: "Qwen2ForCausalLM",
        names: names::QWEN2,
        rotary: true,
        keys: &[],
        settings: settings::qwen2,
    },
    Family {
        architecture: "qwen3",
        model_type: "qwen3",
        class: "Qwen3ForCausalLM",
        names: names::QWEN3,
        rotary: true,
        keys: &[],
        settings: |shape, _| {
            let head_dim = shape.head_dim;
            Ok(
                json!({"head_dim": head_dim, "hidden_act": "silu", "attention_bias": false, "use_sliding_window": false}),
            )
        },
    },
    Family {
        architecture: "gemma2",
        model_type: "gemma2",
        class: "Gemma2ForCausalLM",
        names: names::GEMMA2,
        rotary: true,
        keys: &["attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"],
        settings: settings::gemma2,
    },
    Family {
        architecture: "gpt2",
        model_type: "gpt2",
        class: "GPT2LMHeadModel",
        names: names::GPT2,
        rotary: false,
        keys: &[],
        settings: settings::gpt2,
    },
];

/// Keys below the architecture's name that all families have and that are used or say nothing about the forward pass.
const KEYS: [&str; 12] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "tensor_data_layout",
    "vocab_size",
];

/// Those of families with rotary positions.
const ROTARY_KEYS: [&str; 15] = [
    RMS_EPS,
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.beta_fast",
    "rope.scaling.beta_slow",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor",
];

/// What is added to the mean square, or to the variance.
const RMS_EPS: &str = "attention.layer_norm_rms_epsilon";
const LAYER_EPS: &str = "attention.layer_norm_epsilon";

/// Plans the folder for the model in `file`.
pub(super) fn plan(file: &GgufFile) -> Result<Plan, GgufError> {
    let name = required(file.metadata.text("general.architecture")?, "general.architecture")?;
    let Some(family) = FAMILIES.iter().find(|family| family.architecture == name) else {
        let supported: Vec<&str> = FAMILIES.iter().map(|family| family.architecture).collect();
        let problem = format!("is \"{name}\"; supported are {}", supported.join(", "));
        return Err(key_error("general.architecture", problem));
    };
    let reader = Reader { metadata: &file.metadata, architecture: name };
    reader.refuse_unknown(family)?;
    let shape = Shape::read(&reader, if family.rotary { RMS_EPS } else { LAYER_EPS })?;
    let tensors = place(file, family, &shape)?;
    let vocabulary = vocabulary(file, &shape)?;
    let mut config = Map::new();
    config.insert("architectures".into(), json!([family.class]));
    config.insert("model_type".into(), family.model_type.into());
    config.insert("vocab_size".into(), vocabulary.into());
    config.insert("tie_word_embeddings".into(), (!tensors.iter().any(|tensor| tensor.name == names::HEAD)).into());
    if family.rotary {
        config.extend(settings::rotary(&shape));
        let scaling = rope::scaling(&reader, &shape, rope::frequency_factors(file)?)?;
        config.extend(scaling.map(|scaling| ("rope_scaling".to_owned(), scaling)));
    }
    if let Value::Object(settings) = (family.settings)(&shape, &reader)? {
        config.extend(settings);
    }
    Ok(Plan { architecture: name.clone(), config, tensors, context: shape.context, vocabulary })
}

/// Typed access to the keys below the architecture's name.
struct Reader<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl Reader<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn size(&self, key: &str) -> Result<Option<usize>, GgufError> {
        self.metadata.size(&self.key(key))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.metadata.number(&self.key(key))
    }

    /// A size that must be there and positive.
    fn positive(&self, key: &str) -> Result<usize, GgufError> {
        let key = self.key(key);
        match required(self.metadata.size(&key)?, &key)? {
            0 => Err(key_error(&key, "is 0; it must be positive")),
            size => Ok(size),
        }
    }

    fn refuse_unknown(&self, family: &Family) -> Result<(), GgufError> {
        let prefix = format!("{}.", self.architecture);
        for key in self.metadata.keys_under(&prefix) {
            let short = key.strip_prefix(&prefix).unwrap_or(key);
            let own: &[&str] = if family.rotary { &ROTARY_KEYS } else { &[LAYER_EPS] };
            if ![&KEYS, own, family.keys].into_iter().any(|known| known.contains(&short)) {
                return Err(key_error(key, "is not known here and may change what the model computes"));
            }
        }
        match self.size("expert_count")? {
            None | Some(0) => Ok(()),
            Some(count) => {
                Err(key_error(&self.key("expert_count"), format!("is {count}; mixtures of experts are not supported")))
            }
        }
    }
}

/// The sizes all families have.
struct Shape {
    layers: usize,
    hidden: usize,
    feed_forward: usize,
    heads: usize,
    key_heads: usize,
    head_dim: usize,
    eps: f64,
    rope_base: f64,
    context: usize,
}

impl Shape {
    /// `eps` is the key of the number that norms add.
    fn read(reader: &Reader<'_>, eps: &str) -> Result<Self, GgufError> {
        let (hidden, heads) = (reader.positive("embedding_length")?, reader.positive("attention.head_count")?);
        let head_dim = match reader.size("attention.key_length")? {
            Some(size) => size,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                let problem = format!("is {heads}, no divisor of the embedding length {hidden}");
                return Err(key_error(&reader.key("attention.head_count"), problem));
            }
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            match reader.size(key)? {
                Some(size) if size != head_dim => {
                    let problem = format!("is {size}; only the width of a head, {head_dim}, is supported");
                    return Err(key_error(&reader.key(key), problem));
                }
                Some(_) | None => {}
            }
        }
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            let problem = format!("is {head_dim}; heads must have an even width");
            return Err(key_error(&reader.key("attention.key_length"), problem));
        }
        let key_heads = reader.size("attention.head_count_kv")?.unwrap_or(heads);
        if key_heads == 0 || !heads.is_multiple_of(key_heads) {
            let problem = format!("is {key_heads}, no divisor of the number of heads {heads}");
            return Err(key_error(&reader.key("attention.head_count_kv"), problem));
        }
        let eps_key = reader.key(eps);
        Ok(Self {
            layers: reader.positive("block_count")?,
            hidden,
            feed_forward: reader.positive("feed_forward_length")?,
            heads,
            key_heads,
            head_dim,
            eps: required(reader.metadata.number(&eps_key)?, &eps_key)?,
            rope_base: reader.number("rope.freq_base")?.unwrap_or(10_000.0),
            context: reader.positive("context_length")?,
        })
    }
}

/// Gives every tensor its place, and checks that none is missing.
fn place(file: &GgufFile, family: &Family, shape: &Shape) -> Result<Vec<Placed>, GgufError> {
    let mut placed = Vec::new();
    for source in &file.tensors {
        if family.rotary && source.name == rope::FACTORS {
            continue;
        }
        let Some((name, role)) = family.names.find(&source.name, shape.layers) else {
            let problem = format!("is not part of a {} model with {} layers", family.architecture, shape.layers);
            return Err(tensor_error(&source.name, problem));
        };
        let change = match role {
            Role::Plain => Change::None,
            Role::Queries => Change::SplitHalves { heads: shape.heads },
            Role::Keys => Change::SplitHalves { heads: shape.key_heads },
            Role::NormFactor => Change::MinusOne,
            Role::Transposed => Change::Transpose,
        };
        if let Change::SplitHalves { heads } = change
            && source.rows() != heads * shape.head_dim
        {
            let problem = format!("has {} rows; {heads} heads of width {} need as many", source.rows(), shape.head_dim);
            return Err(tensor_error(&source.name, problem));
        }
        placed.push(Placed { source: source.clone(), name, change });
    }
    for missing in family.names.required(shape.layers) {
        if !file.tensors.iter().any(|tensor| tensor.name == missing) {
            return Err(tensor_error(&missing, "is missing"));
        }
    }
    placed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(placed)
}

/// Rows of the embedding.
fn vocabulary(file: &GgufFile, shape: &Shape) -> Result<usize, GgufError> {
    match file.tensors.iter().find(|tensor| tensor.name == names::EMBEDDING) {
        Some(tensor) if tensor.shape.len() == 2 && tensor.row_values() == shape.hidden => Ok(tensor.rows()),
        Some(tensor) => {
            let problem = format!("has shape {:?}; its rows must have the width {}", tensor.shape, shape.hidden);
            Err(tensor_error(names::EMBEDDING, problem))
        }
        None => Err(tensor_error(names::EMBEDDING, "is missing")),
    }
}

pub(super) fn required<T>(value: Option<T>, key: &str) -> Result<T, GgufError> {
    value.ok_or_else(|| key_error(key, "is missing"))
}
