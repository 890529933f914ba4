//! Why weights could not be moved, or an optimiser's state not be read. Says what was tried on which weight; never
//! decides whether to try again.

use tch::{Kind, TchError};

/// An optimiser, a running mean or a schedule could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum OptimError {
    #[error("`{name}` is {value}; it must be {right}")]
    Setting { name: &'static str, value: f64, right: &'static str },
    #[error("weight `{name}` {wrong}")]
    Weight { name: String, wrong: String },
    #[error("{owned} marks of ownership came for {weights} weights; there must be one for each")]
    Owners { weights: usize, owned: usize },
    #[error("the state tensor `{name}` is missing; without it training would not continue where it stopped")]
    MissingState { name: String },
    #[error(
        "the state tensor `{name}` belongs to no weight and setting of this optimiser; it was written for other ones"
    )]
    UnknownState { name: String },
    #[error("the state tensor `{name}` has shape {found:?}, but its weight has {expected:?}")]
    StateShape { name: String, found: Vec<i64>, expected: Vec<i64> },
    #[error("the state tensor `{name}` is of {found:?}; it must be of {expected:?}", expected = Kind::Float)]
    StateKind { name: String, found: Kind },
    #[error("the state tensor `{name}` holds numbers that are not finite: what was saved had diverged or is damaged")]
    StateNotFinite { name: String },
    #[error("could not {what}")]
    Tensor { what: String, source: TchError },
    #[error("could not {what}")]
    Fused { what: &'static str, source: galapagos_collective::Error },
}

/// Names what was tried when libtorch refused.
pub(super) fn tensor(what: impl Into<String>) -> impl FnOnce(TchError) -> OptimError {
    move |source| OptimError::Tensor { what: what.into(), source }
}

/// Refuses `value` unless `allowed`; a value that is not a number is never allowed.
pub(super) fn check(name: &'static str, value: f64, allowed: bool, right: &'static str) -> Result<(), OptimError> {
    if allowed && !value.is_nan() { Ok(()) } else { Err(OptimError::Setting { name, value, right }) }
}
