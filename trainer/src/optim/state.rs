//! An optimiser's state as named tensors, out for a checkpoint and in again. Reads and writes no files.
//!
//! A tensor's name is that of its weight, a slash, and what it is: `mean` and `square` for AdamW, `momentum` for SGD
//! and Muon. The names do not depend on who owns what, so what any number of ranks saved any other number can continue.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::error::{OptimError, tensor};
use super::optimiser::{Optimiser, Slot};

impl Optimiser {
    /// The state of the owned weights, each tensor of its weight's shape, named `WEIGHT/mean` and so on. The tensors
    /// share the optimiser's memory: write or copy them before the next step.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let tensors = |slot: &Slot| -> Vec<(String, Tensor)> {
            let names = state_names(slot);
            names.zip(slot.state.iter().flatten()).map(|(name, tensor)| (name, tensor.shallow_clone())).collect()
        };
        self.slots.iter().flat_map(tensors).collect()
    }

    /// Bytes that the state takes in memory, measured; [`state_bytes`](super::state_bytes) of the owned weights is the
    /// same.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        let tensors = self.slots.iter().filter_map(|slot| slot.state.as_ref()).flatten();
        tensors.map(|tensor| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64).sum()
    }

    /// Takes over a state that optimisers of the same weights and settings had after `steps` updates; it is copied.
    /// Tensors of weights that other ranks own may be among them and are not looked at.
    ///
    /// # Errors
    /// Names the first tensor of an owned weight that is missing, or not f32, of the weight's shape and finite, or the
    /// first that belongs to no weight of this optimiser. The optimiser is then as it was.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> Result<(), OptimError> {
        let mut known: Vec<String> = self.slots.iter().flat_map(state_names).collect();
        known.sort_unstable();
        if let Some(name) = state.keys().find(|name| known.binary_search(name).is_err()) {
            return Err(OptimError::UnknownState { name: name.clone() });
        }
        for slot in self.slots.iter().filter(|slot| slot.state.is_some()) {
            for name in state_names(slot) {
                check_tensor(state, &name, &slot.shape())?;
            }
        }
        for slot in &mut self.slots {
            let names: Vec<String> = state_names(slot).collect();
            for (name, own) in names.iter().zip(slot.state.iter_mut().flatten()) {
                if let Some(saved) = state.get(name) {
                    tch::no_grad(|| own.f_copy_(saved)).map_err(tensor(format!("copy `{name}`")))?;
                }
            }
        }
        self.steps = steps;
        Ok(())
    }
}

fn state_names(slot: &Slot) -> impl Iterator<Item = String> {
    slot.rule.state_names().iter().map(|what| format!("{}/{what}", slot.name))
}

/// Looks for `name` in `state`: an f32 tensor of `shape` with finite numbers.
pub(super) fn check_tensor(state: &BTreeMap<String, Tensor>, name: &str, shape: &[i64]) -> Result<(), OptimError> {
    let name = || name.to_owned();
    let Some(saved) = state.get(&name()) else { return Err(OptimError::MissingState { name: name() }) };
    if saved.size() != shape {
        return Err(OptimError::StateShape { name: name(), found: saved.size(), expected: shape.to_vec() });
    }
    let failed = || tensor(format!("look at `{}`", name()));
    match saved.f_kind().map_err(failed())? {
        Kind::Float => {}
        found => return Err(OptimError::StateKind { name: name(), found }),
    }
    let finite = || saved.f_isfinite()?.f_all()?.f_int64_value(&[]);
    match finite().map_err(failed())? {
        0 => Err(OptimError::StateNotFinite { name: name() }),
        _ => Ok(()),
    }
}
