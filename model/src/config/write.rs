//! `config.json` and `generation_config.json` out, in the form `transformers` 5 writes.

use serde_json::{Map, Value, json};

use super::{ModelConfig, ModelKind};

pub(super) fn to_json(config: &ModelConfig, dtype: &str) -> String {
    let definition = config.family.definition();
    let mut map = Map::new();
    let architecture = format!("{}{}", definition.class, class_of_head(config));
    map.insert("architectures".to_owned(), json!([architecture]));
    map.insert("model_type".to_owned(), definition.model_type.into());
    map.insert("dtype".to_owned(), dtype.into());
    map.insert("use_cache".to_owned(), true.into());
    (definition.write)(config, &mut map);
    if let Some(vision) = config.vision {
        map.insert("vision_config".to_owned(), vision.write());
    }
    insert_special_ids(&mut map, config);
    insert_labels(&mut map, config);
    format!("{:#}\n", Value::Object(map))
}

/// The text of `generation_config.json`: only the special tokens; sampling settings are the caller's.
pub(crate) fn generation_json(config: &ModelConfig) -> String {
    let mut map = Map::new();
    insert_special_ids(&mut map, config);
    map.insert("_from_model_config".to_owned(), Value::from(true));
    format!("{:#}\n", Value::Object(map))
}

fn class_of_head(config: &ModelConfig) -> &'static str {
    match config.kind {
        ModelKind::CausalLm => config.family.definition().language_model,
        ModelKind::Scalar | ModelKind::SequenceClassifier => "ForSequenceClassification",
        ModelKind::TokenClassifier => "ForTokenClassification",
    }
}

/// `num_labels` itself is derived from these two by transformers.
fn insert_labels(map: &mut Map<String, Value>, config: &ModelConfig) {
    let scalar = ["SCORE".to_owned()];
    let labels = match config.kind {
        ModelKind::CausalLm => return,
        ModelKind::Scalar => &scalar[..],
        ModelKind::SequenceClassifier | ModelKind::TokenClassifier => &config.labels,
    };
    let by_id = labels.iter().enumerate().map(|(id, label)| (id.to_string(), Value::from(label.as_str())));
    let by_label = labels.iter().enumerate().map(|(id, label)| (label.clone(), Value::from(id)));
    map.insert("id2label".to_owned(), Value::Object(by_id.collect()));
    map.insert("label2id".to_owned(), Value::Object(by_label.collect()));
}

fn insert_special_ids(map: &mut Map<String, Value>, config: &ModelConfig) {
    let eos = match config.eos_token_ids.as_slice() {
        [] => Value::Null,
        [one] => Value::from(*one),
        many => Value::from(many),
    };
    for (field, value) in [
        ("bos_token_id", Value::from(config.bos_token_id)),
        ("eos_token_id", eos),
        ("pad_token_id", Value::from(config.pad_token_id)),
    ] {
        map.insert(field.to_owned(), value);
    }
}
