//! Whether a completion is JSON that a schema allows, and optionally one given value. Schemas are taken as they are: a reference to
//! another document is refused, never fetched; patterns run on the linear engine.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::{CheckError, Judgement};

/// Checks against one schema.
#[derive(Debug)]
pub struct JsonSchema {
    validator: Validator,
    /// Whether the value must also equal the expected one.
    equal: bool,
}

/// Longest JSON text that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

impl JsonSchema {
    /// A checker from a schema (draft 2020-12 unless it names another).
    ///
    /// # Errors
    /// If the schema is none, or refers to another document.
    pub fn new(schema: &Value, equal: bool) -> Result<Self, CheckError> {
        let wrong = |what| CheckError::Option { option: "schema", what };
        if let Some(address) = remote(schema) {
            return Err(wrong(format!(
                "the reference `{address}` leaves the schema; put the definition under `$defs`"
            )));
        }
        let built = jsonschema::options().offline().with_pattern_options(PatternOptions::regex()).build(schema);
        Ok(Self { validator: built.map_err(|error| wrong(error.to_string()))?, equal })
    }

    /// Whether the completion, or the first block of JSON in it, is valid. Without `equal`, `expected` is not used.
    ///
    /// # Errors
    /// If the expected answer is compared and is no JSON.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        let wanted: Option<Value> = match self.equal {
            true => Some(serde_json::from_str(expected).map_err(|_| CheckError::expected(expected, "JSON"))?),
            false => None,
        };
        if completion.len() > MAX_BYTES {
            return Ok(Judgement::wrong("", format!("the completion is longer than {MAX_BYTES} bytes")));
        }
        let Some(value) = first_json(completion) else {
            return Ok(Judgement::wrong("", "the completion holds no JSON"));
        };
        let read = value.to_string();
        if let Some(error) = self.validator.iter_errors(&value).next() {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { "the top" } else { at.as_str() };
            return Ok(Judgement::wrong(read, format!("at {place}: {error}")));
        }
        Ok(match wanted {
            Some(wanted) => Judgement::same(value == wanted, read, expected),
            None => Judgement { reason: "the schema allows it".to_owned(), ..Judgement::right(read) },
        })
    }
}

/// The whole text as JSON, else the first fenced block, else the first object or array that parses.
fn first_json(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text.trim()) {
        return Some(value);
    }
    let mut fences = text.split("```").skip(1).step_by(2);
    if let Some(value) = fences.find_map(|block| serde_json::from_str(block.trim_start_matches("json").trim()).ok()) {
        return Some(value);
    }
    // Each try may read to the end, so their number is bounded.
    const TRIES: usize = 32;
    let starts = text.char_indices().filter(|(_, c)| matches!(c, '{' | '[')).take(TRIES);
    starts.into_iter().find_map(|(at, _)| serde_json::Deserializer::from_str(&text[at..]).into_iter().next()?.ok())
}

/// A reference that leaves the schema, if there is one.
fn remote(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match value.as_str() {
            Some(address) if matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") => {
                (!address.starts_with('#')).then_some(address)
            }
            _ => remote(value),
        }),
        Value::Array(items) => items.iter().find_map(remote),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
