//! `config.json` in: what all families have in common, and which of the remaining keys may be passed over.

use serde_json::{Map, Value};

use super::{ConfigError, Fields, ModelConfig, ModelKind, unsupported};
use crate::family::Family;

pub(super) fn from_json(text: &str) -> Result<(ModelConfig, Vec<String>), ConfigError> {
    let map: Map<String, Value> = serde_json::from_str(text).map_err(|source| ConfigError::Json { source })?;
    let fields = Fields::new(&map);
    let family = family(&fields)?;
    let mut config = ModelConfig {
        family,
        kind: kind(&fields, family)?,
        bos_token_id: fields.ids("bos_token_id")?.first().copied(),
        eos_token_ids: fields.ids("eos_token_id")?,
        pad_token_id: fields.ids("pad_token_id")?.first().copied(),
        ..ModelConfig::default()
    };
    fields.require_null("quantization_config")?;
    (family.definition().read)(&fields, &mut config)?;
    config.validate()?;
    let ignored = fields.not_asked().into_iter().filter(|key| !is_harmless(key, &map[key])).collect();
    Ok((config, ignored))
}

/// Keys that say nothing about the forward pass.
const HARMLESS: [&str; 27] = [
    "_commit_hash",
    "_name_or_path",
    "attn_implementation",
    "dtype",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "label2id",
    "max_length",
    "n_ctx",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "return_dict_in_generate",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "torch_dtype",
    "transformers_version",
    "unsloth_version",
    "use_cache",
];

/// Dropout acts in training only, and training here has none: zero says the same, anything else is worth a word.
fn is_harmless(key: &str, value: &Value) -> bool {
    let dropout = key.ends_with("dropout") || key.ends_with("pdrop") || key.ends_with("dropout_prob");
    HARMLESS.contains(&key) || (dropout && value.as_f64() == Some(0.0))
}

fn family(fields: &Fields<'_>) -> Result<Family, ConfigError> {
    let Some(value) = fields.present("model_type") else {
        return Err(ConfigError::Missing { field: "model_type" });
    };
    value.as_str().and_then(Family::from_model_type).ok_or_else(|| {
        let names: Vec<String> = Family::ALL.iter().map(|family| format!("{:?}", family.model_type())).collect();
        unsupported("model_type", value, &names.join(", "))
    })
}

fn kind(fields: &Fields<'_>, family: Family) -> Result<ModelKind, ConfigError> {
    let Some(value) = fields.present("architectures") else { return Ok(ModelKind::CausalLm) };
    let class = family.definition().class;
    let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let head = match names.as_slice() {
        [name] => name.strip_prefix(class),
        _ => None,
    };
    match head {
        Some("ForCausalLM") => Ok(ModelKind::CausalLm),
        Some("ForSequenceClassification") => match label_count(fields) {
            1 => Ok(ModelKind::Scalar),
            labels => Err(unsupported("num_labels", &Value::from(labels), "1")),
        },
        _ => {
            let supported =
                format!("[\"{class}ForCausalLM\"] or [\"{class}ForSequenceClassification\"] with one label");
            Err(unsupported("architectures", value, &supported))
        }
    }
}

/// `transformers` writes the number of labels as the size of `id2label`, and leaves it out when it is 2.
fn label_count(fields: &Fields<'_>) -> usize {
    let stated = fields.present("num_labels").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let named = fields.present("id2label").and_then(Value::as_object).map(Map::len);
    stated.or(named).unwrap_or(2)
}
