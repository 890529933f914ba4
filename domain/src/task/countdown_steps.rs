//! Countdown with its working: `24: 3 5 9` is answered line by line, `3*5=15`, `15+9=24`. An operation takes two numbers from the pool
//! and puts its result back, by the rules of [`countdown`](super::countdown); the last number left must be the target.
//!
//! A policy may search in its answer: `undo` takes the last operation back, `check` says nothing, and lines of dots are passed over. Lines
//! are replayed exactly: the first that cannot be done fails the answer.

mod styles;

use rand_chacha::ChaCha8Rng;

pub(super) use styles::{Asked, Ending, begin, filler, search, wrong};

use super::countdown::{Countdown, Shape, Step, StepError};
use super::{Draft, Problem, check, shape};
use crate::trajectory::{Outcome, Verdict};

/// Takes the last operation back.
pub(super) const UNDO: &str = "undo";
/// Says nothing: that the policy looks at what it has.
pub(super) const CHECK: &str = "check";

/// Why a line of working cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not of the form.
    #[error("a line is `a op b = c` with op one of + - * /, `undo`, `check` or dots; read {read:?}")]
    Form {
        /// What was read, cut short.
        read: String,
    },
    /// No step of the pool.
    #[error(transparent)]
    Step(StepError),
    /// Another result.
    #[error("{step} is {right}, not {read}")]
    Result {
        /// The left side.
        step: String,
        /// The line's result.
        read: u32,
        /// What it is.
        right: u32,
    },
    /// Nothing is left to take back.
    #[error("there is no operation to undo")]
    Start,
}

/// The numbers that are left, after each operation that was not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Working {
    given: Vec<u32>,
    after: Vec<Vec<u32>>,
}

impl Working {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(given: Vec<u32>) -> Self {
        Self { given, after: Vec::new() }
    }

    /// What is left.
    #[must_use]
    pub fn pool(&self) -> &[u32] {
        self.after.last().unwrap_or(&self.given)
    }

    /// Operations that stand.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.after.len()
    }

    /// Does what a line says.
    ///
    /// # Errors
    /// [`LineError`]; the working stays as it is.
    pub fn line(&mut self, line: &str) -> Result<(), LineError> {
        match line.trim() {
            UNDO => self.after.pop().map(|_| ()).ok_or(LineError::Start),
            CHECK => Ok(()),
            dots if dots.chars().all(|character| character == '.') => Ok(()),
            operation => {
                self.after.push(operate(self.pool(), operation)?);
                Ok(())
            }
        }
    }

    /// Does what all lines say.
    ///
    /// # Errors
    /// The first line that cannot be done, by its number from 1.
    pub fn lines(&mut self, text: &str) -> Result<(), (usize, LineError)> {
        text.lines().enumerate().try_for_each(|(at, line)| self.line(line).map_err(|error| (at + 1, error)))
    }
}

fn operate(pool: &[u32], operation: &str) -> Result<Vec<u32>, LineError> {
    let bad = || LineError::Form { read: check::clip(operation) };
    let (left, right) = operation.split_once('=').ok_or_else(bad)?;
    let read: u32 = right.trim().parse().map_err(|_| bad())?;
    let step = Step::parse(left).map_err(|_| bad())?;
    let after = step.take(pool).map_err(LineError::Step)?;
    match after.last() {
        Some(right) if *right != read => Err(LineError::Result { step: step.to_string(), read, right: *right }),
        Some(_) | None => Ok(after),
    }
}

/// A step as a line of working; its left side alone if it has no result.
pub(super) fn line(step: Step) -> String {
    let left = format!("{}{}{}", step.a, step.operator.sign(), step.b);
    match step.operator.apply(step.a, step.b) {
        Some(result) => format!("{left}={result}"),
        None => left,
    }
}

/// The instance of a prompt, and the working that stands in it.
#[must_use]
pub fn of_prompt(prompt: &str) -> Option<(Countdown, Working)> {
    let (question, begun) = prompt.split_once('\n')?;
    let (target, numbers) = question.split_once(": ")?;
    let numbers: Vec<u32> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let mut working = Working::new(numbers.clone());
    working.lines(begun).ok()?;
    Some((Countdown { numbers, target: target.parse().ok()? }, working))
}

