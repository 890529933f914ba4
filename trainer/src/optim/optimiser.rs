//! The optimiser of one rank: handles on all weights, and the state of those the rank owns. Updates weights in place
//! from the gradients they hold; how gradients came there and how other ranks learn of the new weights is the caller's.

use std::collections::BTreeSet;

use tch::{Device, Kind, TchError, Tensor};

use super::error::{OptimError, check, tensor};
use super::gradients::gradient;
use super::rule::Rule;
use super::settings::Settings;
use super::update::{Moving, Step, update};

/// An optimiser over named f32 weights.
///
/// Each weight gets the update that [`Settings`] mean for its name and shape. Only weights this rank owns are moved and
/// have state here (ZeRO stage 1, Rajbhandari et al., 2020); the others are known by name, to tell whose state a tensor
/// is.
#[derive(Debug)]
pub struct Optimiser {
    pub(super) slots: Vec<Slot>,
    pub(super) steps: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    /// The leaf, whose gradient is read.
    weight: Tensor,
    /// The same memory, detached.
    detached: Tensor,
    pub(super) rule: Rule,
    /// By [`Rule::state_names`], each of the weight's shape; `None` if another rank keeps it.
    pub(super) state: Option<Vec<Tensor>>,
}

impl Slot {
    pub(super) fn shape(&self) -> Vec<i64> {
        self.detached.size()
    }
}

impl Optimiser {
    /// Takes second handles on `weights`, contiguous f32 leaves on one device with different names. `owned[i]` says
    /// whether this rank moves weight `i` and keeps its state, which begins with zeros.
    ///
    /// # Errors
    /// [`OptimError::Setting`], [`OptimError::Weight`] or [`OptimError::Owners`] for what is not so;
    /// [`OptimError::Tensor`] if there is no memory for the state.
    pub fn new(weights: &[(String, Tensor)], settings: Settings, owned: &[bool]) -> Result<Self, OptimError> {
        settings.check()?;
        if weights.len() != owned.len() {
            return Err(OptimError::Owners { weights: weights.len(), owned: owned.len() });
        }
        check_weights(weights)?;
        let slots = weights.iter().zip(owned).map(|((name, weight), owned)| {
            let rule = Rule::of(name, &weight.size(), &settings);
            let slot = || -> Result<Slot, TchError> {
                let detached = weight.f_detach()?;
                let zeros = || rule.state_names().iter().map(|_| detached.f_zeros_like()).collect::<Result<_, _>>();
                let state = owned.then(zeros).transpose()?;
                Ok(Slot { name: name.clone(), weight: weight.shallow_clone(), detached, rule, state })
            };
            slot().map_err(tensor(format!("make the optimiser's state of `{name}`")))
        });
        Ok(Self { slots: slots.collect::<Result<_, _>>()?, steps: 0 })
    }

    /// One update of the owned weights at learning rate `lr` from the gradients they hold now, times `gradient_scale`
    /// ([`clip_scale`](super::clip_scale)). A weight without a gradient is left as it is, and so is its state; the step
    /// counts for it all the same. At a learning rate of 0 only the state moves. Gradients may hold either what they held
    /// or that times `gradient_scale` afterwards: clear them, do not use them again.
    ///
    /// Gradients are not looked at: whether they are finite is to be asked of [`gradient_norm`](super::gradient_norm)
    /// before.
    ///
    /// # Errors
    /// [`OptimError::Setting`] if `lr` is negative or one of both not finite, with nothing done; else what libtorch
    /// says, with the weights half updated.
    pub fn step(&mut self, lr: f64, gradient_scale: f64) -> Result<(), OptimError> {
        check("lr", lr, lr >= 0.0 && lr.is_finite(), "a finite number that is not negative")?;
        check("gradient_scale", gradient_scale, gradient_scale.is_finite(), "a finite number")?;
        self.steps += 1;
        let step = Step { lr, gradient_scale, number: self.steps };
        // Few rules, and many weights of each: one for decayed weights, one for the others.
        let mut batches: Vec<(&Rule, Vec<Moving<'_>>)> = Vec::new();
        for slot in &self.slots {
            let Some(state) = &slot.state else { continue };
            let read = gradient(&slot.weight).map_err(tensor(format!("read the gradient of `{}`", slot.name)))?;
            let Some(gradient) = read else { continue };
            let moving = Moving { name: &slot.name, weight: &slot.detached, gradient, state };
            match batches.iter_mut().find(|(rule, _)| **rule == slot.rule) {
                Some((_, batch)) => batch.push(moving),
                None => batches.push((&slot.rule, vec![moving])),
            }
        }
        batches.iter().try_for_each(|(rule, batch)| update(rule, batch, step))
    }

    /// Updates so far, with those before a restore.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

fn check_weights(weights: &[(String, Tensor)]) -> Result<(), OptimError> {
    let mut names = BTreeSet::new();
    let device = weights.first().map_or(Device::Cpu, |(_, weight)| weight.device());
    for (name, weight) in weights {
        let refused = |wrong: String| Err(OptimError::Weight { name: name.clone(), wrong });
        if !names.insert(name.as_str()) {
            return refused("is given twice; names must differ".to_owned());
        }
        match weight.f_kind().map_err(tensor(format!("look at `{name}`")))? {
            Kind::Float => {}
            other => return refused(format!("is of {other:?}; an optimiser moves f32 weights only")),
        }
        if weight.device() != device {
            return refused(format!("lies on {:?} and others on {device:?}; all must lie on one", weight.device()));
        }
        if !weight.is_leaf() {
            return refused("is computed from other tensors; only a leaf gets a gradient".to_owned());
        }
        if !weight.is_contiguous() {
            return refused("is not contiguous; it must be a tensor of its own".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
