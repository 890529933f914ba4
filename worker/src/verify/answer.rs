//! Answer checkers: what a completion says as its answer, and whether that is the expected one. Pure functions; a checker never fails
//! a completion for a fault of the task or for a question it cannot decide, it returns a `CheckError`.

mod choice;
mod exact;
mod extract;
mod list;
mod math;
mod numeric;
mod pattern;
mod schema;

pub use choice::Choice;
pub use exact::Exact;
pub use extract::{Extract, Found, find};
pub use list::{Element, List};
pub use math::Math;
pub use numeric::{Numeric, Which, number};
pub use pattern::{Matching, Pattern};
pub use schema::JsonSchema;

/// Whether a completion is right, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub right: bool,
    /// What was read from the completion as its answer; empty if nothing was.
    pub read: String,
    pub reason: String,
}

impl Judgement {
    fn right(read: impl Into<String>) -> Self {
        Self { right: true, read: read.into(), reason: "the expected answer".to_owned() }
    }

    fn wrong(read: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { right: false, read: read.into(), reason: reason.into() }
    }

    fn same(right: bool, read: impl Into<String>, expected: &str) -> Self {
        if right { Self::right(read) } else { Self::wrong(read, format!("the expected answer is `{expected}`")) }
    }
}

/// Why a checker cannot judge: never the completion's fault.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the expected answer `{expected}` is not {wanted}")]
    Expected { expected: String, wanted: String },
    #[error("the checker's option `{option}` is wrong: {what}")]
    Option { option: &'static str, what: String },
    #[error("cannot compare the answer `{read}` with the expected `{expected}`")]
    Undecided {
        expected: String,
        read: String,
        #[source]
        source: super::math::Undecided,
    },
}

impl CheckError {
    fn expected(expected: &str, wanted: impl Into<String>) -> Self {
        Self::Expected { expected: expected.to_owned(), wanted: wanted.into() }
    }
}

#[cfg(test)]
mod tests;
