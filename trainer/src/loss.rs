//! What is learned: a loss over the marked positions of a micro batch, as a sum, so that the caller alone decides by how many
//! marks of how many ranks it is divided. One file for each loss.

mod nll;
mod pointwise;

use std::fmt::Debug;

use galapagos_domain::recipe::train::{Loss, Pointwise};
use galapagos_model::{ComputeError, Decoder, Precision};
use tch::{TchError, Tensor};

use crate::RankError;

/// A forward pass up to the last norm, and where to read from it.
#[derive(Debug, Clone, Copy)]
pub struct Marked<'a> {
    pub model: &'a Decoder,
    /// Shape `[rows, width, hidden]`.
    pub hidden: &'a Tensor,
    /// Indices into the flattened `rows * width` positions; shape `[marks]`, 64-bit integers.
    pub positions: &'a Tensor,
    /// What each mark is compared with; shape `[marks]`, 64-bit integers.
    pub targets: &'a Tensor,
    pub precision: Precision,
}

/// A loss.
pub trait Objective: Debug {
    /// The sum over all marks: an f32 scalar that gradients flow through.
    ///
    /// # Errors
    /// If the model has another head, or a kernel fails.
    fn sum(&self, marked: Marked<'_>) -> Result<Tensor, RankError>;
}

/// The objective that a recipe names.
#[must_use]
pub fn objective(loss: Loss) -> &'static dyn Objective {
    match loss {
        Loss::Nll => &nll::Nll,
        Loss::Pointwise(Pointwise::Bce) => &pointwise::Bce,
    }
}

fn head(what: &'static str) -> impl FnOnce(ComputeError) -> RankError {
    move |source| RankError::Forward { what, source }
}

fn tensor(what: &'static str) -> impl FnOnce(TchError) -> RankError {
    move |source| RankError::Tensor { what, source }
}
