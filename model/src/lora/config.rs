//! An adapter's settings, read from and written to PEFT's `adapter_config.json`.
//!
//! What would change the function and is not implemented is refused, including settings this version does not know unless
//! they are empty: an adapter is never applied in part.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::AdapterConfigError;

/// Names of modules, as PEFT matches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleNames {
    /// Every projection inside a layer.
    AllLinear,
    /// Modules whose path is one of these, or ends with one of these after a dot.
    List(Vec<String>),
    /// Modules whose whole path matches this regular expression.
    Pattern(String),
}

/// The settings of an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Rank of the update (`r`), at least 1.
    pub rank: usize,
    /// `lora_alpha`: the update is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Scale by `alpha / sqrt(rank)` instead (`use_rslora`).
    pub rank_stabilised: bool,
    /// Ranks of modules whose path is matched by a regular expression.
    pub rank_pattern: BTreeMap<String, usize>,
    /// The same for alpha.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Modules with an update.
    pub targets: ModuleNames,
    /// Modules without one although they are among the targets.
    pub exclude: Option<ModuleNames>,
    /// Only these layers, where `targets` is a list.
    pub layers: Option<Vec<usize>>,
    /// `task_type`, such as `CAUSAL_LM`.
    pub task_type: Option<String>,
    /// `base_model_name_or_path`: which base the adapter was made for, for people.
    pub base_model: Option<String>,
    /// Fields that do not change the function (`lora_dropout`, `revision` ...), kept as they were read.
    pub other: Map<String, Value>,
}

/// Fields that do not change what a saved adapter computes.
const KEPT: &[&str] = &[
    "auto_mapping",
    "inference_mode",
    "lora_dropout",
    "revision",
    "peft_version",
    "init_lora_weights",
    "loftq_config",
    "eva_config",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "ensure_weight_tying",
    "layers_pattern",
];

/// Fields that [`check_kind`] has looked at, and one that follows from the base.
const DECIDED: &[&str] = &["peft_type", "bias", "fan_in_fan_out"];

/// Initialisations after which the base's own weights are the ones on disk.
const PLAIN_INITS: &[&str] = &["gaussian", "eva", "orthogonal"];

impl AdapterConfig {
    /// An update of rank `rank` and scale `alpha / rank` for `targets`.
    #[must_use]
    pub fn new(rank: usize, alpha: f64, targets: ModuleNames) -> Self {
        Self {
            rank,
            alpha,
            rank_stabilised: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            targets,
            exclude: None,
            layers: None,
            task_type: None,
            base_model: None,
            other: Map::new(),
        }
    }