/// The steps of a working that takes nothing back; lines of another kind are passed over.
pub(super) fn steps_of(answer: &str) -> Vec<Step> {
    answer.lines().filter_map(|line| Step::parse(line.split('=').next()?).ok()).collect()
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    loop {
        if let Some((instance, steps)) = Countdown::draw_steps(rng, shape) {
            let numbers: Vec<String> = instance.numbers.iter().map(u32::to_string).collect();
            return Draft {
                canonical: instance.canonical(),
                prompt: format!("{}: {}\n", instance.target, numbers.join(" ")),
                answer: steps.into_iter().map(line).collect::<Vec<_>>().join("\n"),
            };
        }
    }
}

/// Passes a working whose lines can all be done and that leaves the target alone.
pub(super) fn verify(problem: &Problem, completion: &str) -> Verdict {
    let Some((instance, mut working)) = of_prompt(&problem.prompt) else {
        return Verdict::new(Outcome::Error, format!("{} is no task of countdown_steps", problem.key));
    };
    if let Err((number, error)) = working.lines(completion) {
        return check::fail(&format!("line {number}: {error}"));
    }
    match working.pool() {
        [only] if *only == instance.target => Verdict::pass(format!("the working ends at {only}")),
        [only] => check::fail(&format!("the working ends at {only}, not {}", instance.target)),
        several => check::fail(&format!("{} numbers are left, not the target alone", several.len())),
    }
}

/// Whether every line so far can be done.
pub(super) fn check(problem: &Problem, so_far: &str) -> Verdict {
    let Some((_, mut working)) = of_prompt(&problem.prompt) else {
        return Verdict::new(Outcome::Error, format!("{} is no task of countdown_steps", problem.key));
    };
    match working.lines(so_far) {
        Ok(()) => Verdict::pass("all lines so far can be done"),
        Err((number, error)) => check::fail(&format!("line {number}: {error}")),
    }
}

/// The lines that stand after undoing, without space, checks and dots. An `undo` of what the prompt holds stands itself.
pub(super) fn read(completion: &str) -> Option<String> {
    let mut standing: Vec<String> = Vec::new();
    for line in completion.lines().map(|line| line.split_whitespace().collect::<String>()) {
        match line.as_str() {
            CHECK => {}
            dots if dots.chars().all(|character| character == '.') => {}
            UNDO if standing.last().is_some_and(|last| last != UNDO) => drop(standing.pop()),
            _ => standing.push(line),
        }
    }
    check::some(standing.join("\n"))
}

/// Characters of the longest line of working that stands at place `at` from 1: it has made one number of at most one more.
fn longest_line(shape: Shape, at: u32) -> u32 {
    let most = |numbers: u32| u64::from(shape.largest.saturating_pow(numbers));
    // The digits of two factors are at most one more than those of their product.
    2 * shape::digits(most(at + 1)) + 3
}

/// Most dead ends of a demonstrated search.
pub(super) const MOST_DEAD_ENDS: u32 = 3;

/// Characters of the longest prompt, of the longest answer that takes nothing back, and of the longest search.
pub(super) fn longest(shape: Shape) -> Longest {
    let shape = shape.or_default();
    let (target, numbers, _) = shape.longest(1);
    let operations = shape.count.1 - 1;
    let direct = (1..=operations).map(|at| longest_line(shape, at) + 1).sum::<u32>() - 1;
    let line = longest_line(shape, operations) + 1;
    let undo = UNDO.len() as u32 + 1;
    Longest {
        prompt: target + 2 + numbers + 1,
        direct,
        search: direct + MOST_DEAD_ENDS * (line + undo) + CHECK.len() as u32 + 1,
        played: MOST_DEAD_ENDS * (operations - 1) * (line + undo),
        begun: operations * line,
        taken_back: operations * undo,
    }
}

/// Characters of the longest texts of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Longest {
    pub prompt: u32,
    /// An answer without a detour.
    pub direct: u32,
    /// An answer with as many detours as demonstrations have.
    pub search: u32,
    /// More of an answer whose detours are worked to their wrong ends.
    pub played: u32,
    /// Lines that a prompt may hold already.
    pub begun: u32,
    /// The lines that take those back.
    pub taken_back: u32,
}

#[cfg(test)]
mod tests;
