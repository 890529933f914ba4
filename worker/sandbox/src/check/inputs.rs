//! Programs that read standard input and write standard output, compared here.

use serde_json::{Map, Value, json};

use super::session::{Heard, Session, not_loaded};
use super::values::{Tolerance, close};
use super::{Budget, Grade, Outcome, some_tests};
use crate::error::SandboxError;
use crate::layer::Layer;
use crate::plan::Limits;
use crate::pool::Pool;
use crate::sandbox::{End, Program, Sandbox};

/// What goes in and what should come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputTest {
    pub input: String,
    pub expected: String,
}

/// When two outputs are the same.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Comparison {
    /// Byte for byte.
    Exact,
    /// But for white space at the ends of lines and empty lines at the end.
    #[default]
    Trimmed,
    /// As words; those that are numbers on both sides may differ by this.
    Words(Tolerance),
}

impl Comparison {
    fn same(self, expected: &str, got: &str) -> bool {
        match self {
            Self::Exact => expected == got,
            Self::Trimmed => trimmed(expected) == trimmed(got),
            Self::Words(tolerance) => {
                let (mut expected, mut got) = (expected.split_whitespace(), got.split_whitespace());
                loop {
                    match (expected.next(), got.next()) {
                        (None, None) => return true,
                        (Some(a), Some(b)) if a == b => {}
                        (Some(a), Some(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
                            (Ok(a), Ok(b)) if close(a, b, tolerance) => {}
                            _ => return false,
                        },
                        _ => return false,
                    }
                }
            }
        }
    }
}

fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Runs the Python program `code` once for each test, each time in a new process of one sandbox.
///
/// # Errors
/// If the sandbox fails, there are no tests, or the host's layers forbid new processes (seccomp without a PID namespace).
pub fn inputs(
    pool: &Pool,
    code: &str,
    tests: &[InputTest],
    comparison: Comparison,
    budget: Budget,
) -> Result<Outcome, SandboxError> {
    some_tests(tests.len())?;
    let available = pool.sandbox().probe().available();
    if available.contains(&Layer::Seccomp) && !available.contains(&Layer::PidNamespace) {
        let what =
            "programs with input run in processes of their own, which seccomp forbids where pid_namespace is missing";
        return Err(SandboxError::Check { what: what.to_owned() });
    }
    let texts: Vec<&str> = tests.iter().map(|test| test.input.as_str()).collect();
    let most = pool.sandbox().limits().output_bytes;
    let request =
        json!({"do": "inputs", "code": code, "inputs": texts, "each_ms": budget.each_ms, "output_bytes": most});
    let mut session = Session::open(pool, &request, budget)?;
    match session.hear_long()? {
        Heard::Answer(answer, _) => {
            if let Some((grade, why)) = not_loaded(&answer) {
                return Ok(Outcome::nothing_ran(grade, tests.len(), why));
            }
        }
        Heard::End(grade, why) => return Ok(Outcome::nothing_ran(grade, tests.len(), session.close(why))),
    }
    let mut graded = Vec::with_capacity(tests.len());
    for test in tests {
        match session.hear_long()? {
            Heard::Answer(answer, _) => graded.push(grade(&answer, test, comparison)),
            Heard::End(grade, why) => {
                graded.push((grade, session.close(why)));
                break;
            }
        }
    }
    Ok(Outcome::of(graded, tests.len()))
}

fn grade(answer: &Map<String, Value>, test: &InputTest, comparison: Comparison) -> (Grade, String) {
    let flag = |name: &str| answer.get(name) == Some(&Value::Bool(true));
    if flag("late") {
        return (Grade::Timeout, "it did not end in time".to_owned());
    }
    if flag("too_much") {
        return (Grade::RuntimeError, "it wrote more than it may".to_owned());
    }
    match (answer.get("code").and_then(Value::as_i64), answer.get("output").and_then(Value::as_str)) {
        (Some(0), Some(output)) => judged(output, test, comparison),
        (Some(79), _) => (Grade::RuntimeError, "it ran out of memory".to_owned()),
        (Some(code), _) if code < 0 => (Grade::RuntimeError, format!("it ended by signal {}", -code)),
        (Some(code), _) => (Grade::RuntimeError, format!("it ended with exit code {code}")),
        (None, _) => (Grade::RuntimeError, "it gave no output".to_owned()),
    }
}

fn judged(output: &str, test: &InputTest, comparison: Comparison) -> (Grade, String) {
    if comparison.same(&test.expected, output) {
        (Grade::Passed, String::new())
    } else {
        (Grade::Failed, format!("it wrote {:?}", output.chars().take(200).collect::<String>()))
    }
}

/// The same for an executable file of this machine, each run in a sandbox of its own.
///
/// # Errors
/// If the sandbox fails, or there are no tests.
pub fn inputs_native(
    sandbox: &Sandbox,
    executable: &[u8],
    tests: &[InputTest],
    comparison: Comparison,
    budget: Budget,
) -> Result<Outcome, SandboxError> {
    some_tests(tests.len())?;
    let mut left_ms = budget.wall_ms;
    let mut graded = Vec::with_capacity(tests.len());
    for test in tests {
        let input = test.input.clone().into_bytes();
        let program = Program::Native { executable: executable.to_vec(), arguments: Vec::new(), input };
        let wall_ms = budget.each_ms.min(left_ms);
        let report = sandbox.run(&program, &Limits { wall_ms, ..*sandbox.limits() })?;
        left_ms = left_ms.saturating_sub(report.wall_ms);
        graded.push(match report.end {
            End::Exited { code: 0 } => judged(&String::from_utf8_lossy(&report.out), test, comparison),
            End::Exited { code } => (Grade::RuntimeError, format!("it ended with exit code {code}")),
            End::Signalled { signal } => (Grade::RuntimeError, format!("it ended by signal {signal}")),
            End::OutOfMemory => (Grade::RuntimeError, "it ran out of memory".to_owned()),
            End::OutputCapped => (Grade::RuntimeError, "it wrote more than it may".to_owned()),
            End::TimedOut => (Grade::Timeout, "it did not end in time".to_owned()),
        });
        if left_ms == 0 {
            break;
        }
    }
    let all = graded.len() == tests.len();
    let mut outcome = Outcome::of(graded, tests.len());
    if !all && outcome.grade == Grade::Passed {
        (outcome.grade, outcome.detail) = (Grade::Timeout, "the tests did not end in time".to_owned());
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_compared_as_asked() {
        assert!(Comparison::Trimmed.same("1 2\n3\n", "1 2  \n3\n\n\n"));
        assert!(!Comparison::Trimmed.same("1 2\n3\n", "1 2\n\n3\n"));
        assert!(!Comparison::Exact.same("1\n", "1"));
        let about = Comparison::Words(Tolerance { absolute: 1e-6, relative: 0.0 });
        assert!(about.same("0.3333333 yes", "0.3333334\nyes"));
        assert!(!about.same("0.3333 yes", "0.4 yes"));
        assert!(!about.same("1 2", "1"));
        assert!(!about.same("yes", "no"));
    }

    #[test]
    fn answers_that_are_no_results_are_runtime_errors() {
        let test = InputTest { input: String::new(), expected: "1".to_owned() };
        let of = |answer: Value| grade(answer.as_object().unwrap(), &test, Comparison::Trimmed).0;
        assert_eq!(of(json!({"code": 0, "output": "1\n"})), Grade::Passed);
        assert_eq!(of(json!({"code": 0, "output": "2\n"})), Grade::Failed);
        assert_eq!(of(json!({"code": 1, "output": "1\n"})), Grade::RuntimeError);
        assert_eq!(of(json!({"code": 0, "late": true, "output": "1\n"})), Grade::Timeout);
        assert_eq!(of(json!({"passed": true})), Grade::RuntimeError);
    }
}
