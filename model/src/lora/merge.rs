//! An adapter added into the weights of its base, and taken out again without a trace.
//!
//! Subtracting what was added does not give the old numbers back: sums of floating-point numbers round. So a merged model
//! keeps the base's own tensors of the projections it changed, and unmerging puts those back.

use tch::{Kind, TchError, Tensor};

use super::{Adapter, AdapterError};
use crate::Decoder;
use crate::weights::{Parameters, WeightsError, tensor_error};

/// A base with an adapter merged into it.
#[derive(Debug)]
pub struct Merged {
    model: Decoder,
    originals: Parameters,
}

/// A copy of `base` in which every projection that `adapter` updates has the weight `W + scale * B A`, computed in 32-bit
/// floats and rounded once to the format of `W`. The copy shares no tensor with `base`.
///
/// # Errors
/// [`AdapterError`] when the adapter belongs to another base, or libtorch fails.
pub fn merge(base: &Decoder, adapter: &Adapter) -> Result<Merged, AdapterError> {
    adapter.check_base(base.config())?;
    let broken = |source| AdapterError::Weights { place: "the base".to_owned(), source: Box::new(source) };
    let mut weights = Parameters::new();
    let mut originals = Parameters::new();
    for (name, tensor) in base.parameters().iter() {
        let update = name.strip_suffix(".weight").and_then(|module| adapter.update(module));
        let merged = match update {
            None => copied(tensor),
            Some(update) => {
                originals.insert(name, copied(tensor).map_err(|e| broken(tensor_error("copying", name, e)))?);
                update.delta().and_then(|delta| added(tensor, &delta, adapter.transposed))
            }
        };
        weights.insert(name, merged.map_err(|source| broken(tensor_error("merging", name, source)))?);
    }
    if let Some(name) = weights.first_not_finite().map_err(broken)? {
        let problem = "exceeds the range of its number format when merged; store the base as 32-bit floats first";
        return Err(super::files::tensor_problem("the merged model", name, problem));
    }
    let model = Decoder::new(base.config().clone(), weights).map_err(broken)?;
    Ok(Merged { model, originals })
}

impl Merged {
    /// The merged model.
    #[must_use]
    pub fn model(&self) -> &Decoder {
        &self.model
    }

    /// The merged model alone; what unmerging needs is given up.
    #[must_use]
    pub fn into_model(self) -> Decoder {
        self.model
    }

    /// The base again, with the bytes it had when it was merged, if the merged model was not changed since.
    ///
    /// # Errors
    /// [`WeightsError`] when libtorch fails.
    pub fn unmerge(self) -> Result<Decoder, WeightsError> {
        let mut weights = self.model.parameters().share();
        for (name, tensor) in self.originals.iter() {
            weights.insert(name, tensor.shallow_clone());
        }
        Decoder::new(self.model.config().clone(), weights)
    }
}

fn copied(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_detach()?.f_to_dtype(tensor.kind(), false, true)
}

fn added(weight: &Tensor, delta: &Tensor, transposed: bool) -> Result<Tensor, TchError> {
    let delta = if transposed { delta.f_transpose(0, 1)? } else { delta.shallow_clone() };
    let wide = weight.f_detach()?.f_to_kind(Kind::Float)?;
    wide.f_add(&delta.f_to_device(weight.device())?)?.f_to_kind(weight.kind())
}
