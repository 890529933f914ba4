//! Steps of a solution as code: does the last one run?
//!
//! The answer comes from the process that runs the steps, so code that sets out to can lie about it. It is a filter for steps
//! that do not run, not proof that they are right.

use serde_json::{Value, json};

use super::session::{Heard, Session, text};
use super::{Budget, Grade};
use crate::error::SandboxError;
use crate::pool::Pool;

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    Ran,
    /// It raised, or is no Python, or ended its process: the text says which.
    Raised(String),
    TimedOut,
}

/// Runs steps one after the other in one process, with the names of the steps before, until one does not run. The result has
/// an end for each step up to and with that one.
///
/// # Errors
/// If the sandbox fails, or there are no steps.
pub fn steps(pool: &Pool, steps: &[String], budget: Budget) -> Result<Vec<StepEnd>, SandboxError> {
    super::some_tests(steps.len())?;
    let mut session = Session::open(pool, &json!({"do": "steps", "steps": steps}), budget)?;
    let mut ends = Vec::with_capacity(steps.len());
    for _ in steps {
        let end = match session.hear()? {
            Heard::Answer(answer, _) if answer.get("step") == Some(&Value::from("ok")) => StepEnd::Ran,
            Heard::Answer(answer, _) => StepEnd::Raised(answer.get("text").map_or_else(String::new, text)),
            Heard::End(Grade::Timeout, _) => StepEnd::TimedOut,
            Heard::End(_, why) => {
                ends.push(StepEnd::Raised(session.close(why)));
                break;
            }
        };
        let more = end == StepEnd::Ran;
        ends.push(end);
        if !more {
            break;
        }
    }
    Ok(ends)
}
