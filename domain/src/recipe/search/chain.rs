//! Searches without branches: samples of which one is chosen, answers that are looked at again, and several speakers.

use serde::{Deserialize, Serialize};

use super::super::verify::Verifier;
use super::propose::{Propose, Unit};
use super::tree::Evaluate;

/// Of `propose.n` answers the one that the evaluators rank first; ties go to the earliest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOfN {
    pub propose: Propose,
    /// Asked at every answer; their weighted values are added.
    pub by: Vec<Evaluate>,
}

/// Of `propose.n` answers one of the class with the most votes; what counts as the same answer says the task's rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    pub propose: Propose,
    #[serde(default)]
    pub by: Ballot,
}

/// What an answer's vote weighs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ballot {
    /// 1.
    #[default]
    Majority,
    /// What a verifier gives its steps, put together; votes of a class are added. `unit` says what a step of an answer is.
    Weighted {
        verifier: Verifier,
        steps: Pool,
        #[serde(default)]
        unit: Unit,
    },
}

/// How the scores of steps become the score of their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    Sum,
    Mean,
    Product,
    Min,
    Last,
}

/// Budgets that grow: when one is spent or an answer came, `trigger` is added and the policy goes on (iterative deepening).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdSampling {
    pub propose: Propose,
    /// Tokens of the first budget.
    pub first: u32,
    /// Each budget is so many times the one before.
    #[serde(default = "twice")]
    pub factor: f64,
    /// Tokens in all.
    pub most: u32,
    /// What is added behind each budget but the last.
    pub trigger: String,
}

fn twice() -> f64 {
    2.0
}

/// Several answers to one task, one after the other, with an instruction between them (SCoRe: two).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiTurn {
    pub propose: Propose,
    pub turns: u32,
    /// What is put between two answers.
    pub instruction: String,
    #[serde(default)]
    pub judge: JudgedTurns,
}

/// Which answers of several turns the task's rule judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedTurns {
    /// The last one alone, as the recipe's verifiers do.
    #[default]
    Last,
    /// Each by itself: the value of its turn is the rule's score, else 1 for a pass and 0 for a fail.
    Every,
}

/// Answer, feedback, better answer (SELF).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefineLoop {
    pub propose: Propose,
    /// Refinements at most.
    pub rounds: u32,
    /// What asks for feedback behind an answer.
    pub feedback: String,
    /// What asks for a better answer behind the feedback.
    pub revise: String,
    /// No further round once this is read in a feedback.
    #[serde(default)]
    pub content: Option<String>,
}

/// `propose.n` debates: in every round each speaker answers, having read what the others said in the round before. Each speaker's last
/// answer is a trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debate {
    pub propose: Propose,
    pub speakers: u32,
    pub rounds: u32,
    /// Put before what each of the others said.
    pub others: String,
    /// Put before a speaker's next answer.
    pub again: String,
}
