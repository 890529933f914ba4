//! Lineage: a member's ancestors, each with the round, the data and the tournaments that made it what it is.

use serde::{Deserialize, Serialize};

use super::view::Ladder;
use crate::ids::{Digest, MemberId};
use crate::member::Member;

/// A member and its ancestors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    pub member: MemberId,
    /// The member itself, then its ancestors, nearest first; each once.
    pub line: Vec<Ancestor>,
}

/// One member of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ancestor {
    pub member: Member,
    /// What its round read, by the recipe step that made it.
    pub datasets: Vec<DatasetOrigin>,
    /// The tournaments it stood in, with the recipe step's path.
    pub tournaments: Vec<(String, Ladder)>,
}

/// Where a dataset came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetOrigin {
    /// `g1/correct`: phase and name of the recipe step.
    pub step: String,
    pub files: Vec<Digest>,
    pub records: u64,
}
