//! Arithmetic with its working: a short expression of + - * is reduced line by line, `a op b = c` each.
//!
//! A line is right if `a op b` stands in the expression, may be computed next, and is `c`. What may be computed next: `*` always; `+` and
//! `-` where no `*` is beside them and no `-` before them. The last line decides an answer; lines can be checked one by one.

mod begun;
mod shape;

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub(super) use begun::begin;
pub use shape::Shape;

use super::countdown::Operator;
use super::{Draft, check};
use crate::trajectory::{Outcome, Verdict};

/// A chain of whole numbers with + - * between them. Never empty; operators are one fewer than numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    numbers: Vec<i64>,
    operators: Vec<Operator>,
}

/// Why a line of working is not right, or a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Not of the form.
    #[error("a line is `a op b = c` with op one of + - *, for example `12 + 30 = 42`; read {read:?}")]
    Form {
        /// What was read, cut short.
        read: String,
    },
    /// `a op b` does not stand there.
    #[error("`{asked}` does not stand in `{expression}`")]
    Absent {
        /// The left side of the line.
        asked: String,
        /// What there is.
        expression: String,
    },
    /// `a op b` stands there, but something else comes first.
    #[error("`{asked}` may not be computed yet in `{expression}`")]
    Early {
        /// The left side of the line.
        asked: String,
        /// What there is.
        expression: String,
    },
    /// Another result.
    #[error("`{asked}` is not {read}")]
    Wrong {
        /// The left side of the line.
        asked: String,
        /// The line's result.
        read: i64,
    },
}

/// Most numbers of an expression that is read.
const MOST_NUMBERS: usize = 32;

impl Expression {
    /// Reads `12 + 3 * 4`; numbers may be negative.
    ///
    /// # Errors
    /// [`StepError::Form`].
    pub fn parse(text: &str) -> Result<Self, StepError> {
        let bad = || StepError::Form { read: check::clip(text) };
        let (mut numbers, mut operators) = (Vec::new(), Vec::new());
        let mut rest = text.trim();
        loop {
            let minus = usize::from(rest.starts_with('-'));
            let digits = rest[minus..].chars().take_while(char::is_ascii_digit).count();
            numbers.push(rest[..minus + digits].parse().map_err(|_| bad())?);
            rest = rest[minus + digits..].trim_start();
            let Some(sign) = rest.chars().next() else { break };
            operators.push(Operator::of(sign).filter(|operator| *operator != Operator::Over).ok_or_else(bad)?);
            rest = rest[sign.len_utf8()..].trim_start();
            if numbers.len() == MOST_NUMBERS {
                return Err(bad());
            }
        }
        Ok(Self { numbers, operators })
    }

    /// The number, once nothing is left to compute.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self.numbers[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Lines that are still needed.
    #[must_use]
    pub fn lines_left(&self) -> usize {
        self.operators.len()
    }

    /// The expression after one line of working.
    ///
    /// # Errors
    /// [`StepError`] says what is wrong with the line.
    pub fn step(&self, line: &str) -> Result<Self, StepError> {
        let bad = || StepError::Form { read: check::clip(line) };
        let (left, right) = line.split_once('=').ok_or_else(bad)?;
        let read: i64 = right.trim().trim_end_matches('.').parse().map_err(|_| bad())?;
        let asked = Self::parse(left).map_err(|_| bad())?;
        let ([a, b], [operator]) = (&asked.numbers[..], &asked.operators[..]) else { return Err(bad()) };
        let stands = |at: &usize| self.numbers[*at..].starts_with(&[*a, *b]) && self.operators[*at] == *operator;
        let places: Vec<usize> = (0..self.operators.len()).filter(stands).collect();
        let (asked, expression) = (asked.to_string(), self.to_string());
        if places.is_empty() {
            return Err(StepError::Absent { asked, expression });
        }
        let Some(at) = places.into_iter().find(|at| self.is_next(*at)) else {
            return Err(StepError::Early { asked, expression });
        };
        match compute(*a, *operator, *b) {
            Some(value) if value == read => Ok(self.reduced(at, value)),
            Some(_) | None => Err(StepError::Wrong { asked, read }),
        }
    }

    /// The line that comes next when products go first and sums from the left; `None` when nothing is left or numbers grow beyond
    /// 64 bits.
    #[must_use]
    pub fn next_line(&self) -> Option<String> {
        self.next_operation().map(|(at, value)| format!("{} = {value}", self.operation(at)))
    }

    /// Where the next operation stands, and its result.
    fn next_operation(&self) -> Option<(usize, i64)> {
        let product = self.operators.iter().position(|operator| *operator == Operator::Times);
        let at = product.or_else(|| (!self.operators.is_empty()).then_some(0))?;
        compute(self.numbers[at], self.operators[at], self.numbers[at + 1]).map(|value| (at, value))
    }

    fn operation(&self, at: usize) -> String {
        format!("{} {} {}", self.numbers[at], self.operators[at].sign(), self.numbers[at + 1])
    }

    /// The whole working and the value.
    #[must_use]
    pub fn worked(&self) -> Option<(Vec<String>, i64)> {
        let (mut lines, mut now) = (Vec::new(), self.clone());
        while now.number().is_none() {
            let line = now.next_line()?;
            now = now.step(&line).ok()?;
            lines.push(line);
        }
        Some((lines, now.number()?))
    }

