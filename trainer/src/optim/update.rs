//! One update of all weights that share a rule: numbers of the rule, tensors of the weights, and the kernel that moves
//! them.

use galapagos_collective::{AdamwUpdate, SgdUpdate, fused_adamw, fused_sgd};
use tch::Tensor;

use super::error::{OptimError, tensor};
use super::muon;
use super::rule::Rule;
use super::settings::{Adamw, Sgd};

/// The numbers of one step, whatever the rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) lr: f64,
    /// What gradients are multiplied by.
    pub(super) gradient_scale: f64,
    /// Counted from 1.
    pub(super) number: u64,
}

/// A weight that moves in a step.
#[derive(Debug)]
pub(super) struct Moving<'a> {
    pub(super) name: &'a str,
    /// Detached.
    pub(super) weight: &'a Tensor,
    /// Contiguous; may be scaled in place.
    pub(super) gradient: Tensor,
    pub(super) state: &'a [Tensor],
}

impl Moving<'_> {
    /// The first `N` tensors of the weight's state. [`Optimiser::new`](super::Optimiser::new) makes as many as the rule
    /// names, and nothing removes one.
    fn state<const N: usize>(&self) -> Result<[&Tensor; N], OptimError> {
        let state: Vec<&Tensor> = self.state.iter().take(N).collect();
        state.try_into().map_err(|_| OptimError::Weight {
            name: self.name.to_owned(),
            wrong: "has lost part of its optimiser state".to_owned(),
        })
    }
}

/// Moves the weights of one rule, and their state.
pub(super) fn update(rule: &Rule, weights: &[Moving<'_>], step: Step) -> Result<(), OptimError> {
    match rule {
        Rule::Adamw { adamw, lr_factor } => by_adamw(adamw, weights, Step { lr: step.lr * lr_factor, ..step }),
        Rule::Sgd(sgd) => by_sgd(sgd, weights, step),
        Rule::Muon(settings) => weights.iter().try_for_each(|moving| {
            let [momentum] = moving.state()?;
            let (mut weight, mut momentum) = (moving.weight.shallow_clone(), momentum.shallow_clone());
            let numbers = (step.lr, step.gradient_scale);
            tch::no_grad(|| muon::update(&mut weight, &moving.gradient, &mut momentum, settings, numbers))
                .map_err(tensor(format!("update `{}`", moving.name)))
        }),
    }
}

fn by_adamw(adamw: &Adamw, weights: &[Moving<'_>], step: Step) -> Result<(), OptimError> {
    let tensors = weights.iter().map(|moving| {
        let [mean, square] = moving.state()?;
        Ok([moving.weight, &moving.gradient, mean, square])
    });
    let tensors: Vec<[&Tensor; 4]> = tensors.collect::<Result<_, OptimError>>()?;
    let Step { lr, gradient_scale: gradient_factor, number: step } = step;
    let Adamw { beta1, beta2, eps, weight_decay } = *adamw;
    let by = AdamwUpdate { lr, beta1, beta2, eps, weight_decay, gradient_factor, step };
    fused_adamw(&tensors, &by).map_err(|source| OptimError::Fused { what: "update the weights", source })
}

fn by_sgd(sgd: &Sgd, weights: &[Moving<'_>], step: Step) -> Result<(), OptimError> {
    let tensors: Vec<[&Tensor; 2]> = weights.iter().map(|moving| [moving.weight, &moving.gradient]).collect();
    let Sgd { momentum, nesterov, weight_decay } = *sgd;
    let momenta: Vec<&Tensor> = match momentum {
        0.0 => Vec::new(),
        _ => weights.iter().map(|moving| moving.state().map(|[momentum]| momentum)).collect::<Result<_, _>>()?,
    };
    let by = SgdUpdate { lr: step.lr, momentum, nesterov, weight_decay, gradient_factor: step.gradient_scale };
    fused_sgd(&tensors, &momenta, &by).map_err(|source| OptimError::Fused { what: "update the weights", source })
}
