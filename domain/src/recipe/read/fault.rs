//! A mistake found while reading, with its place once a reader has added it, and its translation for people.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::recipe::diagnostic::Diagnostic;
use crate::recipe::document::{Document, Place};
use crate::recipe::path::Path;
use crate::recipe::vocabulary;

/// A mistake.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    place: Option<Place>,
    path: Path,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    UnknownField { field: String, expected: &'static [&'static str] },
    UnknownWord { word: String, expected: &'static [&'static str] },
    Missing(&'static str),
    Wrong(String),
}

impl Fault {
    pub(super) fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Kind::UnknownField { field: field.to_owned(), expected }.into()
    }

    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Kind::Wrong(message.into()).into()
    }

    /// Adds where it is, unless an inner reader did.
    pub(super) fn at(mut self, place: Place, path: &Path) -> Self {
        if self.place.is_none() {
            self.place = Some(place);
            self.path = path.clone();
        }
        self
    }

    /// What a person sees.
    pub(crate) fn diagnostic(self, document: &Document) -> Diagnostic {
        let inside = self.path.within_step();
        let (message, help) = match &self.kind {
            Kind::UnknownField { field: word, .. } if vocabulary::is_planned_field(word) => planned(word),
            Kind::UnknownWord { word, .. } if vocabulary::is_planned(word) => planned(word),
            Kind::UnknownField { field, expected } => {
                (format!("unknown field `{field}` in {inside}"), Some(vocabulary::suggest(field, expected, &inside)))
            }
            Kind::UnknownWord { word, expected } => {
                (format!("unknown word `{word}` in {inside}"), Some(vocabulary::suggest(word, expected, &inside)))
            }
            Kind::Missing(field) => (format!("missing field `{field}` in {inside}"), None),
            Kind::Wrong(message) => (format!("{message} (in {inside})"), None),
        };
        let place = self.place.unwrap_or_else(|| document.place_of(&self.path));
        let topic = self.path.last_key().map(str::to_owned);
        Diagnostic { help, topic, ..document.diagnose(place, self.path, message) }
    }
}

fn planned(word: &str) -> (String, Option<String>) {
    (
        format!("`{word}` is part of the recipe language, but not of this version of Galapagos"),
        Some("take it out, or use a newer version".to_owned()),
    )
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self { place: None, path: Path::root(), kind }
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown_field(field, expected)
    }

    fn unknown_variant(word: &str, expected: &'static [&'static str]) -> Self {
        Kind::UnknownWord { word: word.to_owned(), expected }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        Kind::Missing(field).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(format!("expected {}, found {}", vocabulary::plain(&expected.to_string()), describe(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::wrong(format!("expected {}, found {length} entries", vocabulary::plain(&expected.to_string())))
    }
}

/// What stands there, in the words of YAML.
fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.path)
    }
}

impl std::error::Error for Fault {}
