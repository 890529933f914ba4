//! Programs against the tests that their task brings, in the sandbox. Graded: no program of its language, raised, answered wrongly,
//! passed; the score is the share of tests that passed. What went wrong with the sandbox is an error and says nothing about the program.

use std::sync::Arc;

use galapagos_domain::recipe::verify::UnitTests;
use galapagos_domain::task::dataset::ProgramTests;
use galapagos_domain::trajectory::{Outcome, ProgramClass, Verdict};
use galapagos_telemetry::ErrorChain;

use crate::code::Code;
use crate::sandbox::check::{
    self, Asserts, Budget, CallTest, Comparison, Grade, InputTest, Tolerance, asserts, calls, inputs,
};
use crate::sandbox::{Pool, SandboxError};

/// A program to be tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    pub program: String,
    pub tests: Arc<ProgramTests>,
    pub options: UnitTests,
}

/// The verifier with its version.
pub const BY: &str = "unit_tests/1";

/// Runs of a program that gave no verdict on it.
const TRIES: u32 = 2;

/// The Python in what a policy wrote: of the first fenced block, or all of it without one.
#[must_use]
pub fn code(text: &str) -> String {
    fenced(text).unwrap_or_else(|| text.to_owned())
}

fn fenced(text: &str) -> Option<String> {
    let (_, fenced) = text.split_once("```")?;
    let body = fenced.split_once('\n').map_or("", |(_, body)| body);
    Some(body.split_once("```").map_or(body, |(code, _)| code).to_owned())
}

/// The program in a completion. A fenced one is whole; other text goes on from the question if the recipe says so.
#[must_use]
pub fn program(options: UnitTests, prompt: &str, completion: &str) -> String {
    match fenced(completion) {
        Some(program) => program,
        None if options.behind_prompt => format!("{prompt}{completion}"),
        None => completion.to_owned(),
    }
}

/// The verdict on a program; blocks until its tests have run. A program that did not answer in time is tried once more: the machine may
/// have been busy.
#[must_use]
pub fn decide(code: &Code, tested: &Tested) -> Verdict {
    let mut verdict = Verdict::new(Outcome::Error, "nothing was tried");
    for _ in 0..TRIES {
        verdict = match code.pool() {
            Ok(pool) => run(&pool, tested)
                .map_or_else(|error| Verdict::new(Outcome::Error, ErrorChain::new(&error).to_string()), graded),
            Err(error) => return Verdict::new(Outcome::Error, error.to_string()).by(BY),
        };
        if verdict.outcome.is_decided() {
            break;
        }
    }
    verdict.by(BY)
}

fn run(pool: &Pool, tested: &Tested) -> Result<check::Outcome, SandboxError> {
    let Tested { program, tests, options } = tested;
    let budget = Budget { each_ms: u64::from(options.seconds) * 1000, wall_ms: u64::from(options.all_seconds) * 1000 };
    match &**tests {
        ProgramTests::Asserts { programs, names } => {
            let tests = Asserts { programs: programs.clone(), names: names.clone() };
            asserts(pool, program, &tests, budget)
        }
        ProgramTests::Inputs(tests) => {
            let test = |test: &galapagos_domain::task::dataset::InputTest| InputTest {
                input: test.input.clone(),
                expected: test.expected.clone(),
            };
            let tests: Vec<InputTest> = tests.iter().map(test).collect();
            inputs(pool, program, &tests, Comparison::Trimmed, budget)
        }
        ProgramTests::Calls(tests) => {
            let test = |test: &galapagos_domain::task::dataset::CallTest| CallTest {
                function: test.function.clone(),
                arguments: test.arguments.clone(),
                named: test.named.clone(),
                expected: test.expected.clone(),
            };
            let tests: Vec<CallTest> = tests.iter().map(test).collect();
            calls(pool, program, &tests, Tolerance::default(), budget)
        }
    }
}

fn graded(outcome: check::Outcome) -> Verdict {
    let tests = format!("{} of {} tests passed", outcome.passed, outcome.total);
    let said = |grade: &str| format!("{grade}, {tests}: {}", outcome.detail);
    let verdict = match outcome.grade {
        Grade::Passed => Verdict::pass(tests).graded(ProgramClass::Passed),
        Grade::CompileError => Verdict::fail(said("compile error")).graded(ProgramClass::CompileError),
        Grade::RuntimeError => Verdict::fail(said("runtime error")).graded(ProgramClass::RuntimeError),
        Grade::Failed => Verdict::fail(said("failed")).graded(ProgramClass::FailedTest),
        Grade::Timeout => return Verdict::new(Outcome::Timeout, said("no answer in time")),
    };
    // Whether a program passes its tests is not guessed.
    Verdict { confidence: Some(1.0), ..verdict.scored(outcome.fraction() as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_stands_between_fences() {
        assert_eq!(code("# add\nx = 1\n"), "# add\nx = 1\n");
        assert_eq!(code("First add.\n```python\nx = 1\n```\n"), "x = 1\n");
        assert_eq!(code("```python\nx = 1"), "x = 1");
        assert_eq!(code("nothing ```"), "");
    }

    #[test]
    fn a_completion_goes_on_from_its_question_if_it_is_not_whole() {
        let options = |behind_prompt| UnitTests { seconds: 5, all_seconds: 30, behind_prompt, examples: None };
        assert_eq!(program(options(false), "def f():", " return 1"), " return 1");
        assert_eq!(program(options(true), "def f():", " return 1"), "def f(): return 1");
        assert_eq!(program(options(true), "def f():", "```\ndef f(): return 2\n```"), "def f(): return 2\n");
    }

    #[test]
    fn grades_become_verdicts_with_the_share_of_tests() {
        let of = |grade| graded(check::Outcome { grade, passed: 1, total: 4, detail: "why".to_owned() });
        let failed = of(Grade::RuntimeError);
        assert_eq!((failed.outcome, failed.score), (Outcome::Fail, Some(0.25)));
        assert_eq!(failed.reason, "runtime error, 1 of 4 tests passed: why");
        let classes =
            [Grade::CompileError, Grade::RuntimeError, Grade::Failed, Grade::Passed].map(|grade| of(grade).class);
        assert_eq!(classes, [Some(0), Some(1), Some(2), Some(3)]);
        let late = of(Grade::Timeout);
        assert_eq!((late.outcome, late.score), (Outcome::Timeout, None), "a timeout is no zero");
        assert_eq!(late.class, None, "nor a class");
    }
}
