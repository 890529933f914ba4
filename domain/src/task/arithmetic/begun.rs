//! Workings that are begun wrong: plausible lines that a policy has to notice. Functions of the expression and a seed.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Expression, StepError, compute};

/// `wrong` lines, each wrong where it stands: the next operation with another result, from which the next line goes on; the last may
/// be an operation that does not come next, with its own result. Fewer if there are fewer operations.
pub(in super::super) fn begin(expression: &Expression, wrong: u32, rng: &mut ChaCha8Rng) -> Vec<String> {
    let (mut now, mut lines) = (expression.clone(), Vec::new());
    for left in (0..wrong).rev() {
        let early = if left == 0 && rng.random_range(0..2) == 0 { early(&now, rng) } else { None };
        let Some((at, value)) = now.next_operation() else { break };
        lines.push(early.unwrap_or_else(|| {
            let other = other(value, rng);
            let line = format!("{} = {other}", now.operation(at));
            now = now.reduced(at, other);
            line
        }));
    }
    lines
}

/// An operation that may not be computed yet, if there is one whose result is not negative.
fn early(now: &Expression, rng: &mut ChaCha8Rng) -> Option<String> {
    let line = |at: usize| {
        let value = compute(now.numbers[at], now.operators[at], now.numbers[at + 1])?;
        let line = format!("{} = {value}", now.operation(at));
        let is_early = matches!(now.step(&line), Err(StepError::Early { .. }));
        (value >= 0 && is_early).then_some(line)
    };
    let mut all: Vec<String> = (0..now.operators.len()).filter_map(line).collect();
    (!all.is_empty()).then(|| all.swap_remove(rng.random_range(0..all.len())))
}

/// A number of the same length that differs in one digit.
fn other(value: i64, rng: &mut ChaCha8Rng) -> i64 {
    let length = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    let place = rng.random_range(0..length);
    let weight = 10u64.pow(place);
    let digit = value.unsigned_abs() / weight % 10;
    let least = u64::from(place + 1 == length && length > 1);
    let others: Vec<u64> = (least..=9).filter(|other| *other != digit).collect();
    let drawn = others[rng.random_range(0..others.len())];
    let number = value.unsigned_abs() - digit * weight + drawn * weight;
    i64::try_from(number).map_or(value, |number| if value < 0 { -number } else { number })
}
