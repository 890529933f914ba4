//! Lineage: a member's ancestors, each with the round, the data and the tournaments that made it what it is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::evolution::Evolution;
use super::view::{Ladder, Summary};
use crate::ids::{Digest, MemberId};
use crate::member::{Member, Origin};

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

impl Evolution {
    /// A member and its ancestors, breadth first; `None` if there is no such member.
    #[must_use]
    pub fn lineage(&self, member: &MemberId) -> Option<Lineage> {
        let mut line: Vec<Ancestor> = Vec::new();
        let mut open: VecDeque<&Member> = VecDeque::from([self.member(member)?]);
        while let Some(next) = open.pop_front() {
            if line.iter().any(|known| known.member.id == next.id) {
                continue;
            }
            open.extend(next.parents.iter().filter_map(|parent| self.member(parent)));
            let (datasets, tournaments) = (self.datasets_of(next), self.tournaments_of(&next.id));
            line.push(Ancestor { member: next.clone(), datasets, tournaments });
        }
        Some(Lineage { member: member.clone(), line })
    }

    /// The recipe steps whose files a member's round read, in order of reading.
    fn datasets_of(&self, member: &Member) -> Vec<DatasetOrigin> {
        let (round, read) = match &member.origin {
            Origin::Trained { round, datasets, .. } => (round, datasets),
            Origin::Base { .. } => return Vec::new(),
        };
        // Files made after the round cannot have been read by it, even if their bytes are the same.
        let before = self.steps.iter().take_while(|run| run.work.round() != Some(round));
        let origins = before.filter_map(|run| {
            let files = &run.outcome.as_ref()?.dataset;
            let used = !files.is_empty() && files.iter().all(|file| read.contains(&file.digest));
            used.then(|| DatasetOrigin {
                step: run.path(),
                files: files.iter().map(|file| file.digest).collect(),
                records: files.iter().map(|file| file.rows).sum(),
            })
        });
        origins.collect()
    }

    /// The decided tournaments in which a member stood, with their recipe step's path.
    #[must_use]
    pub fn tournaments_of(&self, member: &MemberId) -> Vec<(String, Ladder)> {
        let stood = self.steps.iter().filter_map(|run| match &run.outcome.as_ref()?.summary {
            Summary::Tournament(ladder) if ladder.holder == *member || ladder.challenger == *member => {
                Some((run.path(), ladder.clone()))
            }
            Summary::Tournament(_)
            | Summary::Base { .. }
            | Summary::Rollout { .. }
            | Summary::Curate { .. }
            | Summary::Train { .. }
            | Summary::Evaluate { .. }
            | Summary::Control(_)
            | Summary::Propose { .. } => None,
        });
        stood.collect()
    }
}
