//! Equality of mathematical answers in completions: finding the answer, comparing it, and saying whose fault it is if that fails. The
//! comparison itself is `verify::math`'s.

use super::{CheckError, Extract, Judgement, find};
use crate::verify::math::{Options, Outcome, Side, Undecided, equivalent};

/// Compares mathematical answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Math {
    pub extract: Vec<Extract>,
    pub options: Options,
}

impl Default for Math {
    fn default() -> Self {
        Self { extract: Extract::USUAL.to_vec(), options: Options::default() }
    }
}

impl Math {
    /// Whether the completion's answer is equivalent to the expected one. An answer that cannot be read, or has no value, is wrong.
    ///
    /// # Errors
    /// If the expected answer cannot be read or has no value; if the comparison is too large or too close to decide.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        let Some(found) = find(&self.extract, completion) else {
            return Ok(Judgement::wrong("", "the completion has no answer"));
        };
        let wanted = find(&[Extract::Boxed, Extract::Whole], expected).map_or("", |found| found.text);
        let compared = equivalent(wanted, found.text, &self.options);
        let reason = match compared.outcome {
            Outcome::Equal => return Ok(Judgement::right(compared.answer)),
            Outcome::Different => {
                return Ok(Judgement::wrong(compared.answer, format!("the expected answer is `{}`", compared.gold)));
            }
            Outcome::Undecided(reason) => reason,
        };
        match reason {
            Undecided::Unreadable { side: Side::Answer, .. } | Undecided::Undefined { side: Side::Answer, .. } => {
                // The expected answer is read first, so the fault is not hidden by the other side's.
                if let Outcome::Undecided(fault @ (Undecided::Unreadable { .. } | Undecided::Undefined { .. })) =
                    equivalent(wanted, "0", &self.options).outcome
                {
                    return Err(CheckError::expected(expected, format!("a mathematical answer: {fault}")));
                }
                Ok(Judgement::wrong(compared.answer, reason.to_string()))
            }
            Undecided::Unreadable { side: Side::Gold, .. } | Undecided::Undefined { side: Side::Gold, .. } => {
                Err(CheckError::expected(expected, format!("a mathematical answer: {reason}")))
            }
            _ => Err(CheckError::Undecided { expected: expected.to_owned(), read: compared.answer, source: reason }),
        }
    }
}
