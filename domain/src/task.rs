//! Procedural tasks: seeded generators with exact checkers. A task is a pure function of (source, seed, split, index).
//!
//! Splits are disjoint by canonical problem: the canonical form (order-free where order does not matter) is hashed to a
//! split, so no validation or test item is a reordering of a training item.

use serde::{Deserialize, Serialize};

/// A family of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The largest of five different numbers from 1 to 99.
    LargestOfFive,
    /// The number of letters in an English word.
    LettersInWord,
    /// Six digits in ascending order.
    SortSixDigits,
    /// Three digits in ascending order: for tests that must be quick.
    SortThreeDigits,
}
