//! What the verifier `rule` asks: the checker that comes with a task set. One variant for each kind of source.

use super::Family;
use crate::recipe::verify::{UnitTests, Verifier};

/// The checker of a task set.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskRule {
    /// The exact checker of a procedural family.
    Family(Family),
    /// A checker of answers, or tests of programs: [`Verifier::checks_answers`] holds.
    Check(Box<Verifier>),
    /// None: the tasks are played, and their environment says what came of it.
    Played,
    /// None: nobody knows the answers. What would check them otherwise still says which answers are the same.
    Unanswered(Box<TaskRule>),
}

impl TaskRule {
    /// How programs are tested, if that is the rule.
    #[must_use]
    pub fn unit_tests(&self) -> Option<UnitTests> {
        match self {
            Self::Check(verifier) => match **verifier {
                Verifier::UnitTests(options) => Some(options),
                _ => None,
            },
            Self::Family(_) | Self::Played | Self::Unanswered(_) => None,
        }
    }

    /// Whether its verdicts tell [`ProgramClass`](crate::trajectory::ProgramClass)es apart.
    #[must_use]
    pub fn grades_programs(&self) -> bool {
        match self {
            Self::Family(family) => matches!(family, Family::ListProgram(_)),
            Self::Check(_) => self.unit_tests().is_some(),
            Self::Played | Self::Unanswered(_) => false,
        }
    }

    /// Whether code of models runs when it is asked.
    #[must_use]
    pub fn runs_code(&self) -> bool {
        match self {
            Self::Family(_) | Self::Played | Self::Unanswered(_) => false,
            Self::Check(verifier) => verifier.runs_code(),
        }
    }
}
