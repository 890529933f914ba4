//! Countdown: reach a target from three or four numbers with + - * /. Rules, generator and exact solver.
//!
//! An answer in one go is an ordinary expression that uses every number once; it is evaluated exactly, in fractions. Step by
//! step, `a op b` takes two numbers from the pool and puts their result back; a step's result must be whole and not negative.
//! Every generated instance is solvable under the stricter rule of the steps, so under both.

mod expression;

use std::collections::BTreeSet;
use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use expression::{ExpressionError, Fraction, evaluate};

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
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { count: (3, 4), largest: 50, target: 100 };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::range("count", self.count, &(2..=5)),
            shape::whole("largest", self.largest, &(3..=1000)),
            shape::whole("target", self.target, &(10..=10_000)),
        ];
        faults.into_iter().flatten().collect()
    }

    /// The shape, or the default if it is out of range.
    pub(super) fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Characters of the longest target, of the longest list of numbers with `between` characters between two, and of the longest
    /// expression.
    pub(super) fn longest(self, between: u32) -> (u32, u32, u32) {
        let Self { count: (_, count), largest, target } = self.or_default();
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
        if !shape.faults().is_empty() {
            return None;
        }
        let (fewest, most) = shape.count;
        loop {
            let count = rng.random_range(fewest..=most);
            let numbers: Vec<u32> = (0..count).map(|_| rng.random_range(1..=shape.largest)).collect();
            let Some((target, solution)) = combine(rng, &numbers) else { continue };
            if (1..=shape.target).contains(&target) && !numbers.contains(&target) {
                return Some((Self { numbers, target }, solution));
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

/// The pool after the step `text`; a trailing `= c` is ignored.
///
/// # Errors
/// [`StepError`] says why it cannot be done; the pool stays as it is.
pub fn step(pool: &[u32], text: &str) -> Result<Vec<u32>, StepError> {
    let text = text.split_once('=').map_or(text, |(left, _)| left).trim();
    let at = text.char_indices().skip(1).find(|(_, sign)| Operator::of(*sign).is_some());
    let (place, sign) = at.ok_or(StepError::Form)?;
    let operator = Operator::of(sign).ok_or(StepError::Form)?;
    let number = |part: &str| part.trim().parse::<u32>().map_err(|_| StepError::Form);
    let (a, b) = (number(&text[..place])?, number(&text[place + sign.len_utf8()..])?);
    let mut left = pool.to_vec();
    for number in [a, b] {
        let found = left.iter().position(|other| *other == number);
        left.remove(found.ok_or_else(|| StepError::Missing { number, pool: list(pool) })?);
    }
    let result = operator.apply(a, b).ok_or_else(|| StepError::Result { a, sign: operator.sign(), b })?;
    left.push(result);
    Ok(left)
}

/// All steps that can be done, without those that only swap the operands of + and *.
#[must_use]
pub fn steps(pool: &[u32]) -> Vec<String> {
    let mut all = BTreeSet::new();
    for (i, a) in pool.iter().enumerate() {
        for (j, b) in pool.iter().enumerate() {
            for operator in Operator::ALL {
                let swapped = matches!(operator, Operator::Plus | Operator::Times) && b > a;
                if i != j && !swapped && operator.apply(*a, *b).is_some() {
                    all.insert((*a, operator, *b));
                }
            }
        }
    }
    all.into_iter().map(|(a, operator, b)| format!("{a} {} {b}", operator.sign())).collect()
}

/// [`Countdown::solve`] from any pool.
#[must_use]
pub fn solve(pool: &[u32], target: u32) -> Option<Vec<String>> {
    if let [only] = pool {
        return (*only == target).then(Vec::new);
    }
    steps(pool).into_iter().find_map(|text| {
        let after = step(pool, &text).ok()?;
        let mut rest = solve(&after, target)?;
        rest.insert(0, text);
        Some(rest)
    })
}

/// Combines all numbers by random steps; the result and the expression.
fn combine(rng: &mut ChaCha8Rng, numbers: &[u32]) -> Option<(u32, String)> {
    let mut pool: Vec<(u32, String, u8)> = numbers.iter().map(|n| (*n, n.to_string(), 3)).collect();
    while pool.len() > 1 {
        let a = pool.swap_remove(rng.random_range(0..pool.len()));
        let b = pool.swap_remove(rng.random_range(0..pool.len()));
        let operator = Operator::ALL[rng.random_range(0..4)];
        let value = operator.apply(a.0, b.0)?;
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
    pool.pop().map(|(value, text, _)| (value, text))
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn answers_are_checked_exactly() {
        let game = Countdown { numbers: vec![1, 3, 4, 6], target: 24 };
        assert_eq!(game.check("6/(1-3/4)"), Ok(()), "needs fractions");
        assert_eq!(game.check(" 6 ÷ (1 − 3/4) = 24"), Ok(()));
        assert!(matches!(game.check("6*4"), Err(AnswerError::Numbers { .. })));
        assert!(matches!(game.check("6*4*1*3"), Err(AnswerError::Value { .. })));
        assert!(matches!(game.check("6/(3-4+1)"), Err(AnswerError::Expression(ExpressionError::ByZero))));
        assert_eq!(game.check("1+3+4+6").unwrap_err().to_string(), "it is 14, not 24");
        assert_eq!(game.check("13+4+6").unwrap_err().to_string(), "it uses 13, 4, 6, not each of 1, 3, 4, 6 once");
    }

    #[test]
    fn steps_take_two_numbers_and_put_one_back() {
        assert_eq!(step(&[2, 3, 7], "7 * 3"), Ok(vec![2, 21]));
        assert_eq!(step(&[2, 3, 7], "7-3 = 4"), Ok(vec![2, 4]));
        assert_eq!(step(&[2, 3], "2 - 3"), Err(StepError::Result { a: 2, sign: '-', b: 3 }));
        assert_eq!(step(&[2, 3], "3 / 2"), Err(StepError::Result { a: 3, sign: '/', b: 2 }));
        assert_eq!(step(&[2, 3], "2 + 2").unwrap_err().to_string(), "2 is not among 2, 3");
        for text in ["", "+", "2 +", "two + 3", "2 + 3 + 4", "é", "-"] {
            assert_eq!(step(&[2, 3], text), Err(StepError::Form), "{text:?}");
        }
        assert_eq!(
            steps(&[4, 2]),
            ["2 - 4"; 0].into_iter().chain(["4 + 2", "4 - 2", "4 * 2", "4 / 2"]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_solver_finds_what_is_there_and_nothing_else() {
        assert_eq!(solve(&[5], 5), Some(vec![]));
        let steps = solve(&[2, 3, 7], 42).unwrap();
        assert_eq!(steps.len(), 2, "{steps:?}");
        assert_eq!(solve(&[1, 1, 1], 50), None);
        assert_eq!(solve(&[1, 3, 4, 6], 24), None, "only by fractions");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn every_instance_is_solvable_and_its_solution_is_right(seed in 0u64..) {
            let (game, solution) = Countdown::draw(&mut Seed(seed).stream(), Shape::default()).unwrap();
            prop_assert_eq!(game.check(&solution), Ok(()), "{} by {}", game, solution);
            let mut pool = game.numbers.clone();
            for text in game.solve().expect("brute force finds a solution") {
                pool = step(&pool, &text).unwrap();
            }
            prop_assert_eq!(pool, vec![game.target]);
            let back = Countdown::of_canonical(&game.canonical()).unwrap();
            prop_assert_eq!(back.canonical(), game.canonical());
            prop_assert_eq!(back.target, game.target);
        }

        #[test]
        fn no_text_breaks_the_rules(text in "[-+*/()0-9 =x÷é]{0,40}") {
            let game = Countdown { numbers: vec![2, 3, 7], target: 42 };
            let _verdict = (game.check(&text), step(&game.numbers, &text));
        }
    }
}
