//! Verdicts on programs that cannot be forged by them: what is expected never enters a sandbox that runs a solution.
//!
//! Four checks: [`inputs`] (standard input and output), [`calls`] (functions with values), [`asserts`] (a test program in a
//! sandbox of its own, to which the solution's functions are lent) and [`steps`] (did a step raise). All are graded alike. A
//! solution can say what it likes in place of its results, which helps it as little as printing a wrong answer would. An
//! [`Err`](SandboxError) is never about the solution.

mod asserts;
mod calls;
mod inputs;
mod session;
mod steps;
mod values;

pub use asserts::{Asserts, asserts};
pub use calls::{CallTest, calls};
pub use inputs::{Comparison, InputTest, inputs, inputs_native};
pub use steps::{StepEnd, steps};
pub use values::{Tolerance, same};

use crate::error::SandboxError;

/// How good a program is, from worst to best but for `Timeout`, which stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// It is no program of its language.
    CompileError,
    /// It raised, crashed, ended before it answered, or used more memory or output than it may.
    RuntimeError,
    /// It answered, and wrongly.
    Failed,
    Passed,
    /// It did not answer in time.
    Timeout,
}

/// A verdict on a solution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// That of the first test that did not pass.
    pub grade: Grade,
    pub passed: usize,
    pub total: usize,
    /// About the first test that did not pass; empty if all did. Holds no expected value.
    pub detail: String,
}

impl Outcome {
    /// Share of tests that passed, from 0 to 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.passed as f64 / self.total as f64 }
    }

    /// A solution that no test ran on.
    fn nothing_ran(grade: Grade, total: usize, detail: String) -> Self {
        Self { grade, passed: 0, total, detail }
    }

    /// Sums up tests, of which the last may be missing because nothing ran after one that ended the solution.
    fn of(tests: Vec<(Grade, String)>, total: usize) -> Self {
        let passed = tests.iter().filter(|(grade, _)| *grade == Grade::Passed).count();
        let first = tests.into_iter().find(|(grade, _)| *grade != Grade::Passed);
        let (grade, detail) = first.unwrap_or((Grade::Passed, String::new()));
        Self { grade, passed, total, detail }
    }
}

/// Time on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For the whole check, in milliseconds.
    pub wall_ms: u64,
    /// For one test.
    pub each_ms: u64,
}

impl Default for Budget {
    /// 10 s for all, 5 s for one.
    fn default() -> Self {
        Self { wall_ms: 10_000, each_ms: 5_000 }
    }
}

/// Refuses to call something passed that nothing was asked of.
fn some_tests(count: usize) -> Result<(), SandboxError> {
    if count == 0 { Err(SandboxError::Check { what: "it has no tests".to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_test_that_did_not_pass_decides() {
        let tests = vec![
            (Grade::Passed, String::new()),
            (Grade::RuntimeError, "one".to_owned()),
            (Grade::Failed, "two".to_owned()),
            (Grade::Passed, String::new()),
        ];
        let outcome = Outcome::of(tests, 5);
        assert_eq!((outcome.grade, outcome.passed, outcome.detail.as_str()), (Grade::RuntimeError, 2, "one"));
        assert!((outcome.fraction() - 0.4).abs() < 1e-12);
        assert_eq!(Outcome::of(vec![(Grade::Passed, String::new())], 1).grade, Grade::Passed);
    }
}