    /// Equal for two expressions that differ in the order of terms and factors only.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut terms: Vec<(bool, Vec<i64>)> = vec![(false, vec![self.numbers[0]])];
        for (operator, number) in self.operators.iter().zip(&self.numbers[1..]) {
            match (operator, terms.last_mut()) {
                (Operator::Times, Some(last)) => last.1.push(*number),
                _ => terms.push((*operator == Operator::Minus, vec![*number])),
            }
        }
        terms.iter_mut().for_each(|term| term.1.sort_unstable());
        terms.sort();
        let sign = |minus: bool| if minus { '-' } else { '+' };
        let product = |factors: &[i64]| factors.iter().map(i64::to_string).collect::<Vec<_>>().join("*");
        terms.iter().map(|(minus, factors)| format!("{}{}", sign(*minus), product(factors))).collect()
    }

    /// An expression whose working never goes below 0. `None` if the shape is out of range.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Option<Self> {
        if !shape.faults().is_empty() {
            return None;
        }
        loop {
            let drawn = Self::draft(rng, shape);
            let mut now = drawn.clone();
            while let Some(next) = now.next_line().and_then(|line| now.step(&line).ok()) {
                now = next;
                if now.numbers.iter().any(|number| *number < 0) {
                    break;
                }
            }
            if now.number().is_some_and(|value| value >= 0) {
                return Some(drawn);
            }
        }
    }

    fn draft(rng: &mut ChaCha8Rng, shape: Shape) -> Self {
        let count = rng.random_range(shape.count.0..=shape.count.1) as usize;
        let number = |rng: &mut ChaCha8Rng| {
            let digits = rng.random_range(shape.digits.0..=shape.digits.1);
            let least = if digits == 1 { 1 } else { 10i64.pow(digits - 1) };
            rng.random_range(least..10i64.pow(digits))
        };
        let (mut numbers, mut operators) = (vec![number(rng)], Vec::new());
        while numbers.len() < count {
            // At most one factor after a number keeps results short.
            let after_product = operators.last() == Some(&Operator::Times);
            if shape.products && !after_product && rng.random_range(0..4) == 0 {
                operators.push(Operator::Times);
                numbers.push(rng.random_range(2..=9));
            } else {
                operators.push(if rng.random_range(0..2) == 0 { Operator::Plus } else { Operator::Minus });
                numbers.push(number(rng));
            }
        }
        Self { numbers, operators }
    }

    fn is_next(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map(|at| self.operators[at]);
        let after = self.operators.get(at + 1);
        match self.operators[at] {
            Operator::Times => true,
            Operator::Plus | Operator::Minus | Operator::Over => {
                matches!(before, None | Some(Operator::Plus)) && after != Some(&Operator::Times)
            }
        }
    }

    fn reduced(&self, at: usize, value: i64) -> Self {
        let mut next = self.clone();
        next.numbers[at] = value;
        next.numbers.remove(at + 1);
        next.operators.remove(at);
        next
    }
}

fn compute(a: i64, operator: Operator, b: i64) -> Option<i64> {
    match operator {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Times => a.checked_mul(b),
        Operator::Over => None,
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.numbers[0])?;
        let rest = self.operators.iter().zip(&self.numbers[1..]);
        rest.into_iter().try_for_each(|(operator, number)| write!(f, " {} {number}", operator.sign()))
    }
}

impl TryFrom<String> for Expression {
    type Error = StepError;

    fn try_from(text: String) -> Result<Self, StepError> {
        Self::parse(&text)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.to_string()
    }
}

/// Checks one line of working against the expression it starts from: the expression after it.
///
/// # Errors
/// [`StepError`], also when `expression` is none.
pub fn check_step(expression: &str, line: &str) -> Result<String, StepError> {
    Expression::parse(expression)?.step(line).map(|after| after.to_string())
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    loop {
        let drawn = Expression::draw(rng, shape);
        if let Some((drawn, (lines, _))) = drawn.and_then(|drawn| Some((drawn.clone(), drawn.worked()?))) {
            return Draft::question(&drawn.to_string(), &lines.join("\n"), drawn.canonical());
        }
    }
}

/// The last line that is not empty decides, by what stands behind its last `=`. The reason says how many lines before are right.
pub(super) fn verify(answer: &str, prompt: &str, completion: &str) -> Verdict {
    let last = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    let value = |line: String| line.rsplit('=').next().and_then(|part| part.trim().trim_end_matches('.').parse().ok());
    let right: Option<i64> = last(answer).and_then(value);
    let Some(read) = last(completion).and_then(value) else {
        return check::fail("the last line holds no result");
    };
    let outcome = if Some(read) == right { Outcome::Pass } else { Outcome::Fail };
    let working = match first_wrong_line(prompt, completion) {
        None => "all lines are right".to_owned(),
        Some((number, error)) => format!("line {number}: {error}"),
    };
    let compared =
        if outcome == Outcome::Pass { String::new() } else { format!(", not {}", right.unwrap_or_default()) };
    Verdict::new(outcome, format!("the result read is {read}{compared}; {working}"))
}

/// The expression of a prompt, whatever lines the prompt has begun.
pub(super) fn of_prompt(prompt: &str) -> Result<Expression, StepError> {
    let question = prompt.split_once("\nA:").map_or(prompt, |(question, _)| question);
    Expression::parse(question.trim_start_matches("Q:"))
}

/// Whether every line so far can be done.
pub(super) fn check_working(prompt: &str, so_far: &str) -> Verdict {
    match first_wrong_line(prompt, so_far) {
        None => Verdict::pass("all lines so far are right"),
        Some((number, error)) => check::fail(&format!("line {number}: {error}")),
    }
}

fn first_wrong_line(prompt: &str, completion: &str) -> Option<(usize, StepError)> {
    let mut now = match of_prompt(prompt) {
        Ok(expression) => expression,
        Err(error) => return Some((0, error)),
    };
    for (at, line) in completion.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        match now.step(line) {
            Ok(next) => now = next,
            Err(error) => return Some((at + 1, error)),
        }
    }
    None
}

#[cfg(test)]
mod tests;
