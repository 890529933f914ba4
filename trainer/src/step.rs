//! One optimiser update over all ranks: what frozen models say of the batch, forward and backward over this rank's micro-batches,
//! gradients averaged with the other ranks during the last backward pass, one clip, one update.
//!
//! Each local loss is a sum divided by the share of the whole batch and multiplied by the world size, so the mean over ranks that the
//! reducer takes is the gradient a single process would get from the whole batch.

mod backward;
mod frozen;
mod gradients;
mod spent;

use backward::Backward;
pub use frozen::Frozen;
pub use spent::Spent;

use std::num::NonZeroU32;

use galapagos_collective::{Group, Reduce, clear_grads};
use galapagos_domain::recipe::train::{self, Layout, Train};
use galapagos_model::Precision;
use tch::{Device, Kind, Tensor};

use crate::RankError;
use crate::data::batch::{MicroBatch, micro_batches, shares};
use crate::data::item::Item;
use crate::objective::{Objective, Part, Parts};
use crate::optim::{Optimiser, Settings, clip_scale, gradient_norm, partition};
use crate::subject::{Subject, tensor};

/// Most logits in memory at once: 64 Mi numbers.
const LOGITS: usize = 1 << 26;

/// A model in training on one rank.
#[derive(Debug)]
pub struct Training<'a> {
    subject: &'a Subject,
    frozen: &'a Frozen,
    group: &'a Group,
    /// The weights that move, by name.
    named: Vec<(String, Tensor)>,
    weights: Vec<Tensor>,
    /// The rank that updates each weight; all do without `shard_optimiser`.
    owners: Option<Vec<u32>>,
    backward: Backward,
    optimiser: Optimiser,
    precision: Precision,
    layout: Layout,
    recompute: bool,
    micro_batch: usize,
    logits: usize,
    clip: f64,
}

/// What one step computed before anything moved; the same on all ranks but for what is said to be this rank's.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Loss over the whole batch.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    pub parts: Parts,
    /// Tokens of this rank's part of the batch.
    pub tokens: u64,
    /// This rank's records.
    pub rows: Vec<u32>,
    /// This rank's micro-batches: loss per share, and records.
    pub losses: Vec<(f64, Vec<u32>)>,
}

impl Measured {
    /// Whether loss and gradient are numbers.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}

impl<'a> Training<'a> {
    /// Hooks the weights of `subject` that are trained, which must be f32 and the same on all ranks of `group`.
    ///
    /// # Errors
    /// If the ranks' models differ in shape, a setting makes no sense, or there is no memory.
    pub fn new(subject: &'a Subject, frozen: &'a Frozen, group: &'a Group, train: &Train) -> Result<Self, RankError> {
        let named = subject.trainable(train.freeze)?;
        let weights: Vec<Tensor> = named.iter().map(|(_, weight)| weight.shallow_clone()).collect();
        let backward = Backward::new(group, &weights)?;
        let sizes: Vec<u64> = weights.iter().map(|weight| weight.numel() as u64).collect();
        let owners = NonZeroU32::new(group.world_size())
            .filter(|world_size| train.shard_optimiser && world_size.get() > 1)
            .map(|world_size| partition(&sizes, world_size));
        let owned: Vec<bool> = match &owners {
            Some(owners) => owners.iter().map(|owner| *owner == group.rank()).collect(),
            None => vec![true; weights.len()],
        };
        let optimiser = Optimiser::new(&named, settings(train), &owned)
            .map_err(|source| RankError::Optimiser { what: "make the optimiser", source })?;
        Ok(Self {
            subject,
            frozen,
            group,
            named,
            weights,
            owners,
            backward,
            optimiser,
            precision: precision(train),
            layout: train.layout,
            recompute: train.recompute,
            micro_batch: train.micro_batch as usize,
            logits: LOGITS,
            clip: train.clip,
        })
    }

    /// The weights that move, by name.
    pub fn weights(&self) -> &[(String, Tensor)] {
        &self.named
    }

    /// Whether each rank keeps the optimiser's state of its own part only.
    #[must_use]
    pub fn is_sharded(&self) -> bool {
        self.owners.is_some()
    }

    /// The optimiser of this rank's part.
    #[must_use]
    pub fn optimiser(&self) -> &Optimiser {
        &self.optimiser
    }

    /// The optimiser, to give it a state.
    pub fn optimiser_mut(&mut self) -> &mut Optimiser {
        &mut self.optimiser
    }

    /// Changes how many logits are in memory at once, 64 Mi numbers otherwise: less memory, more passes over the head.
    pub fn limit_logits(&mut self, numbers: usize) {
        self.logits = numbers;
    }

