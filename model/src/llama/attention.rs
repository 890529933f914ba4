//! Attention, twice: fused and causal for training, written out for decoding.
//!
//! Query heads are grouped: heads `g * n .. g * n + n` share key/value head `g`. The written-out form exists because the
//! fused kernel rounds differently for different batch sizes and paddings.

use tch::{Kind, TchError, Tensor};

use super::linear::linear;
use super::rope::Rotation;
use crate::Precision;

/// Projections of one training block.
#[derive(Debug)]
pub(super) struct SelfAttention {
    pub(super) query: Tensor,
    pub(super) key: Tensor,
    pub(super) value: Tensor,
    pub(super) output: Tensor,
    pub(super) head_dim: i64,
}

impl SelfAttention {
    /// Causal self-attention of `x` [batch, time, hidden]; `rotation` is [time, `head_dim`].
    pub(super) fn forward(&self, x: &Tensor, rotation: &Rotation, precision: Precision) -> Result<Tensor, TchError> {
        let (batch, time, _) = x.size3()?;
        let x = x.f_to_kind(precision.kind())?;
        let heads = |weight: &Tensor| {
            linear(&x, weight, precision)?.f_reshape([batch, time, -1, self.head_dim])?.f_transpose(1, 2)
        };
        let query = rotation.rotate(&heads(&self.query)?)?;
        let key = rotation.rotate(&heads(&self.key)?)?;
        let value = heads(&self.value)?;
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            0.0,
            true,
            None::<f64>,
            query.size()[1] != key.size()[1],
        )?;
        linear(&mixed.f_transpose(1, 2)?.f_reshape([batch, time, -1])?, &self.output, precision)
    }
}

/// Scaled scores in 32-bit floats: `query` [.., queries, dim] against `key` [.., keys, dim].
pub(crate) fn scores(query: &Tensor, key: &Tensor) -> Result<Tensor, TchError> {
    let dim = query.size().last().copied().unwrap_or(1);
    query.f_matmul(&key.f_transpose(-2, -1)?)?.f_to_kind(Kind::Float)?.f_mul_scalar(1.0 / (dim as f64).sqrt())
}
