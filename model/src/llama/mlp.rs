//! The gated feed-forward block: `down(silu(gate(x)) * up(x))`.

use tch::{TchError, Tensor};

use super::linear::linear;
use crate::Precision;

#[derive(Debug)]
pub(super) struct Mlp {
    pub(super) gate: Tensor,
    pub(super) up: Tensor,
    pub(super) down: Tensor,
}

impl Mlp {
    /// `x` [batch, time, hidden] to the same shape, in the format of `precision`.
    pub(super) fn forward(&self, x: &Tensor, precision: Precision) -> Result<Tensor, TchError> {
        let x = x.f_to_kind(precision.kind())?;
        let gated = linear(&x, &self.gate, precision)?.f_silu()?.f_mul(&linear(&x, &self.up, precision)?)?;
        linear(&gated, &self.down, precision)
    }
}
