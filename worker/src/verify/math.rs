//! Whether two mathematical answers are the same, as people write them: LaTeX or plain text, numbers, expressions, tuples, sets,
//! intervals, equations, matrices, quantities with units.
//!
//! A pure, total function of (two texts, options): it never panics, and its work is bounded by the limits below. What can be decided
//! with rationals is decided exactly; the rest by evaluation at many digits. What is too large, unreadable or undefined is
//! `Undecided`, never "different": whether that counts against a completion is the caller's decision.

mod compare;
mod exact;
mod lexer;
mod node;
mod numeric;
mod parser;
mod poly;
mod relations;
mod scalar;
mod spans;
mod steps;
mod structure;
mod units;
mod words;

use std::fmt;

use galapagos_domain::seed::Seed;

/// Longest answer that is read, in bytes.
pub const MAX_BYTES: usize = 8_192;
/// Most tokens of an answer.
pub const MAX_TOKENS: usize = 1_500;
/// Deepest nesting of an answer.
pub const MAX_DEPTH: usize = 48;

/// How answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub units: Units,
    /// A bare decimal with at least this many places also stands for every number that rounds to it at that many places
    /// (`0.333333` for 1/3 at 6). `None`: a decimal is exactly what it says.
    pub rounded_places: Option<u32>,
    /// Chooses the points at which expressions with variables are evaluated.
    pub seed: Seed,
}

impl Default for Options {
    fn default() -> Self {
        Self { units: Units::WhereGiven, rounded_places: Some(6), seed: Seed(0) }
    }
}

/// What units count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Units are dropped: `5 cm` is `5`, and `5 m` as well.
    Drop,
    /// Units count where both sides name one; a side without a unit is taken to mean the other's. A percentage is also the number
    /// before the sign, and an angle in degrees also its number.
    WhereGiven,
    /// Quantities must agree, unit included; `50%` is 1/2 and `180°` is π.
    Compare,
}

/// Whether two answers are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Equal,
    Different,
    Undecided(Undecided),
}

/// Which of the two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Gold,
    Answer,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gold => "the expected answer",
            Self::Answer => "the answer",
        })
    }
}

/// Why two answers could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    #[error("{side} is too large to be read: {what}")]
    Unwieldy { side: Side, what: TooLarge },
    #[error("the comparison is too large: {0}")]
    TooLarge(TooLarge),
    #[error("{side} cannot be read: {what}")]
    Unreadable { side: Side, what: String },
    #[error("{side} has no value: {what}")]
    Undefined { side: Side, what: &'static str },
    #[error("the answers share too few points at which both have a value")]
    NoCommonPoints,
    #[error("the answers differ by less than the evaluation's error")]
    Precision,
}

/// Which limit a comparison met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("more than {MAX_BYTES} bytes")]
    Bytes,
    #[error("more than {MAX_TOKENS} tokens")]
    Tokens,
    #[error("nested deeper than {MAX_DEPTH}")]
    Depth,
    #[error("a number is beyond 2^{}", numeric::MAX_EXPONENT)]
    Magnitude,
    #[error("more steps than the limit")]
    Steps,
}

/// What was decided, with both answers as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub outcome: Outcome,
    /// Normal form, for people; the text itself if it could not be read.
    pub gold: String,
    /// Normal form, for people; the text itself if it could not be read.
    pub answer: String,
}

/// Compares an expected answer with another. Reflexive and symmetric, but for which side an `Undecided` names.
#[must_use]
pub fn equivalent(gold: &str, answer: &str, options: &Options) -> Comparison {
    compare::compare(gold, answer, options)
}

#[cfg(test)]
mod tests;
