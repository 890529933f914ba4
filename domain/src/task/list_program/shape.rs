//! Options of list programs.

use serde::{Deserialize, Serialize};

use super::telling::LONGEST_PHRASE;
use crate::task::shape::{self, ShapeFault};

/// Least and largest number of an input, where nothing else is said.
pub(super) const VALUES: (i64, i64) = (-9, 20);

/// By how much the least and the largest number of an input differ at least.
const NARROWEST: i64 = 4;

/// Longest shown part of the family's prompts in characters.
const LONGEST_EXAMPLES: u32 = 150;
/// Longest program of the family in characters.
const LONGEST_PROGRAM: u32 = 48;

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most stages, 1 to 6.
    pub stages: (u32, u32),
    /// Fewest and most numbers of an input, 1 to 12.
    pub length: (u32, u32),
    /// Least and largest number of a shown input, -99 to 99. Hidden inputs have numbers from -9 to 20 whatever is shown.
    pub values: (i64, i64),
    /// Whether programs calculate and compare too (`map`, `sums`, `sum`, `filter >N`, `filter <N`), and do not only rearrange, select and
    /// count. An answer may use every stage in any case.
    pub calculations: bool,
    /// Whether a question tells in words what the program does, before its examples.
    pub told: bool,
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { stages: (2, 3), length: (3, 6), values: VALUES, calculations: true, told: false };

    /// What is out of range.
    pub(in crate::task) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::range("stages", self.stages, &(1..=6)),
            shape::range("length", self.length, &(1..=12)),
            shape::range("values", self.values, &(-99..=99)),
        ];
        // Two shown inputs must differ, and what a program does must show in them.
        let narrow = (self.values.1.saturating_sub(self.values.0) < NARROWEST).then(|| ShapeFault {
            field: "values",
            message: format!("[{}, {}] has too few numbers", self.values.0, self.values.1),
            help: format!("let the largest be at least {NARROWEST} above the least"),
        });
        faults.into_iter().flatten().chain(narrow).collect()
    }

    /// The shape, or the default if it is out of range.
    pub(super) fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Longest shown part of a prompt and longest program in characters; longer draws are left out.
    pub(in crate::task) fn longest(self) -> (u32, u32) {
        let shape = self.or_default();
        let Self { stages, length, told, .. } = shape;
        if shape == Self::DEFAULT {
            return (LONGEST_EXAMPLES, LONGEST_PROGRAM);
        }
        // Two lists of numbers of up to three characters, each with ", " behind, brackets and arrows; a stage has a name, a number and " | ".
        let examples = 2 * (2 * (5 * length.1 + 2) + 6);
        (examples + if told { LONGEST_PHRASE * stages.1 } else { 0 }, 16 * stages.1)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}
