//! Task sets: where problems come from and how many each split holds.

pub mod env;

use serde::{Deserialize, Serialize};

use crate::task::Family;
pub use env::Env;

/// A task set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskSet {
    /// Generated here, verified exactly.
    Builtin(Builtin),
}

impl TaskSet {
    /// The environment, of a set that is played.
    #[must_use]
    pub fn env(&self) -> Option<&Env> {
        None
    }

    /// The procedural tasks behind the set.
    #[must_use]
    pub fn builtin(&self) -> &Builtin {
        match self {
            Self::Builtin(builtin) => builtin,
        }
    }
}

/// A procedurally generated task set. Splits are disjoint by canonical problem: no test item is a reordering of a
/// training item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builtin {
    pub family: Family,
    /// Problems in the training split.
    pub train: u32,
    /// Problems that gates and controllers may read.
    pub val: u32,
    /// Sealed: read only by `finish`.
    pub test: u32,
    /// Training problems given with their answers (disjoint from `train` by prompt).
    #[serde(default)]
    pub demonstrations: u32,
    /// Solved examples put before every question; for base models that do not follow instructions yet.
    #[serde(default)]
    pub shots: u32,
}

impl Builtin {
    /// Problems in a split.
    #[must_use]
    pub fn size(&self, split: Split) -> u32 {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
            Split::Demonstrations => self.demonstrations,
        }
    }
}

/// A part of a task set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Val,
    Test,
    Demonstrations,
}

impl Split {
    /// The name, as written in a recipe and in task keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::Demonstrations => "demonstrations",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
