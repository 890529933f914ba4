//! Attention for training: fused and causal, of whole sequences.
//!
//! Query heads are grouped: heads `g * n .. g * n + n` share key/value head `g`.

use tch::{TchError, Tensor};

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
