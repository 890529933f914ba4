//! Countdown: reach a target from three or four numbers with + - * /. Rules, generator and exact solver.
//!
//! An answer in one go is an ordinary expression that uses every number once; it is evaluated exactly, in fractions. Step by
//! step, `a op b` takes two numbers from the pool and puts their result back; a step's result must be whole and not negative.
//! Every generated instance is solvable under the stricter rule of the steps, so under both.

mod expression;
mod steps;

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use expression::{ExpressionError, Fraction, evaluate};
pub use steps::{Step, moves, solution, solve, step, steps};

use super::shape::{self, ShapeFault};
use super::{Draft, Problem, check};
use crate::trajectory::{Outcome, Verdict};

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countdown {
    /// In the order they are shown.
    pub numbers: Vec<u32>,
    /// What to reach.
    pub target: u32,
}

/// An operator of expressions and steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

impl Operator {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Plus, Self::Minus, Self::Times, Self::Over];

    /// Its sign.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Plus => '+',
            Self::Minus => '-',
            Self::Times => '*',
            Self::Over => '/',
        }
    }

    /// The operator of a sign; `×`, `x` and `÷` are read too.
    #[must_use]
    pub fn of(sign: char) -> Option<Self> {
        match sign {
            '+' => Some(Self::Plus),
            '-' | '−' => Some(Self::Minus),
            '*' | '×' | 'x' => Some(Self::Times),
            '/' | '÷' => Some(Self::Over),
            _ => None,
        }
    }

    /// The result as a step may have it: whole, not negative, below 2^32.
    #[must_use]
    pub fn apply(self, a: u32, b: u32) -> Option<u32> {
        match self {
            Self::Plus => a.checked_add(b),
            Self::Minus => a.checked_sub(b),
            Self::Times => a.checked_mul(b),
            Self::Over => (b != 0 && a.is_multiple_of(b)).then(|| a / b),
        }
    }
}

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most numbers, 2 to 5.
    pub count: (u32, u32),
    /// Largest number that is given, 3 to 1000.
    pub largest: u32,
    /// Largest target, 10 to 10000.
    #[serde(alias = "largest_target")]
    pub target: u32,
    /// Whether problems are made, and searches demonstrated, with `*` and `/` too, and not with `+` and `-` alone. An answer may use all four in any case.
    pub products: bool,
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { count: (3, 4), largest: 50, target: 100, products: true };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::range("count", self.count, &(2..=5)),
            shape::whole("largest", self.largest, &(3..=1000)),
            shape::whole("target", self.target, &(10..=10_000)),
        ];
        faults.into_iter().flatten().collect()
    }

    /// What problems are made with.
    pub(super) fn operators(self) -> &'static [Operator] {
        if self.products { &Operator::ALL } else { &Operator::ALL[..2] }
    }

    /// The shape, or the default if it is out of range.
    pub(super) fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Characters of the longest target, of the longest list of numbers with `between` characters between two, and of the longest
    /// expression.
    pub(super) fn longest(self, between: u32) -> (u32, u32, u32) {
        let Self { count: (_, count), largest, target, .. } = self.or_default();
        let numbers = count * shape::digits(largest.into());
        // One operation fewer than numbers; all but the last may stand in brackets.
        let expression = numbers + (count - 1) + 2 * count.saturating_sub(2);
        (shape::digits(target.into()), numbers + between * (count - 1), expression)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why an answer in one go is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No value.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// Other numbers than those given.
    #[error("it uses {used}, not each of {given} once")]
    Numbers {
        /// In the order of use.
        used: String,
        /// As shown.
        given: String,
    },
    /// Another value.
    #[error("it is {value}, not {target}")]
    Value {
        /// Exact.
        value: Fraction,
        /// What was asked for.
        target: u32,
    },
}

/// Why a step cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Not of the form.
    #[error("a step is `a op b` with op one of + - * /, for example `7 * 3`")]
    Form,
    /// A number that is not there, or not twice.
    #[error("{number} is not among {pool}")]
    Missing {
        /// The number.
        number: u32,
        /// What there is.
        pool: String,
    },
    /// A result that steps may not have.
    #[error("{a} {sign} {b} gives no whole number from 0 up")]
    Result {
        /// Left.
        a: u32,
        /// The operator.
        sign: char,
        /// Right.
        b: u32,
    },
}

