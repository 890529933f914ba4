//! How completions are held to a form, and how tokens are guessed ahead. A guide is checked here as far as its text goes; an engine
//! compiles it against a vocabulary and refuses what it cannot follow.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a completion must be, from its first token to the character that ends an answer (which is not part of it).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guide {
    /// A text that the regular expression matches wholly.
    Regex(String),
    /// A JSON text that is valid for the schema; its properties come in the schema's order.
    JsonSchema(Map<String, Value>),
    /// A text of the grammar, in the Lark-like form of `llguidance`.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
}

impl Guide {
    /// The form, as written in a recipe.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::Regex(_) => "regex",
            Self::JsonSchema(_) => "json_schema",
            Self::Lark(_) => "lark",
            Self::Choice(_) => "choice",
        }
    }
}

/// How tokens are guessed ahead of the model. Changes the speed alone, never a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speculate {
    /// Not at all.
    #[default]
    Off,
    /// By what followed the last tokens earlier in the sequence, and by what a guide forces.
    Lookup,
}
