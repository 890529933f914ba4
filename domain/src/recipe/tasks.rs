//! Task sets: where problems come from and how many each split holds.

mod builtin;
pub mod env;
pub mod files;

use std::collections::BTreeSet;

use files::Files;
use serde::{Deserialize, Serialize};

use crate::image::{Patch, has_image};
use crate::task::TaskRule;
pub use builtin::{Begun, Builtin, Style, TakenBack};
pub use env::{BegunBy, Env};

/// A task set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskSet {
    /// Generated here, verified exactly.
    Builtin(Builtin),
    /// Read from data files.
    Files(Box<Files>),
    /// Instances of an environment, played turn by turn.
    Env(Box<Env>),
}

impl TaskSet {
    /// The environment, of a set that is played and not answered.
    #[must_use]
    pub fn env(&self) -> Option<&Env> {
        match self {
            Self::Builtin(_) | Self::Files(_) => None,
            Self::Env(env) => Some(env.as_ref()),
        }
    }

    /// The word that says in a recipe where the set comes from.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Builtin(_) => "builtin",
            Self::Files(_) => "files",
            Self::Env(_) => "env",
        }
    }

    /// What the problems are, in a word for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Builtin(builtin) => builtin.family.name(),
            Self::Files(files) => &files.path,
            Self::Env(env) => env.label(),
        }
    }

    /// Problems in a split.
    #[must_use]
    pub fn size(&self, split: Split) -> u32 {
        match self {
            Self::Builtin(builtin) => builtin.size(split),
            Self::Files(files) => {
                files.stored.as_ref().map_or(0, |stored| u32::try_from(stored.rows(split).rows).unwrap_or(u32::MAX))
            }
            Self::Env(env) => env.size(split),
        }
    }

    /// Solved examples before every question.
    #[must_use]
    pub fn shots(&self) -> u32 {
        match self {
            Self::Builtin(builtin) => builtin.shots,
            Self::Files(files) => files.shots,
            Self::Env(_) => 0,
        }
    }

    /// Whether its problems bring tests for programs.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        match self {
            Self::Builtin(_) | Self::Env(_) => false,
            Self::Files(files) => files.tests.is_some(),
        }
    }

    /// What the verifier `rule` asks.
    #[must_use]
    pub fn rule(&self) -> TaskRule {
        match self {
            Self::Builtin(builtin) => TaskRule::Family(builtin.family),
            Self::Files(files) => TaskRule::Check(Box::new(files.rule())),
            Self::Env(_) => TaskRule::Played,
        }
    }

    /// The character that ends a completion. None: the model's own end of text alone.
    #[must_use]
    pub fn terminator(&self) -> Option<char> {
        match self {
            Self::Builtin(builtin) => Some(builtin.family.terminator()),
            Self::Files(files) => files.end.0,
            Self::Env(_) => Some('\n'),
        }
    }

    /// Longest completion in tokens, the end counted, where a recipe step does not say it.
    #[must_use]
    pub fn max_tokens(&self) -> u32 {
        match self {
            Self::Builtin(builtin) => builtin.max_tokens(),
            Self::Files(files) => files.max_tokens(),
            Self::Env(env) => env.max_tokens,
        }
    }

    /// Whether its prompts hold images, which need a policy with a vision encoder.
    #[must_use]
    pub fn has_images(&self) -> bool {
        match self {
            Self::Builtin(builtin) => builtin.family.has_images(),
            Self::Files(files) => files.stored.as_ref().is_some_and(|stored| has_image(&stored.characters)),
            Self::Env(_) => false,
        }
    }

    /// Every character that a prompt, an answer or the terminator may hold, but for the patches of images.
    #[must_use]
    pub fn characters(&self) -> BTreeSet<char> {
        match self {
            Self::Builtin(builtin) => builtin.family.characters(),
            Self::Files(files) => {
                let text = files.stored.iter().flat_map(|stored| stored.characters.chars());
                let text = text.filter(|character| !Patch::is_code(u32::from(*character)));
                text.chain(files.end.0).collect()
            }
            Self::Env(env) => env.characters(),
        }
    }

    /// Characters of the longest sequence: few-shot prefix, prompt, completion.
    #[must_use]
    pub fn longest_sequence(&self) -> u64 {
        match self {
            Self::Builtin(builtin) => builtin.longest_sequence(),
            Self::Files(files) => {
                let longest = files.stored.as_ref().map(|stored| stored.longest).unwrap_or_default();
                u64::from(longest.prefix) + u64::from(longest.prompt) + u64::from(files.max_tokens())
            }
            Self::Env(env) => env.longest_sequence(),
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
