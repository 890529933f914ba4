//! Calls with values: the solution's sandbox gets function names and arguments; what they should return stays here.

use serde_json::{Map, Value, json};

use super::session::{Heard, Session, not_loaded, raised};
use super::values::{Tolerance, same};
use super::{Budget, Grade, Outcome, some_tests};
use crate::error::SandboxError;
use crate::pool::Pool;

/// One call and its value. Values are JSON, with what JSON lacks as [`same`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct CallTest {
    pub function: String,
    pub arguments: Vec<Value>,
    pub named: Map<String, Value>,
    pub expected: Value,
}

/// Calls functions of the Python program `code`, one after the other in one process, and compares what they return.
///
/// # Errors
/// If the sandbox fails, or there are no tests.
pub fn calls(
    pool: &Pool,
    code: &str,
    tests: &[CallTest],
    tolerance: Tolerance,
    budget: Budget,
) -> Result<Outcome, SandboxError> {
    some_tests(tests.len())?;
    let asked: Vec<Value> = tests
        .iter()
        .map(|test| json!({"function": test.function, "arguments": test.arguments, "named": test.named}))
        .collect();
    let mut session = Session::open(pool, &json!({"do": "calls", "code": code, "calls": asked}), budget)?;
    match session.hear()? {
        Heard::Answer(answer, _) => {
            if let Some((grade, why)) = not_loaded(&answer) {
                return Ok(Outcome::nothing_ran(grade, tests.len(), why));
            }
        }
        Heard::End(grade, why) => return Ok(Outcome::nothing_ran(grade, tests.len(), session.close(why))),
    }
    let mut graded = Vec::with_capacity(tests.len());
    for test in tests {
        match session.hear()? {
            Heard::Answer(answer, _) => graded.push(match answer.get("value") {
                Some(value) if same(&test.expected, value, tolerance) => (Grade::Passed, String::new()),
                Some(value) => (Grade::Failed, format!("{} returned {}", test.function, shown(value))),
                None => raised(&answer),
            }),
            Heard::End(grade, why) => {
                graded.push((grade, session.close(why)));
                break;
            }
        }
    }
    Ok(Outcome::of(graded, tests.len()))
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
