//! One optimiser update over all ranks: forward and backward over this rank's micro batches, gradients averaged with the other
//! ranks during the last backward pass, one clip, one update.
//!
//! Each local loss is a sum divided by the marks of the whole batch and multiplied by the world size, so the mean over ranks
//! that the reducer takes is the gradient a single process would get from the whole batch.

use galapagos_collective::{Group, Reduce, Reducer, ReducerOptions, clear_grads};
use galapagos_domain::recipe::train::{Precision, Train};
use galapagos_model::Decoder;
use tch::{Kind, Tensor};

use crate::RankError;
use crate::data::Sequence;
use crate::data::shard::{self, MicroBatch};
use crate::loss::{Marked, Objective, objective};
use crate::optimiser::{Adamw, Optimiser, clip_scale, gradient_norm};

/// A model in training on one rank.
#[derive(Debug)]
pub struct Training<'a> {
    model: &'a Decoder,
    group: &'a Group,
    weights: Vec<Tensor>,
    reducer: Reducer,
    optimiser: Optimiser,
    objective: &'static dyn Objective,
    precision: galapagos_model::Precision,
    micro_batch: usize,
    clip: f64,
}

/// What one update showed; the same on all ranks but for `tokens`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Mean loss over the marks of the whole batch, before the update.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of this rank's part of the batch.
    pub tokens: u64,
}

impl<'a> Training<'a> {
    /// Hooks the weights of `model`, which must be f32 on the CPU and the same on all ranks of `group`.
    ///
    /// # Errors
    /// If the ranks' models differ in shape, or there is no memory.
    pub fn new(model: &'a Decoder, group: &'a Group, train: &Train) -> Result<Self, RankError> {
        let trainable = model.parameters().set_trainable(true);
        trainable.map_err(|source| RankError::Weights { what: "make the weights trainable", source })?;
        let weights: Vec<Tensor> = model.parameters().iter().map(|(_, weight)| weight.shallow_clone()).collect();
        let reducer = Reducer::new(group, &weights, ReducerOptions::default())
            .map_err(|source| RankError::Collective { what: "agree on the weights", source })?;
        let optimiser =
            Optimiser::new(&weights, Adamw::new(train.weight_decay)).map_err(tensor("make the optimiser's moments"))?;
        Ok(Self {
            model,
            group,
            weights,
            reducer,
            optimiser,
            objective: objective(train.loss),
            precision: match train.precision {
                Precision::F32 => galapagos_model::Precision::F32,
                Precision::Bf16 => galapagos_model::Precision::Bf16,
            },
            micro_batch: train.micro_batch as usize,
            clip: train.clip,
        })
    }

    /// One update on the global `batch`, of which this rank takes its part. `number` counts from 1 and is for messages.
    ///
    /// # Errors
    /// [`RankError::Diverged`], on all ranks alike, if loss or gradient is not finite: the weights are then untouched. Else what
    /// the kernels or the other ranks did.
    pub fn step(&mut self, batch: &[Sequence], number: u64, lr: f64) -> Result<Update, RankError> {
        let part = shard::slice(batch, self.group.rank(), self.group.world_size());
        let local = self.gradients(part, shard::marks(batch))?;
        let loss = self.sum_over_ranks(local)? / shard::marks(batch) as f64;
        let grad_norm = gradient_norm(&self.weights).map_err(tensor("measure the gradient"))?;
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(RankError::Diverged { step: number, loss, grad_norm, lr });
        }
        let scale = clip_scale(grad_norm, self.clip);
        self.optimiser.step(lr, scale).map_err(tensor("update the weights"))?;
        Ok(Update { loss, grad_norm, tokens: shard::tokens(part) as u64 })
    }

    /// Leaves in the weights the gradient of the mean loss over the `marks` marks of the batch; returns this rank's loss sum.
    fn gradients(&self, part: &[Sequence], marks: usize) -> Result<f64, RankError> {
        clear_grads(&self.weights).map_err(collective("clear the gradients"))?;
        let scale = f64::from(self.group.world_size()) / marks as f64;
        let mut sum = 0.0;
        let micro_batches = shard::micro_batches(part, self.micro_batch);
        let last = micro_batches.len().checked_sub(1);
        if last.is_none() {
            self.reducer.prepare_step().map_err(collective("begin a step"))?;
            let zero = self.zero_loss().map_err(tensor("compute a loss of nothing"))?;
            self.reducer.backward(&zero).map_err(collective("average the gradients"))?;
        }
        for (index, micro_batch) in micro_batches.enumerate() {
            let reduces = Some(index) == last;
            if reduces {
                self.reducer.prepare_step().map_err(collective("begin a step"))?;
            }
            let loss = self.loss_sum(&micro_batch)?;
            sum += loss.f_double_value(&[]).map_err(tensor("read the loss"))?;
            let scaled = loss.f_mul_scalar(scale).map_err(tensor("scale the loss"))?;
            let backward = if reduces { self.reducer.backward(&scaled) } else { self.reducer.backward_local(&scaled) };
            backward.map_err(collective("average the gradients"))?;
        }
        Ok(sum)
    }

    fn loss_sum(&self, micro_batch: &MicroBatch) -> Result<Tensor, RankError> {
        let MicroBatch { rows, width, tokens, positions, targets } = micro_batch;
        let shape = [*rows as i64, *width as i64];
        let failed = || tensor("lay out a micro batch");
        let tokens = Tensor::f_from_slice(tokens).and_then(|flat| flat.f_reshape(shape)).map_err(failed())?;
        let positions = Tensor::f_from_slice(positions).map_err(failed())?;
        let targets = Tensor::f_from_slice(targets).map_err(failed())?;
        let hidden = self
            .model
            .hidden_states(&tokens, self.precision)
            .map_err(|source| RankError::Forward { what: "the forward pass", source })?;
        let (model, precision) = (self.model, self.precision);
        self.objective.sum(Marked { model, hidden: &hidden, positions: &positions, targets: &targets, precision })
    }

    /// Zero, with every weight taking part: a rank without sequences must still bring a gradient for each weight.
    fn zero_loss(&self) -> Result<Tensor, tch::TchError> {
        let sums: Vec<Tensor> =
            self.weights.iter().map(|weight| weight.f_sum(Kind::Float)).collect::<Result<_, _>>()?;
        Tensor::f_stack(&sums, 0)?.f_sum(Kind::Float)?.f_mul_scalar(0.0)
    }

    fn sum_over_ranks(&self, value: f64) -> Result<f64, RankError> {
        let mut sum = Tensor::f_from_slice(&[value]).map_err(tensor("hold the loss"))?;
        self.group.all_reduce(&mut sum, Reduce::Sum).map_err(collective("add up the loss"))?;
        sum.f_double_value(&[0]).map_err(tensor("read the loss"))
    }
}

fn tensor(what: &'static str) -> impl FnOnce(tch::TchError) -> RankError {
    move |source| RankError::Tensor { what, source }
}

fn collective(what: &'static str) -> impl FnOnce(galapagos_collective::Error) -> RankError {
    move |source| RankError::Collective { what, source }
}
