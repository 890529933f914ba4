//! What the verifier `rule` asks: the exact checker that comes with a task set. One variant for each kind of source that has one.

use super::{Family, Problem};
use crate::trajectory::{Outcome, Verdict};

/// The checker of a task set.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskRule {
    /// Of a procedural family.
    Family(Family),
    /// None: the tasks are played, and their environment says what came of it.
    Played,
}

impl TaskRule {
    /// Decides whether `completion` solves `problem`, and says what was read.
    #[must_use]
    pub fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        match self {
            Self::Family(family) => family.verify(problem, completion),
            Self::Played => {
                Verdict::new(Outcome::Error, "the task is played in an environment and has no answer; ask `env_return`")
            }
        }
    }

    /// What is read of a completion, in one form: completions with the same reading are the same answer. `None` if there is nothing
    /// to read.
    #[must_use]
    pub fn read(&self, completion: &str) -> Option<String> {
        match self {
            Self::Family(family) => family.read(completion),
            Self::Played => None,
        }
    }
}
