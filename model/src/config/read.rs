//! `config.json` in: what all families have in common, and which of the remaining keys may be passed over.

use serde_json::{Map, Value};

use super::{ConfigError, Fields, ModelConfig, ModelKind, VisionConfig, invalid, unsupported};
use crate::family::Family;

pub(super) fn from_json(text: &str) -> Result<(ModelConfig, Vec<String>), ConfigError> {
    let map: Map<String, Value> = serde_json::from_str(text).map_err(|source| ConfigError::Json { source })?;
    let fields = Fields::new(&map);
    let family = family(&fields)?;
    let (kind, labels) = kind(&fields, family)?;
    let mut config = ModelConfig {
        family,
        kind,
        labels,
        bos_token_id: fields.ids("bos_token_id")?.first().copied(),
        eos_token_ids: fields.ids("eos_token_id")?,
        pad_token_id: fields.ids("pad_token_id")?.first().copied(),
        ..ModelConfig::default()
    };
    fields.require_null("quantization_config")?;
    (family.definition().read)(&fields, &mut config)?;
    config.vision = fields.present("vision_config").map(VisionConfig::read).transpose()?;
    config.validate()?;
    let ignored = fields.not_asked().into_iter().filter(|key| !is_harmless(key)).collect();
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

/// Dropout acts in training only, and training here has none.
fn is_harmless(key: &str) -> bool {
    HARMLESS.contains(&key) || ["dropout", "pdrop", "dropout_prob"].iter().any(|end| key.ends_with(end))
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

/// The head, and the names of its labels.
fn kind(fields: &Fields<'_>, family: Family) -> Result<(ModelKind, Vec<String>), ConfigError> {
    let Some(value) = fields.present("architectures") else { return Ok((ModelKind::CausalLm, Vec::new())) };
    let class = family.definition().class;
    let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let head = match names.as_slice() {
        [name] => name.strip_prefix(class),
        _ => None,
    };
    let language_model = family.definition().language_model;
    match head {
        Some(head) if !language_model.is_empty() && head == language_model => Ok((ModelKind::CausalLm, Vec::new())),
        Some("ForSequenceClassification") => {
            let labels = labels(fields)?;
            // A single label is a number; its name says nothing.
            if labels.len() == 1 {
                Ok((ModelKind::Scalar, Vec::new()))
            } else {
                Ok((ModelKind::SequenceClassifier, labels))
            }
        }
        Some("ForTokenClassification") => Ok((ModelKind::TokenClassifier, labels(fields)?)),
        _ => {
            let ends = [language_model, "ForSequenceClassification", "ForTokenClassification"];
            let classes = ends.iter().filter(|end| !end.is_empty()).map(|end| format!("[\"{class}{end}\"]"));
            Err(unsupported("architectures", value, &classes.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// The labels in order of their ids. `transformers` writes them as `id2label`, and leaves it out when there are 2 without names.
fn labels(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let unnamed = |count: usize| (0..count).map(|id| format!("LABEL_{id}")).collect();
    let stated = fields.optional_size("num_labels")?;
    let Some(value) = fields.present("id2label") else { return Ok(unnamed(stated.unwrap_or(2))) };
    let map = value.as_object().ok_or_else(|| invalid("id2label", value, "an object from ids to names"))?;
    if stated.is_some_and(|count| count != map.len()) {
        return Err(invalid("num_labels", fields.present("num_labels").unwrap_or(value), format!("{}", map.len())));
    }
    let name = |id: usize| map.get(&id.to_string()).and_then(Value::as_str).map(str::to_owned);
    let named: Option<Vec<String>> = (0..map.len()).map(name).collect();
    named.ok_or_else(|| invalid("id2label", value, "names for the ids from 0 on, without gaps"))
}
