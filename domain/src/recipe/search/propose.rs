//! Proposers: what is asked of a policy at one place of a search, and what of it counts as one step.

use serde::{Deserialize, Serialize};

use super::super::Number;
use super::super::guide::{Guide, Speculate};

/// Continuations of one place, drawn from the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// Continuations asked for at once.
    pub n: u32,
    #[serde(default = "default_temperature")]
    pub temperature: Number,
    /// Nucleus mass kept; 1 keeps all.
    #[serde(default = "default_top_p")]
    pub top_p: Number,
    /// Longest continuation in tokens; the task family's own limit of an answer when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// So many most probable tokens are kept; all when absent. A whole number.
    #[serde(default)]
    pub top_k: Option<Number>,
    /// Tokens less probable than this part of the most probable one are dropped; 0 keeps all.
    #[serde(default = "default_min_p")]
    pub min_p: Number,
    /// Above 1 makes tokens of prompt and completion less likely to come again; 1 changes nothing.
    #[serde(default = "default_repetition_penalty")]
    pub repetition_penalty: Number,
    /// What every continuation must be, up to what ends it.
    #[serde(default)]
    pub guide: Option<Guide>,
    #[serde(default)]
    pub speculate: Speculate,
    /// What ends a continuation before the answer does.
    #[serde(default)]
    pub unit: Unit,
    /// Which continuations of one place count as one.
    #[serde(default)]
    pub merge: Merge,
    /// Whether each task gets its most probable answer as well, marked as such: independent samples of rollouts alone.
    #[serde(default)]
    pub greedy: bool,
}

/// What one step is. Every step also ends where the answer does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A whole answer.
    #[default]
    Answer,
    /// Up to the end of a line.
    Line,
    /// Up to a text, which belongs to the step.
    Step(String),
    /// So many tokens.
    Tokens(u32),
    /// One turn of a conversation: as an answer, and the search goes on behind it.
    Turn,
    /// Up to the fence that closes a block of code.
    CodeBlock,
}

impl Unit {
    /// The text that ends a step, if one does.
    #[must_use]
    pub fn ends_with(&self) -> Option<&str> {
        match self {
            Self::Line => Some("\n"),
            Self::Step(text) => Some(text),
            Self::CodeBlock => Some("\n```\n"),
            Self::Answer | Self::Tokens(_) | Self::Turn => None,
        }
    }
}

/// Siblings that count as one: the earliest stays, and remembers how often it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    #[default]
    None,
    /// The same text.
    Exact,
    /// Fewer edits apart than `below`, in characters; as many are drawn anew, up to `resample` times.
    EditDistance {
        below: u32,
        #[serde(default)]
        resample: u32,
    },
}

/// Temperature of sampling where a recipe does not say.
pub const DEFAULT_TEMPERATURE: f64 = 0.8;

pub(crate) fn default_temperature() -> Number {
    Number::Value(DEFAULT_TEMPERATURE)
}

fn default_top_p() -> Number {
    Number::Value(1.0)
}

fn default_min_p() -> Number {
    Number::Value(0.0)
}

fn default_repetition_penalty() -> Number {
    Number::Value(1.0)
}

impl Propose {
    /// Plain sampling of `n` whole answers.
    #[must_use]
    pub fn answers(n: u32, temperature: f64) -> Self {
        Self {
            n,
            temperature: Number::Value(temperature),
            top_p: default_top_p(),
            max_tokens: None,
            top_k: None,
            min_p: default_min_p(),
            repetition_penalty: default_repetition_penalty(),
            guide: None,
            speculate: Speculate::Off,
            unit: Unit::Answer,
            merge: Merge::None,
            greedy: false,
        }
    }

    /// Every number that may be a variable.
    pub(super) fn numbers(&mut self) -> Vec<&mut Number> {
        let mut numbers = vec![&mut self.temperature, &mut self.top_p, &mut self.min_p, &mut self.repetition_penalty];
        numbers.extend(&mut self.top_k);
        numbers
    }
}
