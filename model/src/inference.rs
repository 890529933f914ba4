//! The forward of inference: rows of tokens in, hidden states, logits or labels out.
//!
//! One row is one token of some sequence. A row's result does not depend on the other rows; how a row looks at earlier tokens
//! is the caller's ([`Attend`]), which keeps keys and values.

use std::sync::Arc;

use galapagos_kernels::{KvGeometry, PackedMatrix, Pool};
use tch::{Device, Kind, TchError, Tensor};

use crate::blocks::{Builder, Hold, Products};
use crate::decoder::network::Network;
use crate::lora::{Adapter, AdapterError, AppliedAdapter};
use crate::{Decoder, ModelConfig, Precision, family};

pub(crate) use crate::blocks::{Attend, Projected, Rows};

#[cfg(test)]
mod tests;

/// A model ready for inference.
#[derive(Debug)]
pub(crate) struct InferenceModel {
    config: ModelConfig,
    network: Network,
    precision: Precision,
    /// Whether the kernels compute it, and not libtorch's operators.
    by_kernels: bool,
}

impl InferenceModel {
    /// Copies the weights of `model` in the format of `precision`; `pool` runs the kernels. Elsewhere than on a CPU it is computed with
    /// libtorch's operators.
    pub(crate) fn new(model: &Decoder, precision: Precision, pool: Arc<Pool>) -> Result<Self, TchError> {
        let hold = match model.device() {
            Device::Cpu => Hold::Packed(precision.format(), pool),
            Device::Cuda(_) | Device::Mps | Device::Vulkan => Hold::Copied(precision.kind()),
        };
        Self::holding(model, precision, hold)
    }

    /// [`InferenceModel::new`] with the operators on every device: on a CPU, to compare the two.
    #[cfg(test)]
    pub(crate) fn by_operators(model: &Decoder, precision: Precision) -> Result<Self, TchError> {
        Self::holding(model, precision, Hold::Copied(precision.kind()))
    }

    fn holding(model: &Decoder, precision: Precision, hold: Hold) -> Result<Self, TchError> {
        let config = model.config().clone();
        let by_kernels = matches!(hold, Hold::Packed(..));
        let builder = Builder { parameters: model.parameters(), hold };
        let network = Network::new(&config, &family::plan(&config), &builder)?;
        Ok(Self { config, network, precision, by_kernels })
    }

    /// A copy of `adapter` in this model's format, for rows of its passes; `pool` runs its kernels.
    ///
    /// # Errors
    /// [`AdapterError`] when the adapter is not one of this model.
    pub(crate) fn adapter(&self, adapter: &Adapter, pool: &Arc<Pool>) -> Result<AppliedAdapter, AdapterError> {
        let base = &self.config;
        if self.by_kernels {
            AppliedAdapter::packed(adapter, base, self.precision.format(), pool)
        } else {
            AppliedAdapter::copied(adapter, base, (self.kind(), self.device()))
        }
    }

    /// Every weight that is packed for the kernels; none on devices without them.
    pub(crate) fn packed(&self) -> impl Iterator<Item = &PackedMatrix> {
        self.network.packed()
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether the kernels compute it, and not libtorch's operators.
    pub(crate) fn is_by_kernels(&self) -> bool {
        self.by_kernels
    }

    pub(crate) fn device(&self) -> Device {
        self.network.device()
    }

    /// Format of the matrix products.
    pub(crate) fn kind(&self) -> Kind {
        self.precision.kind()
    }

    /// Shape of the keys and values of one token.
    pub(crate) fn kv_geometry(&self) -> KvGeometry {
        KvGeometry {
            layers: self.config.num_hidden_layers,
            heads: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
            format: self.precision.format(),
        }
    }

    /// Hidden states before the last norm, [rows, hidden] in 32-bit floats.
    pub(crate) fn trunk(&self, rows: &Rows<'_>, attend: &mut dyn Attend) -> Result<Tensor, TchError> {
        self.network.trunk(rows, attend, self.products())
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats of rows of the trunk's output; `None` for a model with another
    /// head.
    pub(crate) fn logits(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.network.logits(&self.network.normed(x)?, self.products())
    }

    /// What the head says [rows, labels] in 32-bit floats; `None` for a language model.
    pub(crate) fn labels(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.network.labels(&self.network.normed(x)?)
    }

    /// The same of one row, its normed state multiplied with each of `masks` [masks, hidden]: [masks, labels].
    pub(crate) fn masked_labels(&self, x: &Tensor, masks: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.network.labels(&self.network.normed(x)?.f_mul(masks)?)
    }

    fn products(&self) -> Products<'static> {
        Products::new(self.kind())
    }
}
