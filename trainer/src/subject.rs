//! The model in training, and the frozen ones it is compared with: which weights move, and how a micro-batch runs through them.

use galapagos_domain::recipe::train::{Freeze, Layout};
use galapagos_model::lora::Adapter;
use galapagos_model::{ComputeError, Decoder, PackedOptions, PackedPass, Precision, WeightsError};
use tch::{Device, TchError, Tensor};

use crate::RankError;
use crate::data::batch::MicroBatch;

/// A model with an adapter or without.
#[derive(Debug)]
pub struct Subject {
    pub model: Decoder,
    /// What is trained in place of the model's weights.
    pub adapter: Option<Adapter>,
}

/// How a micro-batch is computed.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    pub precision: Precision,
    pub layout: Layout,
    /// Tokens see their whole sequence.
    pub both_sides: bool,
}

/// Hidden states, and where the marks lie in them.
#[derive(Debug)]
pub struct Hidden {
    /// Shape `[rows, hidden]`, 32-bit floats.
    pub states: Tensor,
    /// Row of each mark; 64-bit integers.
    pub positions: Tensor,
}

impl Subject {
    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.model.device()
    }

    /// The weights that training moves, by name, in name order.
    ///
    /// # Errors
    /// If nothing is left to train, or libtorch refuses.
    pub fn trainable(&self, freeze: Freeze) -> Result<Vec<(String, Tensor)>, RankError> {
        let marked = |source| RankError::Weights { what: "mark the weights that are trained", source };
        self.model.parameters().set_trainable(false).map_err(marked)?;
        let parameters = match &self.adapter {
            Some(adapter) => adapter.parameters(),
            None => self.model.parameters(),
        };
        let moves = |name: &str| self.adapter.is_some() || !is_frozen(name, freeze);
        let mut trainable = Vec::new();
        for (name, weight) in parameters.iter().filter(|(name, _)| moves(name)) {
            let weight = weight.f_set_requires_grad(true).map_err(tensor("mark a weight as trained"))?;
            trainable.push((name.to_owned(), weight));
        }
        if trainable.is_empty() {
            let what = "`freeze` leaves nothing to train".to_owned();
            return Err(RankError::Setting { what });
        }
        Ok(trainable)
    }

    /// This model's own weights of the names of `others`, in their order.
    ///
    /// # Errors
    /// If it has none of a name.
    pub fn handles(&self, others: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>, RankError> {
        let parameters = match &self.adapter {
            Some(adapter) => adapter.parameters(),
            None => self.model.parameters(),
        };
        let own = |(name, _): &(String, Tensor)| match parameters.get(name) {
            Some(weight) => Ok((name.clone(), weight.shallow_clone())),
            None => Err(RankError::Setting { what: format!("the target network has no weight `{name}`") }),
        };
        others.iter().map(own).collect()
    }

    /// Hidden states of a micro-batch. Gradients flow to the weights that are trained.
    ///
    /// # Errors
    /// A failing kernel, or a sequence that the model cannot take.
    pub fn hidden(&self, batch: &MicroBatch, pass: Pass) -> Result<Hidden, RankError> {
        if pass.layout == Layout::Padded && !pass.both_sides {
            return self.padded(batch, pass.precision);
        }
        let states = self.packed(batch, pass)?.hidden_states().map_err(forward)?;
        Ok(Hidden { states, positions: packed_positions(batch, self.device())? })
    }

    /// A forward pass over a micro-batch without padding, ready to run.
    ///
    /// # Errors
    /// As [`Subject::hidden`].
    pub fn packed(&self, batch: &MicroBatch, pass: Pass) -> Result<PackedPass<'_>, RankError> {
        let Pass { precision, both_sides, .. } = pass;
        let options = PackedOptions { precision, adapter: self.adapter.as_ref(), both_sides };
        self.model.packed(&batch.tokens, &batch.lengths, options).map_err(forward)
    }

    fn padded(&self, batch: &MicroBatch, precision: Precision) -> Result<Hidden, RankError> {
        let (tokens, width, positions) = batch.padded();
        let shape = [batch.lengths.len() as i64, width as i64];
        let failed = || tensor("lay out a micro-batch");
        let tokens = Tensor::f_from_slice(&tokens)
            .and_then(|flat| flat.f_reshape(shape)?.f_to_device(self.device()))
            .map_err(failed())?;
        let states = match &self.adapter {
            Some(adapter) => self.model.adapted_hidden_states(adapter, &tokens, precision),
            None => self.model.hidden_states(&tokens, precision),
        };
        let states = states.map_err(forward)?;
        let width = states.size().last().copied().unwrap_or(0);
        let states = states.f_reshape([-1, width]).map_err(failed())?;
        let positions = Tensor::f_from_slice(&positions).and_then(|positions| positions.f_to_device(self.device()));
        Ok(Hidden { states, positions: positions.map_err(failed())? })
    }

    /// A copy that nothing moves and that shares nothing with this one.
    ///
    /// # Errors
    /// Without memory.
    pub fn frozen_copy(&self) -> Result<Self, RankError> {
        let copied = |source: WeightsError| RankError::Weights { what: "copy the start's weights", source };
        let (kind, device) = (self.model.kind(), self.model.device());
        let model = self.model.copy_to(kind, device).map_err(copied)?;
        let adapter = match &self.adapter {
            Some(adapter) => {
                let parameters = adapter.parameters().copy_to(kind, device).map_err(copied)?;
                let copy = Adapter::new(adapter.config().clone(), parameters, self.model.config());
                Some(copy.map_err(|source| RankError::Adapter {
                    what: "copy the start's adapter",
                    source: Box::new(source),
                })?)
            }
            None => None,
        };
        Ok(Self { model, adapter })
    }
}

