//! A scalar head against labels, each record alone.

use tch::{Kind, Reduction, Tensor};

use super::{Marked, Objective, head, tensor};
use crate::RankError;

/// Binary cross-entropy with logits: `sum over marks of softplus(score) - label * score`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bce;

impl Objective for Bce {
    fn sum(&self, marked: Marked<'_>) -> Result<Tensor, RankError> {
        let scores = marked.model.scores_at(marked.hidden, marked.positions).map_err(head("the scalar head"))?;
        let labels = marked.targets.f_to_kind(Kind::Float);
        labels
            .and_then(|labels| {
                let no_weight = None::<&Tensor>;
                scores.f_binary_cross_entropy_with_logits(&labels, no_weight, no_weight, Reduction::Sum)
            })
            .map_err(tensor("compute the binary cross-entropy"))
    }
}
