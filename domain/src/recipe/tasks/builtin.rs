//! A set of generated problems: which, how many, and how they are shown and demonstrated.

use serde::{Deserialize, Serialize};

use super::Split;
use crate::task::{Family, longest_begun, longest_taken_back};

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
    /// How demonstrations are worked. Says nothing of what passes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub style: Style,
    /// When demonstrated searches take a dead end back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub taken_back: TakenBack,
    /// What the prompts of all problems have begun already. Solved examples before them are not begun.
    #[serde(default, skip_serializing_if = "is_default")]
    pub begun: Begun,
}

/// What is not written is the default, so that recipes from before a field was there keep their digests.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How demonstrations are worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Without a detour.
    #[default]
    Direct,
    /// Without a detour, to a wrong end.
    Wrong,
    /// With dead ends that are taken back, and a check at the end.
    Search,
    /// As `search`, to a wrong end.
    WrongSearch,
    /// Without a detour, behind dots: as long as `search`.
    Filler,
}

impl Style {
    /// The word in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Wrong => "wrong",
            Self::Search => "search",
            Self::WrongSearch => "wrong_search",
            Self::Filler => "filler",
        }
    }
}

/// When a demonstrated search takes a dead end back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenBack {
    /// As soon as the target is out of reach, which who wrote it knows.
    #[default]
    AtOnce,
    /// Once it was worked to its wrong end, where everyone sees that it is one.
    WhenPlayed,
}

impl TakenBack {
    /// The word in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::WhenPlayed => "when_played",
        }
    }
}

/// What a prompt has begun already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begun {
    /// Nothing.
    #[default]
    None,
    /// So many wrong lines of the working.
    WrongSteps(u32),
}

impl Builtin {
    /// An empty set of the family.
    #[must_use]
    pub fn of(family: Family) -> Self {
        Self {
            family,
            train: 0,
            val: 0,
            test: 0,
            demonstrations: 0,
            shots: 0,
            style: Style::default(),
            taken_back: TakenBack::default(),
            begun: Begun::default(),
        }
    }

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

    /// Longest useful completion in tokens, the terminator counted.
    #[must_use]
    pub fn max_tokens(&self) -> u32 {
        self.family.max_tokens() + self.longest_begun().1 + longest_taken_back(self.family, self.taken_back)
    }

    /// Characters of the longest sequence: few-shot prefix, prompt, completion.
    #[must_use]
    pub fn longest_sequence(&self) -> u64 {
        let (prompt, answer) = self.family.longest();
        u64::from(self.shots) * u64::from(prompt + answer + 1)
            + u64::from(prompt + self.longest_begun().0 + self.max_tokens())
    }

    /// Characters that begun lines add to a prompt and to an answer.
    fn longest_begun(&self) -> (u32, u32) {
        match self.begun {
            Begun::None => (0, 0),
            Begun::WrongSteps(_) => longest_begun(self.family),
        }
    }
}