/// Rows of the marks of a micro-batch without padding.
///
/// # Errors
/// Without memory.
pub fn packed_positions(batch: &MicroBatch, device: Device) -> Result<Tensor, RankError> {
    let positions: Vec<i64> = batch.marks.iter().map(|mark| i64::from(mark.position)).collect();
    let positions = Tensor::f_from_slice(&positions).and_then(|positions| positions.f_to_device(device));
    positions.map_err(tensor("lay out a micro-batch"))
}

/// Whether a weight of that name keeps its value.
fn is_frozen(name: &str, freeze: Freeze) -> bool {
    let embedding = ["embed_tokens", "wte", "wpe", "embeddings"];
    let parts: Vec<&str> = name.split('.').collect();
    if freeze.embeddings && parts.iter().any(|part| embedding.contains(part)) {
        return true;
    }
    let layer = parts.windows(2).find(|pair| ["layers", "h", "layer"].contains(&pair[0]));
    layer.and_then(|pair| pair[1].parse::<u32>().ok()).is_some_and(|layer| layer < freeze.layers)
}

pub(crate) fn forward(source: ComputeError) -> RankError {
    RankError::Forward { what: "the forward pass", source }
}

pub(crate) fn tensor(what: &'static str) -> impl FnOnce(TchError) -> RankError {
    move |source| RankError::Tensor { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_frozen_from_the_first_and_embeddings_when_asked() {
        let freeze = Freeze { layers: 2, embeddings: true };
        let frozen = ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "h.1.ln_1.bias", "wte.weight"];
        let moves = [
            "model.layers.2.mlp.up_proj.weight",
            "model.layers.10.mlp.up_proj.weight",
            "model.norm.weight",
            "lm_head.weight",
        ];
        assert!(frozen.iter().all(|name| is_frozen(name, freeze)));
        assert!(moves.iter().all(|name| !is_frozen(name, freeze)));
        assert!(frozen.iter().all(|name| !is_frozen(name, Freeze::default())));
    }
}
