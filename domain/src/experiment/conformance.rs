//! A conformance table as data: what a survey names, and the words of the recipe language that stand for it. Ticked by the recipes that
//! use one of the words, so it says what recipes do and not what they call themselves.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipe::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::document::{Document, Loader};
use crate::recipe::path::Path;
use crate::recipe::{Recipe, Source};

/// A checked table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformance {
    /// What the table shows, in one sentence.
    pub claim: String,
    pub source: Source,
    pub conformance: Vec<Row>,
}

/// Something that the survey names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub group: String,
    pub name: String,
    /// Words of the recipe language; a recipe that uses one of them has it.
    pub words: Vec<String>,
    /// A control: nothing may have it.
    #[serde(default)]
    pub must_fail: bool,
}

/// A row with the recipes that have it, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tick {
    #[serde(flatten)]
    pub row: Row,
    pub recipes: Vec<String>,
}

impl Tick {
    /// Whether it is as it must be: a recipe has it, or none has the control.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.recipes.is_empty() == self.row.must_fail
    }
}

impl Conformance {
    /// Reads a table; `None` if the text is something else, such as an experiment.
    ///
    /// # Errors
    /// [`Diagnostics`] with places.
    pub fn parse(file: &str, text: &str, loader: Loader<'_>) -> Result<Option<Self>, Diagnostics> {
        let document = Document::load(file, text, loader)?;
        let path = Path::root().key("conformance");
        if !document.has("conformance") {
            return Ok(None);
        }
        let table: Self = document.read()?;
        let complaint = |path: Path, message: &str| -> Diagnostic {
            document.diagnose(document.place_of(&path), path, message.to_owned())
        };
        let mut found = Vec::new();
        if !table.conformance.iter().any(|row| row.must_fail) {
            found.push(complaint(path.clone(), "there is no control: add a row with `must_fail: true`"));
        }
        for (i, _) in table.conformance.iter().enumerate().filter(|(_, row)| row.words.is_empty()) {
            found.push(complaint(path.index(i).key("words"), "no word stands for it: name at least one"));
        }
        Diagnostics::of(found).map_or(Ok(Some(table)), Err)
    }

    /// Every row, ticked by the recipes of these names that use one of its words.
    #[must_use]
    pub fn ticks(&self, recipes: &[(String, Recipe)]) -> Vec<Tick> {
        let values: Vec<(&String, Value)> =
            recipes.iter().map(|(name, recipe)| (name, serde_json::to_value(recipe).unwrap_or(Value::Null))).collect();
        let tick = |row: &Row| {
            let has = |(_, value): &&(&String, Value)| row.words.iter().any(|word| uses(value, word));
            let recipes = values.iter().filter(has).map(|(name, _)| (*name).clone()).collect();
            Tick { row: row.clone(), recipes }
        };
        self.conformance.iter().map(tick).collect()
    }
}

/// Whether a filled-in recipe uses a word: as a bare word, or as a field or choice with something in it. What is left at nothing, at 0 or
/// at false is not used.
fn uses(value: &Value, word: &str) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| (key == word && !is_nothing(value)) || uses(value, word))
        }
        Value::Array(items) => items.iter().any(|item| uses(item, word)),
        Value::String(text) => text == word,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::String(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "claim: All there.
source: {title: A survey}
conformance:
  - {group: signals, name: rules, words: [rule]}
  - {group: signals, name: entropy, words: [entropy]}
  - {group: controls, name: nothing, words: [phlogiston], must_fail: true}
";

    fn parse(text: &str) -> Result<Option<Conformance>, Diagnostics> {
        Conformance::parse("t.yaml", text, &|name: &str| Err(format!("no {name}")))
    }

    fn tiny(change: impl Fn(&str) -> String) -> Recipe {
        let text = change(include_str!("../../../recipes/tiny.yaml"));
        Recipe::parse("tiny.yaml", &text, &|name: &str| Err(format!("no {name}"))).unwrap()
    }

    #[test]
    fn a_row_is_ticked_by_what_a_recipe_does_and_not_by_defaults() {
        let table = parse(TABLE).unwrap().unwrap();
        let plain = ("plain".to_owned(), tiny(str::to_owned));
        let wide = ("wide".to_owned(), tiny(|text| text.replacen("loss: nll", "loss: nll\n      entropy: 0.1", 1)));
        let ticks = table.ticks(&[plain, wide]);
        let of = |at: usize| (ticks[at].recipes.join(" "), ticks[at].is_right());
        assert_eq!(of(0), ("plain wide".to_owned(), true), "`verify` is the rule by default");
        assert_eq!(of(1), ("wide".to_owned(), true), "an entropy weight of 0 is none");
        assert_eq!(of(2), (String::new(), true), "the control is not ticked");
    }

    #[test]
    fn a_table_needs_a_control_and_words() {
        assert_eq!(parse("claim: a\nrecipe: b\n").unwrap(), None, "an experiment is no table");
        let without = TABLE.replace(", must_fail: true", "");
        assert!(parse(&without).unwrap_err().to_string().contains("there is no control"));
        let wordless = TABLE.replace("words: [rule]", "words: []");
        let message = parse(&wordless).unwrap_err().to_string();
        assert!(message.starts_with("t.yaml:4:") && message.contains("no word stands for it"), "{message}");
    }
}