    /// Reads `adapter_config.json`.
    ///
    /// # Errors
    /// [`AdapterConfigError`] names the field that is wrong or not implemented.
    pub fn from_json(text: &str) -> Result<Self, AdapterConfigError> {
        let mut fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|source| AdapterConfigError::Json { source })?;
        check_kind(&fields)?;
        fields
            .retain(|name, value| KEPT.contains(&name.as_str()) || is_set(value) && !DECIDED.contains(&name.as_str()));
        let take = |fields: &mut Map<String, Value>, name| fields.remove(name).filter(|value| !value.is_null());
        let rank = take(&mut fields, "r").ok_or(AdapterConfigError::Missing { field: "r" })?;
        let alpha = take(&mut fields, "lora_alpha").ok_or(AdapterConfigError::Missing { field: "lora_alpha" })?;
        let targets =
            take(&mut fields, "target_modules").ok_or(AdapterConfigError::Missing { field: "target_modules" })?;
        let exclude = take(&mut fields, "exclude_modules").filter(is_set);
        let layers = take(&mut fields, "layers_to_transform").filter(|value| value.is_number() || is_set(value));
        let config = Self {
            rank: whole(&rank, "r")?,
            alpha: number(&alpha, "lora_alpha")?,
            rank_stabilised: take(&mut fields, "use_rslora").map_or(Ok(false), |value| flag(&value, "use_rslora"))?,
            rank_pattern: pattern(take(&mut fields, "rank_pattern"), "rank_pattern", whole)?,
            alpha_pattern: pattern(take(&mut fields, "alpha_pattern"), "alpha_pattern", number)?,
            targets: modules(&targets, "target_modules")?,
            exclude: exclude.map(|value| modules(&value, "exclude_modules")).transpose()?,
            layers: layers.map(|value| layer_list(&value)).transpose()?,
            task_type: take(&mut fields, "task_type").map(|value| text_of(&value, "task_type")).transpose()?,
            base_model: take(&mut fields, "base_model_name_or_path")
                .map(|value| text_of(&value, "base_model_name_or_path"))
                .transpose()?,
            other: fields,
        };
        config.check()?;
        Ok(config)
    }

    /// The text of `adapter_config.json`. `fan_in_fan_out` says whether the base stores its weights transposed (GPT-2).
    #[must_use]
    pub fn to_json(&self, fan_in_fan_out: bool) -> String {
        let alphas: Map<String, Value> = self.alpha_pattern.iter().map(|(k, v)| (k.clone(), compact(*v))).collect();
        let mut fields = json!({
            "peft_type": "LORA",
            "task_type": self.task_type,
            "base_model_name_or_path": self.base_model,
            "r": self.rank,
            "lora_alpha": compact(self.alpha),
            "use_rslora": self.rank_stabilised,
            "rank_pattern": self.rank_pattern,
            "alpha_pattern": alphas,
            "target_modules": self.targets.to_json(),
            "exclude_modules": self.exclude.as_ref().map(ModuleNames::to_json),
            "layers_to_transform": self.layers,
            "bias": "none",
            "fan_in_fan_out": fan_in_fan_out,
            "modules_to_save": null,
            "use_dora": false,
            "lora_dropout": 0.0,
            "init_lora_weights": true,
            "inference_mode": true,
        });
        if let Some(fields) = fields.as_object_mut() {
            fields.extend(self.other.clone());
        }
        format!("{fields:#}\n")
    }

    /// Scale of an update of that rank and alpha.
    #[must_use]
    pub fn scale(&self, rank: usize, alpha: f64) -> f64 {
        let rank = rank as f64;
        alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }

    fn check(&self) -> Result<(), AdapterConfigError> {
        let ranks = self.rank_pattern.values().chain([&self.rank]);
        if ranks.into_iter().any(|rank| *rank == 0) {
            return Err(AdapterConfigError::invalid("r", 0, "at least 1, also in `rank_pattern`"));
        }
        if self.layers.is_some() && !matches!(self.targets, ModuleNames::List(_)) {
            let expected = "absent where `target_modules` is not a list";
            return Err(AdapterConfigError::invalid("layers_to_transform", format!("{:?}", self.layers), expected));
        }
        for (name, value) in self.other.iter().filter(|(_, value)| is_set(value)) {
            match (name.as_str(), value) {
                ("init_lora_weights", Value::String(how)) if !PLAIN_INITS.contains(&how.as_str()) => {
                    let supported = "it changes the base's weights too: convert the adapter to a plain one with PEFT \
                                     (`path_initial_model_for_weight_conversion`)";
                    return Err(AdapterConfigError::unsupported(name, value, supported));
                }
                (known, _) if KEPT.contains(&known) => {}
                _ => return Err(AdapterConfigError::unsupported(name, value, "plain LoRA without it is")),
            }
        }
        Ok(())
    }
}

impl ModuleNames {
    fn to_json(&self) -> Value {
        match self {
            Self::AllLinear => json!("all-linear"),
            Self::List(names) => json!(names),
            Self::Pattern(pattern) => json!(pattern),
        }
    }
}

/// The settings that make an adapter something else than plain LoRA, with the reason why each is refused.
fn check_kind(fields: &Map<String, Value>) -> Result<(), AdapterConfigError> {
    match fields.get("peft_type").and_then(Value::as_str) {
        Some("LORA") => {}
        found => {
            let found = found.map_or_else(|| "absent".to_owned(), |found| format!("\"{found}\""));
            return Err(AdapterConfigError::unsupported("peft_type", found, "only \"LORA\" is"));
        }
    }
    let bias = fields.get("bias").cloned().unwrap_or(Value::Null);
    if !bias.is_null() && bias != "none" {
        return Err(AdapterConfigError::unsupported("bias", &bias, "only \"none\" is: adapters have no biases"));
    }
    for (field, supported) in [
        ("modules_to_save", "merge the adapter with PEFT, which keeps the modules it replaces"),
        ("use_dora", "merge the adapter with PEFT, or train without DoRA"),
        ("lora_bias", "adapters have no biases"),
        ("layer_replication", "give the base all its layers"),
    ] {
        if let Some(value) = fields.get(field).filter(|value| is_set(value)) {
            return Err(AdapterConfigError::unsupported(field, value, supported));
        }
    }
    Ok(())
}

/// Not null, false, zero or empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
    }
}

