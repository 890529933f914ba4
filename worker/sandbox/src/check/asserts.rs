//! Test programs with assertions. The test runs in one sandbox, the solution in another; between them go values, and the worker
//! carries them. So the solution can touch neither the test nor its verdict, which bears a token that only the test's side knows.

use serde_json::{Map, Value, json};

use super::session::{Heard, Session, not_loaded, text};
use super::{Budget, Grade, Outcome, some_tests};
use crate::error::{SandboxError, While};
use crate::pool::Pool;

/// Test programs for one solution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asserts {
    /// Python programs; each is one test, and passes if it runs to its end. `AssertionError` is a wrong answer.
    pub programs: Vec<String>,
    /// What the tests may use of the solution; without it, every name that a test uses and neither defines nor is built in.
    pub names: Option<Vec<String>>,
}

/// Runs each test program against the functions of the Python program `code`.
///
/// Arguments and results cross as values; what is no plain value (an object of the solution's own class) is lent, and can be
/// called and asked for attributes and items, but is equal to itself alone. Lists, dictionaries and sets that a function changes
/// are changed for the test too.
///
/// # Errors
/// If the sandbox fails, or a test program is no Python, or passes what cannot cross, such as a function.
pub fn asserts(pool: &Pool, code: &str, tests: &Asserts, budget: Budget) -> Result<Outcome, SandboxError> {
    let total = tests.programs.len();
    some_tests(total)?;
    let mut solution = Session::open(pool, &json!({"do": "serve", "code": code}), budget)?;
    match solution.hear()? {
        Heard::Answer(answer, _) => {
            if let Some((grade, why)) = not_loaded(&answer) {
                return Ok(Outcome::nothing_ran(grade, total, why));
            }
        }
        Heard::End(grade, why) => return Ok(Outcome::nothing_ran(grade, total, solution.close(why))),
    }
    let token = token()?;
    let request = json!({"do": "assert", "programs": tests.programs, "names": tests.names, "token": token});
    let mut test = Session::open(pool, &request, budget)?;
    let mut graded = Vec::with_capacity(total);
    while graded.len() < total {
        match test.hear_long()? {
            Heard::Answer(mut said, _) => match said.remove("ask") {
                Some(question) => match answer(&mut solution, &question)? {
                    Ok(line) => test.say(&line),
                    Err(end) => {
                        let (grade, why) = end;
                        graded.push((grade, solution.close(why)));
                        break;
                    }
                },
                None => graded.push(verdict(&said, &token)?),
            },
            // The test's own code is at fault, or a value that the solution gave it.
            Heard::End(grade, why) => {
                graded.push((grade, format!("the test: {}", test.close(why))));
                break;
            }
        }
    }
    Ok(Outcome::of(graded, total))
}

/// Carries a question to the solution and its answer back.
fn answer(solution: &mut Session, question: &Value) -> Result<Result<Vec<u8>, (Grade, String)>, SandboxError> {
    solution.say(question.to_string().as_bytes());
    Ok(match solution.hear()? {
        Heard::Answer(_, line) => Ok(line),
        Heard::End(grade, why) => Err((grade, why)),
    })
}

fn verdict(said: &Map<String, Value>, token: &str) -> Result<(Grade, String), SandboxError> {
    if said.get("token").and_then(Value::as_str) != Some(token) {
        return Err(SandboxError::Harness { what: "a verdict without its token".to_owned() });
    }
    if let Some(error) = said.get("broken") {
        return Err(SandboxError::Check { what: format!("its test program is no Python: {}", text(error)) });
    }
    if let Some(error) = said.get("unsupported") {
        return Err(SandboxError::Check { what: text(error) });
    }
    if let Some(error) = said.get("failed") {
        return Ok((Grade::Failed, text(error)));
    }
    if let Some(error) = said.get("raised") {
        return Ok((Grade::RuntimeError, text(error)));
    }
    match said.get("passed") {
        Some(Value::Bool(true)) => Ok((Grade::Passed, String::new())),
        Some(_) | None => Err(SandboxError::Harness { what: "a verdict that says nothing".to_owned() }),
    }
}

/// 128 random bits that no solution can guess. No result depends on which they are.
fn token() -> Result<String, SandboxError> {
    let mut bytes = [0_u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).to("make a token")?;
    if filled == bytes.len() {
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    } else {
        Err(SandboxError::Harness { what: "the system gave too few random bytes".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_its_token() {
        let of = |said: Value| verdict(said.as_object().unwrap(), "t");
        assert_eq!(of(json!({"passed": true, "token": "t"})).unwrap().0, Grade::Passed);
        assert!(matches!(of(json!({"passed": true})), Err(SandboxError::Harness { .. })));
        assert!(matches!(of(json!({"passed": true, "token": "u"})), Err(SandboxError::Harness { .. })));
        assert!(matches!(of(json!({"token": "t"})), Err(SandboxError::Harness { .. })));
        assert_eq!(of(json!({"failed": "AssertionError", "token": "t"})).unwrap().0, Grade::Failed);
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert!(one.len() == 32 && one != other);
    }
}
