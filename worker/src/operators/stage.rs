//! The shapes of operators: what one must see before it can say what becomes of a record. Every operator is one of them, so that what
//! applies it decides alone how many records are in memory.

use std::fmt;
use std::path::Path;

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::verify::Dropout;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use galapagos_domain::tree::TreeNode;

use super::error::OperatorError;
use crate::engine::Codec;

/// Records, one after another.
pub type Records<'a> = Box<dyn Iterator<Item = Result<Trajectory, OperatorError>> + 'a>;

/// Trees, one after another: the nodes of each, the root first.
pub type Trees<'a> = Box<dyn Iterator<Item = Result<Vec<TreeNode>, OperatorError>> + 'a>;

/// What operators read beside the records at hand.
pub trait Sources {
    /// The records of another dataset, and how many they are.
    ///
    /// # Errors
    /// [`OperatorError::NoDataset`], or that it cannot be read.
    fn dataset(&self, name: &Name) -> Result<(u64, Records<'_>), OperatorError>;

    /// The search trees behind the dataset.
    ///
    /// # Errors
    /// That they cannot be read.
    fn trees(&self) -> Result<Trees<'_>, OperatorError>;
}

/// Asks a record's task whether the record is right.
pub trait Reverify {
    /// Whether it passes this time; `time` counts from 0 and is what chance may depend on.
    ///
    /// # Errors
    /// [`OperatorError::Reverify`] if nobody can say.
    fn passes(&self, record: &Trajectory, time: u32) -> Result<bool, OperatorError>;
}

/// Asks roles which of two answers is better.
pub trait Estimate {
    /// Of each text what `role` says behind it under masks: the probability of class 1, mask after mask; `None` of a text that it cannot
    /// read. A role that reads no few-shot prefix is given the text without its first `prefix` tokens.
    ///
    /// # Errors
    /// [`OperatorError::Certainty`] if it cannot be asked.
    fn under_masks(
        &self,
        role: &Name,
        texts: Vec<Joined>,
        dropout: Dropout,
    ) -> Result<Vec<Option<Vec<f64>>>, OperatorError>;
}

/// Two answers to a question, as a role reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub tokens: Vec<u32>,
    /// Of them those of the few-shot prefix, which come first.
    pub prefix: usize,
    /// What masks are drawn from.
    pub seed: Seed,
}

/// Knows the environments of episodes.
pub trait Again {
    /// The failed episode as if it had wanted what it reached, with its return under `gamma`; `None` if it reached nothing that its
    /// environment can call a goal.
    ///
    /// # Errors
    /// [`OperatorError::Hindsight`] if the environment does not state what was reached, or the episode cannot be played again.
    fn as_if_meant(&self, record: &Trajectory, gamma: f64) -> Result<Option<Trajectory>, OperatorError>;
}

/// What operators may use.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub sources: &'a dyn Sources,
    /// Writes the texts that operators insert.
    pub text: Option<&'a dyn Codec>,
    pub rules: Option<&'a dyn Reverify>,
    pub worlds: Option<&'a dyn Again>,
    pub estimators: Option<&'a dyn Estimate>,
    /// Where scratch files may lie; without it everything stays in memory.
    pub scratch: Option<&'a Path>,
}

impl fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").field("text", &self.text).field("rules", &self.rules.is_some()).finish_non_exhaustive()
    }
}

/// What became of a record.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and most hold a record")]
pub(super) enum Fate {
    Kept(Trajectory),
    Dropped,
    /// Dropped, since it has not the number that is asked for.
    Without,
}

/// By the record alone; the number is its place in what goes in.
pub(super) type Each<'a> = Box<dyn FnMut(u64, Trajectory) -> Result<Fate, OperatorError> + 'a>;

/// By all records of its kin. What comes out stands where the record at the place beside it stood, in the order given here.
pub(super) type Group<'a> = Box<dyn FnMut(Vec<Trajectory>) -> Result<Vec<(usize, Trajectory)>, OperatorError> + 'a>;

/// Instead of all records, those that a tree gives.
pub(super) type Fell<'a> = Box<dyn FnMut(&[TreeNode]) -> Result<Vec<Trajectory>, OperatorError> + 'a>;

/// By all records of the dataset: sees them once, then is given them again. Keeps little of each.
pub(super) trait Whole<'a> {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError>;
    fn settle(&mut self) -> Result<(), OperatorError>;
    fn give(&mut self, number: u64, record: Trajectory) -> Result<Fate, OperatorError>;
    /// Records that come behind.
    fn more(&mut self) -> Result<Records<'a>, OperatorError> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// What the records have in common that an operator sees together, beside their task set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    Task,
    /// What the policy is asked, behind the few-shot prefix: tasks of two splits may ask the same.
    Question,
}

impl Kin {
    /// A name of what the record shares with its kin, which differs at each depth.
    pub(super) fn name(self, record: &Trajectory, depth: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&depth.to_le_bytes()).update(record.task_set.as_str().as_bytes()).update(b"/");
        match self {
            Self::Task => {
                hasher.update(record.task.as_bytes());
            }
            Self::Question => {
                for token in record.prompt_tokens.iter().skip(record.prefix_len as usize) {
                    hasher.update(&token.to_le_bytes());
                }
            }
        }
        *hasher.finalize().as_bytes()
    }
}

/// An operator, ready.
pub(super) enum Stage<'a> {
    Each(Each<'a>),
    Kin(Kin, Group<'a>),
    Whole(Box<dyn Whole<'a> + 'a>),
    Trees(Fell<'a>),
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Each(_) => "Each",
            Self::Kin(Kin::Task, _) => "Task",
            Self::Kin(Kin::Question, _) => "Question",
            Self::Whole(_) => "Whole",
            Self::Trees(_) => "Trees",
        })
    }
}

/// A group that only chooses: which places stay.
pub(super) fn chosen(rows: Vec<Trajectory>, stays: impl Fn(usize) -> bool) -> Vec<(usize, Trajectory)> {
    rows.into_iter().enumerate().filter(|(place, _)| stays(*place)).collect()
}