fn compact(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

fn whole(value: &Value, field: &str) -> Result<usize, AdapterConfigError> {
    let whole = value.as_u64().and_then(|value| usize::try_from(value).ok());
    whole.ok_or_else(|| AdapterConfigError::invalid(field, value, "a whole number"))
}

fn number(value: &Value, field: &str) -> Result<f64, AdapterConfigError> {
    let number = value.as_f64().filter(|value| value.is_finite());
    number.ok_or_else(|| AdapterConfigError::invalid(field, value, "a finite number"))
}

fn flag(value: &Value, field: &str) -> Result<bool, AdapterConfigError> {
    value.as_bool().ok_or_else(|| AdapterConfigError::invalid(field, value, "true or false"))
}

fn text_of(value: &Value, field: &str) -> Result<String, AdapterConfigError> {
    value.as_str().map(str::to_owned).ok_or_else(|| AdapterConfigError::invalid(field, value, "a text"))
}

fn pattern<T>(
    value: Option<Value>,
    field: &str,
    read: fn(&Value, &str) -> Result<T, AdapterConfigError>,
) -> Result<BTreeMap<String, T>, AdapterConfigError> {
    match value {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => {
            entries.into_iter().map(|(name, value)| Ok((name, read(&value, field)?))).collect()
        }
        Some(other) => Err(AdapterConfigError::invalid(field, other, "an object of module patterns and numbers")),
    }
}

fn modules(value: &Value, field: &str) -> Result<ModuleNames, AdapterConfigError> {
    let wrong =
        || AdapterConfigError::invalid(field, value, "a list of module names, a regular expression or \"all-linear\"");
    match value {
        Value::String(text) if text.eq_ignore_ascii_case("all-linear") => Ok(ModuleNames::AllLinear),
        Value::String(text) => Ok(ModuleNames::Pattern(text.clone())),
        Value::Array(names) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()).map(ModuleNames::List).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn layer_list(value: &Value) -> Result<Vec<usize>, AdapterConfigError> {
    match value {
        Value::Array(layers) => layers.iter().map(|layer| whole(layer, "layers_to_transform")).collect(),
        one => Ok(vec![whole(one, "layers_to_transform")?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut Map<String, Value>)) -> Result<AdapterConfig, String> {
        let mut fields = json!({
            "peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "bias": "none",
            "use_dora": false, "modules_to_save": null, "lora_dropout": 0.05, "init_lora_weights": true,
            "task_type": "CAUSAL_LM", "base_model_name_or_path": "org/base", "loftq_config": {},
        });
        change(fields.as_object_mut().unwrap());
        AdapterConfig::from_json(&fields.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_read_is_written_again() {
        let first = read(|fields| {
            fields.insert("use_rslora".into(), json!(true));
            fields.insert("rank_pattern".into(), json!({"q_proj": 4}));
            fields.insert("alpha_pattern".into(), json!({"q_proj": 2.5}));
            fields.insert("layers_to_transform".into(), json!([0, 2]));
        })
        .unwrap();
        let mut second = AdapterConfig::from_json(&first.to_json(false)).unwrap();
        assert_eq!((second.base_model.as_deref(), &second.other["lora_dropout"]), (Some("org/base"), &json!(0.05)));
        assert_eq!(first.scale(16, 4.0), 1.0);
        // Fields that the file did not have are written with PEFT's defaults.
        second.other.retain(|name, _| first.other.contains_key(name));
        assert_eq!(first, second);
    }

    #[test]
    fn what_is_not_plain_lora_is_refused_by_name() {
        for (field, value) in [
            ("peft_type", json!("IA3")),
            ("bias", json!("lora_only")),
            ("use_dora", json!(true)),
            ("modules_to_save", json!(["lm_head"])),
            ("init_lora_weights", json!("pissa")),
            ("a_setting_of_the_future", json!({"on": true})),
            ("r", json!(0)),
            ("r", json!("8")),
            ("lora_alpha", json!(null)),
            ("target_modules", json!([])),
            ("target_modules", json!(7)),
            ("rank_pattern", json!([1])),
        ] {
            let error = read(|fields| drop(fields.insert(field.to_owned(), value.clone()))).unwrap_err();
            assert!(error.contains(&format!("`{field}`")), "{field} = {value}: {error}");
        }
        assert!(read(|fields| drop(fields.insert("a_setting_of_the_future".into(), json!(false)))).is_ok());
    }

    #[test]
    fn layers_go_with_a_list_only() {
        let error = read(|fields| {
            fields.insert("target_modules".into(), json!("all-linear"));
            fields.insert("layers_to_transform".into(), json!(1));
        });
        assert!(error.unwrap_err().contains("layers_to_transform"));
    }
}
