//! Typed access to a JSON object that remembers which keys were asked for, so that those nobody asked for can be named.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{ConfigError, invalid, unsupported};

/// The keys of a `config.json`. An absent key and `null` are the same.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, asked: RefCell::default() }
    }

    /// The value of a key.
    pub(crate) fn present(&self, field: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(field);
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Keys with a value that nothing asked for, in name order.
    pub(crate) fn not_asked(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let rest = self.map.iter().filter(|(key, value)| !value.is_null() && !asked.contains(key.as_str()));
        let mut names: Vec<String> = rest.map(|(key, _)| key.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Whether the key is there, be it `null`.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// Refuses an absent key, for which `transformers` has a default of one particular model; `null` is an answer.
    pub(crate) fn require_present(&self, field: &'static str) -> Result<(), ConfigError> {
        if self.has(field) { Ok(()) } else { Err(ConfigError::Missing { field }) }
    }

    pub(crate) fn size(&self, field: &'static str) -> Result<usize, ConfigError> {
        self.optional_size(field)?.ok_or(ConfigError::Missing { field })
    }

    pub(crate) fn optional_size(&self, field: &'static str) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
            Some(size) => Ok(Some(size)),
            None => Err(invalid(field, value, "a whole number")),
        }
    }

    pub(crate) fn number(&self, field: &'static str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| invalid(field, value, "a number"))
    }

    pub(crate) fn flag(&self, field: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| invalid(field, value, "true or false"))
    }

    /// A token id or a list of them; absent is the empty list.
    pub(crate) fn ids(&self, field: &'static str) -> Result<Vec<u32>, ConfigError> {
        let Some(value) = self.present(field) else { return Ok(Vec::new()) };
        let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        list.iter()
            .map(|item| id(item).ok_or_else(|| invalid(field, value, "a token id or a list of token ids")))
            .collect()
    }

    /// `whole / parts`, which must have no remainder; `field` is the one that says `parts`.
    pub(crate) fn even_part(&self, field: &'static str, whole: usize, parts: usize) -> Result<usize, ConfigError> {
        if parts > 0 && whole.is_multiple_of(parts) {
            return Ok(whole / parts);
        }
        Err(invalid(field, parts, format!("a divisor of the hidden size ({whole})")))
    }

    /// Refuses any value but these; absent is as good as the first.
    pub(crate) fn require_one_of(&self, field: &'static str, implemented: &[Value]) -> Result<(), ConfigError> {
        let Some(value) = self.present(field) else { return Ok(()) };
        let same = |implemented: &Value| match (value.as_f64(), implemented.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => value == implemented,
        };
        if implemented.iter().any(same) {
            return Ok(());
        }
        let names: Vec<String> = implemented.iter().map(Value::to_string).collect();
        Err(unsupported(field, value, &names.join(" or ")))
    }

    /// Refuses any value.
    pub(crate) fn require_null(&self, field: &'static str) -> Result<(), ConfigError> {
        self.require_one_of(field, &[Value::Null])
    }
}
