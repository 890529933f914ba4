//! A search for programs at test time: what passes the tests that a task shows is refined, and where nothing passes, what failed is repaired,
//! both where a critic says (CodeRL's critic sampling, arXiv 2207.01780).

use serde::{Deserialize, Serialize};

use super::super::verify::Verifier;
use super::propose::{Propose, Unit};
use super::written::Write;

/// `propose.n` answers, tested; then in each round others, out of those that pass or else out of those that fail, tested too. What passes
/// and the critic ranks first is the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticSampling {
    pub propose: Propose,
    /// What says on the way whether an answer passes.
    pub tests: Verifier,
    /// What scores an answer, and what was written of it up to a step.
    pub critic: Verifier,
    /// What a step of an answer is: it may be cut behind each but the last.
    #[serde(default = "line")]
    pub unit: Unit,
    /// Where some pass.
    #[serde(default)]
    pub refine: Option<Seeds>,
    /// Where none passes.
    #[serde(default)]
    pub repair: Option<Repair>,
    #[serde(default = "one")]
    pub rounds: u32,
}

/// Answers that pass are cut where the critic's score is highest, and what stands before is gone on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Most answers of a round that are cut: those with the highest score where they are cut.
    pub seeds: u32,
    /// Continuations of each.
    pub n: u32,
}

/// Answers that fail are written anew by somebody who reads what went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// Most answers of a round that are repaired: those with the highest score.
    pub programs: u32,
    /// Repaired forms of each.
    #[serde(default = "one")]
    pub n: u32,
    /// Template with `{prompt}`, `{answer}`, `{error}`.
    pub write: Write,
}

impl CriticSampling {
    /// Most answers that a round adds, and most tokens of them, where the policy writes at most `longest` for one.
    pub(super) fn most_of_round(&self, longest: u64) -> (u64, u64) {
        let refined = self.refine.map_or(0, |refine| u64::from(refine.seeds) * u64::from(refine.n));
        let (repaired, each) = self.repair.as_ref().map_or((0, 0), |repair| {
            (u64::from(repair.programs) * u64::from(repair.n), u64::from(repair.write.max_tokens))
        });
        (refined.max(repaired), (refined * longest).max(repaired * each))
    }
}

fn line() -> Unit {
    Unit::Line
}

fn one() -> u32 {
    1
}
