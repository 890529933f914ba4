//! `config.json` and `generation_config.json` out, in the form `transformers` 5 writes.

use serde_json::{Map, Value, json};

use super::{ModelConfig, ModelKind};

pub(super) fn to_json(config: &ModelConfig, dtype: &str) -> String {
    let mut value = json!({
        "architectures": [architecture(config.kind)],
        "model_type": "llama",
        "attention_bias": false,
        "attention_dropout": 0.0,
        "dtype": dtype,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": config.initializer_range,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "mlp_bias": false,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_parameters": {"rope_theta": config.rope_theta, "rope_type": "default"},
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_word_embeddings,
        "use_cache": true,
        "vocab_size": config.vocab_size,
    });
    if let Value::Object(map) = &mut value {
        insert_special_ids(map, config);
        if config.kind == ModelKind::Scalar {
            // `num_labels` itself is derived from these two by transformers.
            map.insert("id2label".to_owned(), json!({"0": "SCORE"}));
            map.insert("label2id".to_owned(), json!({"SCORE": 0}));
        }
    }
    format!("{value:#}\n")
}

/// The text of `generation_config.json`: only the special tokens; sampling settings are the caller's.
pub(crate) fn generation_json(config: &ModelConfig) -> String {
    let mut map = Map::new();
    insert_special_ids(&mut map, config);
    map.insert("_from_model_config".to_owned(), Value::from(true));
    format!("{:#}\n", Value::Object(map))
}

fn architecture(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::CausalLm => "LlamaForCausalLM",
        ModelKind::Scalar => "LlamaForSequenceClassification",
    }
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
