//! Checkers of answers: what is read from a completion, and how it is compared with the answer that the task expects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Over;

/// Where an answer is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the last `\boxed{...}`.
    Boxed,
    /// Behind the last `####`.
    Hashes,
    /// Behind "the answer is", "answer:" and their like.
    Phrase,
    /// In the last line that is not empty.
    LastLine,
    /// Everywhere.
    Whole,
}

/// The first of these places that has something counts.
fn usual() -> Vec<Place> {
    vec![Place::Boxed, Place::Hashes, Place::Phrase, Place::LastLine]
}

fn whole() -> Vec<Place> {
    vec![Place::Whole]
}

/// The same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    #[serde(default = "whole")]
    pub read: Vec<Place>,
    /// Upper and lower case are the same.
    #[serde(default)]
    pub fold_case: bool,
    /// Dots, quotes and their like around the answer do not count.
    #[serde(default)]
    pub strip_marks: bool,
}

/// The same number, or one within a tolerance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numeric {
    #[serde(default = "usual")]
    pub read: Vec<Place>,
    /// Which number of the text that was read.
    #[serde(default)]
    pub which: Which,
    #[serde(default)]
    pub absolute: f64,
    #[serde(default)]
    pub relative: f64,
}

/// One of several numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    First,
    #[default]
    Last,
}

/// The same elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default = "usual")]
    pub read: Vec<Place>,
    #[serde(default = "comma")]
    pub separator: String,
    /// Whether their order counts.
    #[serde(default)]
    pub ordered: bool,
}

fn comma() -> String {
    ",".to_owned()
}

/// The same letter of several options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultipleChoice {
    #[serde(default = "usual")]
    pub read: Vec<Place>,
}

/// A completion that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    pub pattern: String,
    /// The whole completion must match, not a part of it.
    #[serde(default)]
    pub whole: bool,
    /// The group, by name or number, that must be the expected answer.
    #[serde(default)]
    pub capture: Option<String>,
    #[serde(default)]
    pub over: Over,
}

/// JSON that is valid for a schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonSchema {
    pub schema: Map<String, Value>,
    /// It must also be the expected answer.
    #[serde(default)]
    pub equal: bool,
}

/// The same in mathematics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Math {
    #[serde(default)]
    pub units: Units,
    /// A decimal with so many places also stands for what rounds to it.
    #[serde(default = "six")]
    pub rounded_places: u32,
}

fn six() -> u32 {
    6
}

/// What units count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    Drop,
    /// Where both sides name one.
    #[default]
    WhereGiven,
    Compare,
}
