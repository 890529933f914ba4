//! The vision encoder of a configuration: `vision_config` of `config.json`. It reads the one-bit images of `galapagos_domain::image` and
//! nothing else, so what describes another encoder is refused.

use galapagos_domain::image::{MOST_COLUMNS, MOST_ROWS, PATCH};
use serde_json::{Map, Value, json};

use super::{ConfigError, Fields, invalid, unsupported};

/// `model_type` within `vision_config`.
const MODEL_TYPE: &str = "galapagos_patches";

/// Shape of a vision encoder: patches, each with its row and column, through residual blocks of two products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisionConfig {
    /// Width.
    pub hidden_size: usize,
    /// Width inside the blocks.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Rows of patches that have a place.
    pub rows: usize,
    /// Columns of patches that have a place.
    pub columns: usize,
}

impl VisionConfig {
    /// An encoder of that width and so many blocks, for images of every size.
    #[must_use]
    pub fn new(hidden_size: usize, num_hidden_layers: usize) -> Self {
        let (rows, columns) = (MOST_ROWS as usize, MOST_COLUMNS as usize);
        Self { hidden_size, intermediate_size: 4 * hidden_size, num_hidden_layers, rows, columns }
    }

    pub(super) fn read(value: &Value) -> Result<Self, ConfigError> {
        let Some(map) = value.as_object() else { return Err(invalid("vision_config", value, "an object")) };
        let fields = Fields::new(map);
        if fields.present("model_type").and_then(Value::as_str) != Some(MODEL_TYPE) {
            let found = fields.present("model_type").unwrap_or(&Value::Null);
            return Err(unsupported("vision_config.model_type", found, &format!("{MODEL_TYPE:?}")));
        }
        fields.require_one_of("patch_size", &[Value::from(PATCH)])?;
        fields.require_one_of("num_channels", &[Value::from(1)])?;
        fields.require_one_of("hidden_act", &[Value::from("gelu")])?;
        let config = Self {
            hidden_size: fields.size("hidden_size")?,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers: fields.size("num_hidden_layers")?,
            rows: fields.size("rows")?,
            columns: fields.size("columns")?,
        };
        match fields.not_asked().first() {
            Some(key) => Err(unsupported(&format!("vision_config.{key}"), &map[key], "null")),
            None => Ok(config),
        }
    }

    pub(super) fn write(self) -> Value {
        let Self { hidden_size, intermediate_size, num_hidden_layers, rows, columns } = self;
        let map: Map<String, Value> = [
            ("model_type", json!(MODEL_TYPE)),
            ("patch_size", json!(PATCH)),
            ("num_channels", json!(1)),
            ("hidden_act", json!("gelu")),
            ("hidden_size", json!(hidden_size)),
            ("intermediate_size", json!(intermediate_size)),
            ("num_hidden_layers", json!(num_hidden_layers)),
            ("rows", json!(rows)),
            ("columns", json!(columns)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        Value::Object(map)
    }

    pub(super) fn validate(self) -> Result<(), ConfigError> {
        let sizes = [
            ("vision_config.hidden_size", self.hidden_size, super::MAX_SIZE),
            ("vision_config.intermediate_size", self.intermediate_size, super::MAX_SIZE),
            ("vision_config.num_hidden_layers", self.num_hidden_layers, super::MAX_SIZE),
            ("vision_config.rows", self.rows, MOST_ROWS as usize),
            ("vision_config.columns", self.columns, MOST_COLUMNS as usize),
        ];
        match sizes.into_iter().find(|(_, size, most)| size == &0 || size > most) {
            Some((field, size, most)) => Err(invalid(field, size, format!("between 1 and {most}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, ModelConfig};

    fn config() -> ModelConfig {
        ModelConfig {
            vocab_size: 12,
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 2,
            head_dim: 8,
            max_position_embeddings: 64,
            vision: Some(VisionConfig::new(8, 2)),
            ..ModelConfig::default()
        }
    }

    #[test]
    fn an_encoder_comes_back_from_the_file() {
        let (read, ignored) = ModelConfig::from_json_with_ignored(&config().to_json("float32")).unwrap();
        assert_eq!((read, ignored), (config(), Vec::new()));
    }

    #[test]
    fn another_encoder_and_another_family_are_refused_by_name() {
        let message = |change: &dyn Fn(&mut Value)| {
            let mut json: Value = serde_json::from_str(&config().to_json("float32")).unwrap();
            change(&mut json);
            ModelConfig::from_json(&json.to_string()).unwrap_err().to_string()
        };
        let said = message(&|json| json["vision_config"]["model_type"] = json!("siglip_vision_model"));
        assert!(said.contains("vision_config.model_type") && said.contains("galapagos_patches"), "{said}");
        let said = message(&|json| json["vision_config"]["patch_size"] = json!(14));
        assert!(said.contains("`patch_size` is 14"), "{said}");
        let said = message(&|json| json["vision_config"]["spatial_merge_size"] = json!(2));
        assert!(said.contains("vision_config.spatial_merge_size"), "{said}");
        let said = message(&|json| json["vision_config"]["rows"] = json!(17));
        assert!(said.contains("vision_config.rows") && said.contains("between 1 and 16"), "{said}");
        let mut other = config();
        other.family = Family::Mistral;
        let said = other.validate().unwrap_err().to_string();
        assert!(said.contains("vision_config") && said.contains("Llama"), "{said}");
        let said = ModelConfig::from_json(&other.to_json("float32")).unwrap_err().to_string();
        assert!(said.contains("vision_config"), "{said}");
    }
}