impl Countdown {
    /// An instance, solvable by construction: numbers are drawn and combined at random until the result fits. `None` if the shape is
    /// out of range.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Option<(Self, String)> {
        Self::combined(rng, shape).map(|(instance, combined)| (instance, combined.expression))
    }

    /// [`Countdown::draw`] with steps that reach the target.
    #[must_use]
    pub fn draw_steps(rng: &mut ChaCha8Rng, shape: Shape) -> Option<(Self, Vec<Step>)> {
        Self::combined(rng, shape).map(|(instance, combined)| (instance, combined.steps))
    }

    fn combined(rng: &mut ChaCha8Rng, shape: Shape) -> Option<(Self, Combined)> {
        if !shape.faults().is_empty() {
            return None;
        }
        let (fewest, most) = shape.count;
        loop {
            let count = rng.random_range(fewest..=most);
            let numbers: Vec<u32> = (0..count).map(|_| rng.random_range(1..=shape.largest)).collect();
            let Some(combined) = combine(rng, &numbers, shape.operators()) else { continue };
            let target = combined.target;
            if (1..=shape.target).contains(&target) && !numbers.contains(&target) {
                return Some((Self { numbers, target }, combined));
            }
        }
    }

    /// Equal for two instances that differ in the order of their numbers only.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable();
        format!("{} = {}", list(&sorted), self.target)
    }

    /// The instance of a canonical form.
    #[must_use]
    pub fn of_canonical(text: &str) -> Option<Self> {
        let (numbers, target) = text.split_once(" = ")?;
        let numbers = numbers.split(", ").map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { numbers, target: target.parse().ok()? })
    }

    /// Whether `text` is an expression of the target's value that uses every number once. A trailing `= target` is allowed.
    ///
    /// # Errors
    /// [`AnswerError`] says what is wrong with it.
    pub fn check(&self, text: &str) -> Result<(), AnswerError> {
        let text = text.split_once('=').map_or(text, |(left, _)| left);
        let (value, mut used) = evaluate(text)?;
        let shown = list(&used);
        let mut given: Vec<u64> = self.numbers.iter().copied().map(u64::from).collect();
        used.sort_unstable();
        given.sort_unstable();
        if used != given {
            return Err(AnswerError::Numbers { used: shown, given: list(&self.numbers) });
        }
        if value == Fraction::whole(i64::from(self.target)) {
            Ok(())
        } else {
            Err(AnswerError::Value { value, target: self.target })
        }
    }

    /// Steps that reach the target from the numbers by the rule of the steps, if there are any: exact, by brute force.
    #[must_use]
    pub fn solve(&self) -> Option<Vec<String>> {
        solve(&self.numbers, self.target)
    }
}

/// All numbers of an instance, made one.
struct Combined {
    target: u32,
    expression: String,
    steps: Vec<Step>,
}

/// Combines all numbers by random steps with these operators.
fn combine(rng: &mut ChaCha8Rng, numbers: &[u32], operators: &[Operator]) -> Option<Combined> {
    let mut steps = Vec::new();
    let mut pool: Vec<(u32, String, u8)> = numbers.iter().map(|n| (*n, n.to_string(), 3)).collect();
    while pool.len() > 1 {
        let a = pool.swap_remove(rng.random_range(0..pool.len()));
        let b = pool.swap_remove(rng.random_range(0..pool.len()));
        let operator = operators[rng.random_range(0..operators.len())];
        let value = operator.apply(a.0, b.0)?;
        steps.push(Step { a: a.0, operator, b: b.0 });
        // How tightly the operator binds; the right side of `-` and `/` must bind more tightly still.
        let (binds, right) = match operator {
            Operator::Plus => (1, 1),
            Operator::Minus => (1, 2),
            Operator::Times => (2, 2),
            Operator::Over => (2, 3),
        };
        let left = bracket(&a.1, a.2 < binds);
        let right = bracket(&b.1, b.2 < right);
        pool.push((value, format!("{left}{}{right}", operator.sign()), binds));
    }
    pool.pop().map(|(target, expression, _)| Combined { target, expression, steps })
}

fn bracket(text: &str, needed: bool) -> String {
    if needed { format!("({text})") } else { text.to_owned() }
}

fn list<T: fmt::Display>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Countdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Make {} from {}", self.target, list(&self.numbers))
    }
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    loop {
        if let Some((instance, solution)) = Countdown::draw(rng, shape) {
            return Draft::question(&instance.to_string(), &solution, instance.canonical());
        }
    }
}

/// Passes any expression that uses the numbers and has the value.
pub(super) fn verify(problem: &Problem, completion: &str) -> Verdict {
    let Some(instance) = Countdown::of_canonical(&problem.canonical) else {
        let reason = format!("{} is no task of countdown", problem.key);
        return Verdict::new(Outcome::Error, reason);
    };
    match instance.check(completion) {
        Ok(()) => check::pass(&check::clip(completion.trim())),
        Err(error) => check::fail(&format!("{error}; read {:?}", check::clip(completion.trim()))),
    }
}

#[cfg(test)]
mod tests;
