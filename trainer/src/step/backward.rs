//! Backward passes of a step: the ones of this rank alone, and the last, in which gradients meet the other ranks'.

use galapagos_collective::{Group, Reducer, ReducerOptions};
use tch::Tensor;

use super::collective;
use crate::RankError;
use crate::subject::tensor;

/// Who runs backward passes.
#[derive(Debug)]
pub(super) enum Backward {
    /// One rank: gradients stay where autograd put them, and are not copied through buckets.
    Alone,
    Shared(Reducer),
}

impl Backward {
    /// Through `weights`, which must be f32 and the same on all ranks of `group`.
    pub(super) fn new(group: &Group, weights: &[Tensor]) -> Result<Self, RankError> {
        if group.world_size() == 1 {
            return Ok(Self::Alone);
        }
        // Saves a copy of the gradients. They are cleared by `clear_grads` alone, as views must be.
        let options = ReducerOptions { bucket_view: true, ..ReducerOptions::default() };
        Ok(Self::Shared(Reducer::new(group, weights, options).map_err(collective("agree on the weights"))?))
    }

    /// Adds the gradients of `loss` to this rank's.
    pub(super) fn local(&self, loss: &Tensor) -> Result<(), RankError> {
        match self {
            Self::Alone => loss.f_backward().map_err(tensor("compute gradients")),
            Self::Shared(reducer) => reducer.backward_local(loss).map_err(collective("compute gradients")),
        }
    }

    /// Adds the gradients of `loss`, which every weight takes part in, and averages all of this step's over the ranks.
    pub(super) fn last(&self, loss: &Tensor) -> Result<(), RankError> {
        let Self::Shared(reducer) = self else { return self.local(loss) };
        reducer.prepare_step().map_err(collective("begin a step"))?;
        reducer.backward(loss).map_err(collective("average the gradients"))
    }

    /// Averages this step's gradients over the ranks where no loss is left: `zero` is a loss of nothing that every weight takes part in.
    pub(super) fn settle(&self, zero: impl FnOnce() -> Result<Tensor, tch::TchError>) -> Result<(), RankError> {
        if matches!(self, Self::Alone) {
            return Ok(());
        }
        self.last(&zero().map_err(tensor("compute a loss of nothing"))?)
    }
}
