//! Steps of countdown: what can be done with a pool of numbers, and whether that still leads to the target. Exact, by brute force.

use std::collections::BTreeSet;
use std::fmt;

use super::{Operator, StepError, list};

/// `a op b` on two numbers of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// Left.
    pub a: u32,
    /// What is done.
    pub operator: Operator,
    /// Right.
    pub b: u32,
}

impl Step {
    /// Reads `a op b`.
    ///
    /// # Errors
    /// [`StepError::Form`].
    pub fn parse(text: &str) -> Result<Self, StepError> {
        let text = text.trim();
        let at = text.char_indices().skip(1).find(|(_, sign)| Operator::of(*sign).is_some());
        let (place, sign) = at.ok_or(StepError::Form)?;
        let operator = Operator::of(sign).ok_or(StepError::Form)?;
        let number = |part: &str| part.trim().parse::<u32>().map_err(|_| StepError::Form);
        Ok(Self { a: number(&text[..place])?, operator, b: number(&text[place + sign.len_utf8()..])? })
    }

    /// The pool after it: both numbers are gone, and the result stands last.
    ///
    /// # Errors
    /// [`StepError`] says why it cannot be done.
    pub fn take(self, pool: &[u32]) -> Result<Vec<u32>, StepError> {
        let Self { a, operator, b } = self;
        let mut left = pool.to_vec();
        for number in [a, b] {
            let found = left.iter().position(|other| *other == number);
            left.remove(found.ok_or_else(|| StepError::Missing { number, pool: list(pool) })?);
        }
        left.push(operator.apply(a, b).ok_or_else(|| StepError::Result { a, sign: operator.sign(), b })?);
        Ok(left)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.a, self.operator.sign(), self.b)
    }
}

/// The pool after the step `text`; a trailing `= c` is ignored.
///
/// # Errors
/// [`StepError`] says why it cannot be done; the pool stays as it is.
pub fn step(pool: &[u32], text: &str) -> Result<Vec<u32>, StepError> {
    Step::parse(text.split_once('=').map_or(text, |(left, _)| left))?.take(pool)
}

/// All steps that can be done, in order, without those that only swap the operands of + and *.
#[must_use]
pub fn moves(pool: &[u32]) -> BTreeSet<Step> {
    let mut all = BTreeSet::new();
    for (i, a) in pool.iter().enumerate() {
        for (j, b) in pool.iter().enumerate() {
            for operator in Operator::ALL {
                let swapped = matches!(operator, Operator::Plus | Operator::Times) && b > a;
                if i != j && !swapped && operator.apply(*a, *b).is_some() {
                    all.insert(Step { a: *a, operator, b: *b });
                }
            }
        }
    }
    all
}

/// [`moves`] as text.
#[must_use]
pub fn steps(pool: &[u32]) -> Vec<String> {
    moves(pool).iter().map(Step::to_string).collect()
}

/// The first steps that make the target of all numbers of the pool, if there are any.
#[must_use]
pub fn solution(pool: &[u32], target: u32) -> Option<Vec<Step>> {
    if let [only] = pool {
        return (*only == target).then(Vec::new);
    }
    moves(pool).into_iter().find_map(|step| {
        let mut rest = solution(&step.take(pool).ok()?, target)?;
        rest.insert(0, step);
        Some(rest)
    })
}

/// [`solution`] as text.
#[must_use]
pub fn solve(pool: &[u32], target: u32) -> Option<Vec<String>> {
    solution(pool, target).map(|steps| steps.iter().map(Step::to_string).collect())
}
