//! Data sets: rows of files become problems with answers, solutions and tests, in splits that share no prompt. Pure; reading files is
//! somebody else's. Whatever is wrong names the file, the row and the column, and what would be right.

mod answer;
mod parts;
mod program;
mod row;
mod template;

pub use parts::{Assembled, Choice, From, Notes, Read, assemble, choose, solved};
pub use program::{CallTest, InputTest, ProgramTests};
pub use row::{Damaged, Given, RawRow, Row, decode, encode};
pub use template::around_prompt;

use std::fmt;

/// What is wrong with a data set or with what the recipe says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFault {
    /// The field of the recipe's `files` that is most likely at fault.
    pub field: &'static str,
    /// File and row, where one is at fault.
    pub place: Option<String>,
    pub what: String,
    /// What would be right.
    pub help: String,
}

impl DataFault {
    /// A fault of the whole set.
    #[must_use]
    pub fn new(field: &'static str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field, place: None, what: what.into(), help: help.into() }
    }

    /// The same, found there.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }
}

impl fmt::Display for DataFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for DataFault {}

#[cfg(test)]
mod tests;