    /// Leaves in the weights the gradient of the loss over the global `batch`, of which this rank takes its part.
    ///
    /// # Errors
    /// What the kernels or the other ranks did. A loss that is no number is no error here.
    pub fn measure(
        &mut self,
        objective: &Objective,
        (batch, least): (&[Item], usize),
        spent: &mut Spent,
    ) -> Result<Measured, RankError> {
        let all = micro_batches(batch, self.micro_batch, least);
        let (rank, world_size) = (self.group.rank() as usize, self.group.world_size());
        let mut mine: Vec<&MicroBatch> = shares(&all, world_size)[rank].iter().map(|i| &all[*i]).collect();
        let share: f64 = all.iter().map(|micro| micro.share).sum();
        let tokens = mine.iter().map(|micro| micro.tokens.len() as u64).sum();
        spent.data();
        let (own, beside): (Vec<MicroBatch>, Vec<MicroBatch>);
        let mut point = None;
        if objective.has_reference_point() {
            // Every second sequence of judged records is only looked at.
            (own, beside) = mine.iter().map(|micro| (micro.every_other(2, 0), micro.every_other(2, 1))).unzip();
            point = Some(self.reference_point(objective, &beside)?);
            mine = own.iter().collect();
        }
        let mut notes = self.annotate(objective, &mine)?;
        for notes in &mut notes {
            notes.point = point.as_ref().map(Tensor::shallow_clone);
        }
        spent.forward();
        clear_grads(&self.weights).map_err(collective("clear the gradients"))?;
        let scale = f64::from(world_size) / share;
        let (parts, losses) = self.gradients(objective, (&mine, notes), scale, spent)?;
        let parts = parts.with_sums(&self.over_ranks(&parts.to_slice())?);
        let grad_norm = gradient_norm(&self.weights)
            .map_err(|source| RankError::Optimiser { what: "measure the gradient", source })?;
        spent.communication();
        let rows = mine.iter().flat_map(|micro| micro.rows.iter().copied()).collect();
        Ok(Measured { loss: parts.get(Part::Loss) / share, grad_norm, parts, tokens, rows, losses })
    }

    /// Updates the weights by the gradients that [`Training::measure`] left, clipped.
    ///
    /// # Errors
    /// If a kernel fails, or a rank that updates a part of the weights does not send it.
    pub fn update(&mut self, lr: f64, grad_norm: f64) -> Result<(), RankError> {
        let scale = clip_scale(grad_norm, self.clip);
        self.optimiser.step(lr, scale).map_err(|source| RankError::Optimiser { what: "update the weights", source })?;
        if let Some(owners) = &self.owners {
            let owned: Vec<(&Tensor, u32)> = self.weights.iter().zip(owners.iter().copied()).collect();
            self.group.broadcast_from(&owned).map_err(collective("share the updated weights"))?;
        }
        Ok(())
    }

    /// Adds numbers up over ranks.
    fn over_ranks(&self, values: &[f64]) -> Result<Vec<f64>, RankError> {
        let device = self.subject.device();
        let sums = Tensor::f_from_slice(values).and_then(|sums| sums.f_to_device(device));
        let mut sums = sums.map_err(tensor("hold numbers to add up"))?;
        self.group.all_reduce(&mut sums, Reduce::Sum).map_err(collective("add up over ranks"))?;
        floats(&sums)
    }

    /// Zero, with every weight taking part: a rank without sequences must still bring a gradient for each weight.
    fn zero_loss(&self) -> Result<Tensor, tch::TchError> {
        let sums: Vec<Tensor> =
            self.weights.iter().map(|weight| weight.f_sum(Kind::Float)).collect::<Result<_, _>>()?;
        Tensor::f_stack(&sums, 0)?.f_sum(Kind::Float)?.f_mul_scalar(0.0)
    }
}

/// A tensor's numbers, wherever it is.
fn floats(values: &Tensor) -> Result<Vec<f64>, RankError> {
    let values = values.f_to_kind(Kind::Double).and_then(|values| values.f_to_device(Device::Cpu));
    values.and_then(|values| Vec::try_from(&values)).map_err(tensor("read numbers"))
}

/// The number format of a train step's products.
#[must_use]
pub fn precision(train: &Train) -> Precision {
    match train.precision {
        train::Precision::F32 => Precision::F32,
        train::Precision::Bf16 => Precision::Bf16,
    }
}

/// The optimiser's constants as a train step names them.
#[must_use]
pub fn settings(train: &Train) -> Settings {
    use crate::optim::{Adamw, Muon, Sgd};
    let weight_decay = train.weight_decay;
    match train.optimiser {
        train::Optimiser::Adamw(train::Adamw { betas: [beta1, beta2], eps }) => {
            Settings::Adamw(Adamw { beta1, beta2, eps, weight_decay })
        }
        train::Optimiser::Sgd(train::Sgd { momentum, nesterov }) => {
            Settings::Sgd(Sgd { momentum, nesterov, weight_decay })
        }
        train::Optimiser::Muon(train::Muon { momentum, nesterov }) => {
            let bf16 = precision(train) == Precision::Bf16;
            Settings::Muon(Muon { momentum, nesterov, bf16, ..Muon::new(weight_decay) })
        }
    }
}

pub(crate) fn collective(what: &'static str) -> impl FnOnce(galapagos_collective::Error) -> RankError {
    move |source| RankError::Collective { what, source }
}
