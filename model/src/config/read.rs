//! `config.json` in. Every key that could change the forward pass is either read or required to have the one value that is
//! implemented.

use serde_json::{Map, Value};

use super::{ConfigError, ModelConfig, ModelKind, invalid, unsupported};

pub(super) fn from_json(text: &str) -> Result<ModelConfig, ConfigError> {
    let map: Map<String, Value> = serde_json::from_str(text).map_err(|source| ConfigError::Json { source })?;
    refuse_unimplemented(&map)?;
    let fields = Fields(&map);
    let hidden_size = fields.size("hidden_size")?;
    let num_attention_heads = fields.size("num_attention_heads")?;
    let head_dim = match fields.optional_size("head_dim")? {
        Some(size) => size,
        None if num_attention_heads > 0 && hidden_size.is_multiple_of(num_attention_heads) => {
            hidden_size / num_attention_heads
        }
        None => {
            return Err(invalid("num_attention_heads", num_attention_heads, "a divisor of hidden_size"));
        }
    };
    let config = ModelConfig {
        kind: kind(&map)?,
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        intermediate_size: fields.size("intermediate_size")?,
        num_hidden_layers: fields.size("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(num_attention_heads),
        head_dim,
        rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
        rope_theta: rope_theta(&map)?,
        max_position_embeddings: fields.size("max_position_embeddings")?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
        bos_token_id: fields.ids("bos_token_id")?.first().copied(),
        eos_token_ids: fields.ids("eos_token_id")?,
        pad_token_id: fields.ids("pad_token_id")?.first().copied(),
    };
    config.validate()?;
    Ok(config)
}

/// Keys of which one value is implemented; absent or null means that value.
fn refuse_unimplemented(map: &Map<String, Value>) -> Result<(), ConfigError> {
    match map.get("model_type") {
        Some(Value::String(model_type)) if model_type == "llama" => {}
        Some(other) => return Err(unsupported("model_type", other, "\"llama\"")),
        None => return Err(ConfigError::Missing { field: "model_type" }),
    }
    let single = [
        ("hidden_act", Value::from("silu")),
        ("attention_bias", Value::from(false)),
        ("mlp_bias", Value::from(false)),
        ("attention_dropout", Value::from(0.0)),
        ("pretraining_tp", Value::from(1)),
        ("rope_scaling", Value::Null),
        ("rope_interleaved", Value::from(false)),
        ("partial_rotary_factor", Value::from(1.0)),
        ("sliding_window", Value::Null),
        ("quantization_config", Value::Null),
    ];
    for (field, implemented) in single {
        let Some(value) = map.get(field).filter(|value| !value.is_null()) else { continue };
        let same = match (value.as_f64(), implemented.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => *value == implemented,
        };
        if !same {
            return Err(unsupported(field, value, &implemented.to_string()));
        }
    }
    Ok(())
}

fn kind(map: &Map<String, Value>) -> Result<ModelKind, ConfigError> {
    let supported = "[\"LlamaForCausalLM\"] or [\"LlamaForSequenceClassification\"] with one label";
    let Some(value) = map.get("architectures").filter(|value| !value.is_null()) else {
        return Ok(ModelKind::CausalLm);
    };
    let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match names.as_slice() {
        ["LlamaForCausalLM"] => Ok(ModelKind::CausalLm),
        ["LlamaForSequenceClassification"] => match label_count(map) {
            1 => Ok(ModelKind::Scalar),
            labels => Err(unsupported("num_labels", &Value::from(labels), "1")),
        },
        _ => Err(unsupported("architectures", value, supported)),
    }
}

/// `transformers` writes the number of labels as the size of `id2label`, and leaves it out when it is 2.
fn label_count(map: &Map<String, Value>) -> usize {
    let stated = map.get("num_labels").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let named = map.get("id2label").and_then(Value::as_object).map(Map::len);
    stated.or(named).unwrap_or(2)
}

/// The base of the rotary frequencies: nested in `rope_parameters` (transformers 5) or at the top level (4).
fn rope_theta(map: &Map<String, Value>) -> Result<f64, ConfigError> {
    let top = Fields(map).number("rope_theta")?;
    let Some(value) = map.get("rope_parameters").filter(|value| !value.is_null()) else {
        return Ok(top.unwrap_or(10_000.0));
    };
    let Some(nested) = value.as_object() else {
        return Err(invalid("rope_parameters", value, "an object"));
    };
    for (key, value) in nested {
        match key.as_str() {
            "rope_theta" => {}
            "rope_type" | "type" if value == "default" => {}
            "partial_rotary_factor" if value.as_f64() == Some(1.0) => {}
            _ => {
                let supported = "the unscaled rope (rope_type \"default\")";
                return Err(unsupported(&format!("rope_parameters.{key}"), value, supported));
            }
        }
    }
    Ok(Fields(nested).number("rope_theta")?.or(top).unwrap_or(10_000.0))
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn present(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn size(&self, field: &'static str) -> Result<usize, ConfigError> {
        self.optional_size(field)?.ok_or(ConfigError::Missing { field })
    }

    fn optional_size(&self, field: &str) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
            Some(size) => Ok(Some(size)),
            None => Err(invalid(field, value, "a whole number")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| invalid(field, value, "a number"))
    }

    fn flag(&self, field: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| invalid(field, value, "true or false"))
    }

    /// A token id or a list of them; absent is the empty list.
    fn ids(&self, field: &str) -> Result<Vec<u32>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        list.iter()
            .map(|item| id(item).ok_or_else(|| invalid(field, value, "a token id or a list of token ids")))
            .collect()
    }
}
