//! The forward of inference: rows of tokens in, hidden states, logits or scores out.
//!
//! One row is one token of some sequence. A row's result does not depend on the other rows; how a row looks at earlier tokens
//! is the caller's ([`Attend`]), which keeps keys and values.

use std::sync::Arc;

use galapagos_kernels::{Format, KvGeometry, Pool};
use tch::{Device, Kind, TchError, Tensor};

use crate::blocks::linear::padded_rows;
use crate::blocks::{Builder, Hold};
use crate::decoder::network::Network;
use crate::{Decoder, ModelConfig, Precision, family};

pub(crate) use crate::blocks::{Attend, Projected, Rows};

/// A model ready for inference.
#[derive(Debug)]
pub(crate) struct InferenceModel {
    config: ModelConfig,
    network: Network,
    pool: Arc<Pool>,
    precision: Precision,
}

impl InferenceModel {
    /// Copies the weights of `model` in the format of `precision`; `pool` runs the kernels.
    pub(crate) fn new(model: &Decoder, precision: Precision, pool: Arc<Pool>) -> Result<Self, TchError> {
        let config = model.config().clone();
        let builder = Builder { parameters: model.parameters(), hold: Hold::Copied(precision.kind()) };
        let network = Network::new(&config, &family::plan(&config), &builder)?;
        Ok(Self { config, network, pool, precision })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
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
            format: match self.precision {
                Precision::F32 => Format::F32,
                Precision::Bf16 => Format::Bf16,
            },
        }
    }

    /// Hidden states before the last norm, [rows, hidden] in 32-bit floats.
    pub(crate) fn trunk(&self, rows: &Rows<'_>, attend: &mut dyn Attend) -> Result<Tensor, TchError> {
        self.network.trunk(rows, attend, self.kind())
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats of rows of the trunk's output; `None` for a model with another
    /// head.
    pub(crate) fn logits(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.network.logits(&self.network.normed(x)?, |x, weight| {
            padded_rows(&x.f_to_kind(weight.kind())?, weight.numel() as i64, |x| x.f_linear(weight, None::<&Tensor>))
        })
    }

    /// Scores [rows] of a scalar model in 32-bit floats; `None` for a language model.
    pub(crate) fn scores(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        let scores = self.network.labels(&self.network.normed(x)?)?;
        scores.map(|scores| scores.f_squeeze_dim(-1)).transpose()
    }
}
