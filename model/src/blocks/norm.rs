//! Norms of rows, computed in 32-bit floats whatever the input is.

use tch::{Kind, TchError, Tensor};

use super::Builder;
use crate::family::plan::{NormKind, NormPlan};

/// A norm over the last dimension.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    kind: NormKind,
    eps: f64,
}

impl Norm {
    pub(super) fn new(builder: &Builder<'_>, plan: &NormPlan) -> Result<Self, TchError> {
        let bias = match plan.kind {
            NormKind::Rms { .. } => None,
            NormKind::Layer => Some(builder.small(&format!("{}.bias", plan.module))?),
        };
        Ok(Self { weight: builder.small(&format!("{}.weight", plan.module))?, bias, kind: plan.kind, eps: plan.eps })
    }

    /// Normalises the last dimension of `x` to 32-bit floats.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let wide = x.f_to_kind(Kind::Float)?;
        let weight = self.weight.f_to_kind(Kind::Float)?;
        match self.kind {
            NormKind::Rms { offset } => {
                let square = wide.f_square()?.f_mean_dim([-1i64].as_slice(), true, Kind::Float)?;
                let normal = wide.f_mul(&square.f_add_scalar(self.eps)?.f_rsqrt()?)?;
                if offset == 0.0 {
                    normal.f_mul(&weight)
                } else {
                    normal.f_mul(&weight.f_add_scalar(f64::from(offset))?)
                }
            }
            NormKind::Layer => {
                let bias = self.bias.as_ref().map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
                wide.f_layer_norm(weight.size(), Some(&weight), bias.as_ref(), self.eps, false)
            }
        }
    }
}
