//! Jobs of `propose`: some write questions and refuse what cannot be used, a last one puts together what they kept.

use serde::{Deserialize, Serialize};

use super::{Sampling, TaskSlice};
use crate::artifact::ArtifactRef;
use crate::ids::{Digest, Name};

/// A share of the questions that a role writes, or what all shares come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposeSpec {
    pub policy: Digest,
    /// What the new set is called.
    pub set: Name,
    /// The set whose training questions are shown; without indices.
    pub tasks: TaskSlice,
    /// The splits that no question may come from; without indices.
    pub held_out: Vec<TaskSlice>,
    /// Training questions that are shown each time.
    pub seeds: u32,
    pub sampling: Sampling,
    /// Most questions that are kept of all shares.
    pub n: u32,
    /// How keys of the new tasks begin: two generations share none.
    pub keys: String,
    pub part: ProposePart,
}

/// What a job of `propose` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposePart {
    /// Writes the questions of these numbers, the last one not counted. Question i draws from a stream of its own number.
    Write { from: u32, to: u32 },
    /// Takes what these tables hold, in order, each question once, up to `n`.
    Gather(Vec<ArtifactRef>),
}

/// What became of the questions that a role wrote. Whatever is not kept is counted under the first reason that holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sifted {
    /// Written.
    pub tries: u64,
    /// No question of the kind.
    pub malformed: u64,
    /// Equal to a training question.
    pub known: u64,
    /// Of the part of the space that is validated and tested on, or equal to a held-out question.
    pub held_out: u64,
    /// Written before.
    pub repeated: u64,
    /// Good, and more than were asked for.
    pub surplus: u64,
    pub kept: u64,
    /// The first that was malformed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl Sifted {
    /// What all shares come to: their refusals, and of the job that gathered them what it kept and refused.
    #[must_use]
    pub fn sum<'a>(shares: impl Iterator<Item = &'a Self>, gathered: Option<&Self>) -> Self {
        let mut sum = Self::default();
        for share in shares {
            sum.tries += share.tries;
            sum.malformed += share.malformed;
            sum.known += share.known;
            sum.held_out += share.held_out;
            sum.kept += share.kept;
            sum.example = sum.example.take().or_else(|| share.example.clone());
        }
        if let Some(Self { repeated, surplus, kept, .. }) = gathered {
            (sum.repeated, sum.surplus, sum.kept) = (*repeated, *surplus, *kept);
        }
        sum
    }

    /// Whether every question that was written, or taken from tables of `drawn` questions, is accounted for.
    #[must_use]
    pub fn adds_up(&self, drawn: u64) -> bool {
        self.malformed + self.known + self.held_out + self.repeated + self.surplus + self.kept == drawn
    }

    /// The refusals that were, in words; empty if there were none.
    #[must_use]
    pub fn refusals(&self) -> String {
        let counts = [
            (self.malformed, "malformed"),
            (self.known, "known"),
            (self.held_out, "held out"),
            (self.repeated, "repeated"),
            (self.surplus, "surplus"),
        ];
        let there = counts.into_iter().filter(|(count, _)| *count > 0);
        there.map(|(count, what)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_added_up_and_the_gathering_says_what_is_kept() {
        let example = Some("\"35>\": too short".to_owned());
        let one = Sifted { tries: 10, malformed: 2, known: 1, held_out: 3, kept: 4, ..Sifted::default() };
        let two = Sifted { tries: 6, malformed: 1, kept: 5, example: example.clone(), ..Sifted::default() };
        assert!(one.adds_up(10) && two.adds_up(6) && !two.adds_up(7));
        assert_eq!(Sifted::sum([&one, &two].into_iter(), None).kept, 9);
        let gathered = Sifted { repeated: 2, surplus: 1, kept: 6, ..Sifted::default() };
        assert!(gathered.adds_up(9));
        let all = Sifted::sum([&one, &two].into_iter(), Some(&gathered));
        let right =
            Sifted { tries: 16, malformed: 3, known: 1, held_out: 3, repeated: 2, surplus: 1, kept: 6, example };
        assert_eq!(all, right);
        assert!(all.adds_up(16));
        assert_eq!(all.refusals(), "malformed 3, known 1, held out 3, repeated 2, surplus 1");
        assert_eq!(Sifted { tries: 3, kept: 3, ..Sifted::default() }.refusals(), "");
    }
}
