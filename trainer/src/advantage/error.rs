//! What an advantage cannot be computed from, and the checks that say so.

/// The input makes no advantage.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdvantageError {
    #[error("{what} {index} is {value}; it must be finite")]
    NonFinite { what: &'static str, index: usize, value: f64 },
    #[error("there are {found} {what} for {expected} items; there must be one for each")]
    Length { what: &'static str, found: usize, expected: usize },
    #[error("the option `{what}` is {value}; it must be {must}")]
    Option { what: &'static str, value: f64, must: &'static str },
    #[error("token {token} belongs to turn {turn}, but there are {turns} turns, counted from 0")]
    Turn { token: usize, turn: usize, turns: usize },
    #[error(
        "moments of {count} values cannot scale {values} values; they must be of all values that count, over all ranks"
    )]
    Moments { count: f64, values: f64 },
}

/// Refuses the first value that is not finite, among those that count.
pub(super) fn finite(what: &'static str, values: &[f64], counted: Option<&[bool]>) -> Result<(), AdvantageError> {
    let counts = |index: usize| counted.is_none_or(|counted| counted[index]);
    match values.iter().enumerate().find(|&(index, value)| counts(index) && !value.is_finite()) {
        Some((index, &value)) => Err(AdvantageError::NonFinite { what, index, value }),
        None => Ok(()),
    }
}

pub(super) fn length(what: &'static str, found: usize, expected: usize) -> Result<(), AdvantageError> {
    if found == expected { Ok(()) } else { Err(AdvantageError::Length { what, found, expected }) }
}

/// A discount or another share.
pub(super) fn share(what: &'static str, value: f64) -> Result<(), AdvantageError> {
    option(what, value, (0.0..=1.0).contains(&value), "in 0 to 1")
}

/// What is added to a divisor.
pub(super) fn addend(what: &'static str, value: f64) -> Result<(), AdvantageError> {
    option(what, value, value >= 0.0 && value.is_finite(), "finite and at least 0")
}

fn option(what: &'static str, value: f64, right: bool, must: &'static str) -> Result<(), AdvantageError> {
    if right { Ok(()) } else { Err(AdvantageError::Option { what, value, must }) }
}
