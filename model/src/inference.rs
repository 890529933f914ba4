//! The forward of inference: rows of tokens in, hidden states, logits or scores out.
//!
//! One row is one token of some sequence. A row's result does not depend on the other rows; how a row looks at earlier tokens
//! is the caller's ([`Attend`]), which keeps keys and values.

use std::sync::Arc;

use galapagos_kernels::{AttentionSpec, Format, KvGeometry, Pool};
use tch::{Kind, TchError, Tensor};

use crate::llama::fused::{self, FusedModel};
use crate::{Llama, ModelConfig, Precision};

/// Rows of one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// Token ids, checked by the caller to be in the vocabulary.
    pub(crate) tokens: &'a [u32],
    /// The position of each token in its sequence.
    pub(crate) positions: &'a [u32],
}

/// One layer's queries, keys and values, each [rows, heads, `head_dim`], contiguous 32-bit floats, rotated to their positions.
#[derive(Debug)]
pub(crate) struct Projected {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
}

/// How rows look at earlier tokens.
pub(crate) trait Attend {
    /// The attention output [rows, query heads, `head_dim`] of layer `layer`, in 32-bit floats. Keys and values of the rows
    /// themselves are to be kept for later rows.
    fn attend(&mut self, layer: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError>;
}

/// A model ready for inference.
#[derive(Debug)]
pub(crate) struct InferenceModel {
    model: FusedModel,
    #[expect(dead_code, reason = "the blocks that call the kernels are being built")]
    pool: Arc<Pool>,
    format: Format,
}

impl InferenceModel {
    /// Copies the weights of `model` in the format of `precision`; `pool` runs the kernels.
    pub(crate) fn new(model: &Llama, precision: Precision, pool: Arc<Pool>) -> Result<Self, TchError> {
        let format = match precision {
            Precision::F32 => Format::F32,
            Precision::Bf16 => Format::Bf16,
        };
        Ok(Self { model: FusedModel::new(model, precision)?, pool, format })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    pub(crate) fn device(&self) -> tch::Device {
        self.model.device()
    }

    /// Shape of the keys and values of one token.
    pub(crate) fn kv_geometry(&self) -> KvGeometry {
        let config = self.config();
        KvGeometry {
            layers: config.num_hidden_layers,
            heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            format: self.format,
        }
    }

    /// Hidden states before the last norm, [rows, hidden].
    pub(crate) fn trunk(&self, rows: &Rows<'_>, attend: &mut dyn Attend) -> Result<Tensor, TchError> {
        let on_device = |values: &[u32]| {
            let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
            Tensor::f_from_slice(&values)?.f_to_device(self.device())
        };
        let scale = 1.0 / (self.config().head_dim as f32).sqrt();
        let spec = AttentionSpec { scale, soft_cap: None, window: None };
        let mut bridge = Bridge { attend, spec, kind: self.model.kind() };
        self.model.trunk(&on_device(rows.tokens)?, &on_device(rows.positions)?, &mut bridge)
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats of rows of the trunk's output; `None` for a scalar model.
    pub(crate) fn logits(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.model.logits(x)
    }

    /// Scores [rows] in 32-bit floats; `None` for a language model.
    pub(crate) fn scores(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        self.model.scores(x)
    }
}

struct Bridge<'a> {
    attend: &'a mut dyn Attend,
    spec: AttentionSpec,
    kind: Kind,
}

impl fused::Attend for Bridge<'_> {
    fn attend(&mut self, layer: usize, rows: &fused::Projected) -> Result<Tensor, TchError> {
        let wide = |tensor: &Tensor| tensor.f_to_kind(Kind::Float)?.f_contiguous();
        let rows = Projected { query: wide(&rows.query)?, key: wide(&rows.key)?, value: wide(&rows.value)? };
        self.attend.attend(layer, &rows, &self.spec)?.f_to_kind(self.kind)
    }
}
