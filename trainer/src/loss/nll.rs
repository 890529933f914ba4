//! Negative log-likelihood of the marked tokens. Only marked positions go through the output projection, which is most of the
//! work when answers are short and the vocabulary large.

use tch::{Reduction, Tensor};

use super::{Marked, Objective, head, tensor};
use crate::RankError;

/// `sum over marks of -ln p(target)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nll;

impl Objective for Nll {
    fn sum(&self, marked: Marked<'_>) -> Result<Tensor, RankError> {
        let logits = marked
            .model
            .logits_at(marked.hidden, marked.positions, marked.precision)
            .map_err(head("the output projection"))?;
        logits
            .f_cross_entropy_loss(marked.targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)
            .map_err(tensor("compute the negative log-likelihood"))
    }
}
