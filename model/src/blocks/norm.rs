//! Norms of rows, computed in 32-bit floats whatever the input is.

use std::sync::Arc;

use galapagos_kernels::Pool;
use galapagos_kernels::rows::{LayerNorm, RmsNorm, layer_norm, rms_norm};
use tch::{Kind, TchError, Tensor};

use super::{Builder, Hold};
use crate::family::plan::{NormKind, NormPlan};
use crate::profile::{Phase, phase};
use crate::tensors::{f32s, f32s_mut, zeros_f32};

/// A norm over the last dimension.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    kind: NormKind,
    eps: f64,
    /// Set where the kernels compute.
    pool: Option<Arc<Pool>>,
}

impl Norm {
    pub(super) fn new(builder: &Builder<'_>, plan: &NormPlan) -> Result<Self, TchError> {
        let bias = match plan.kind {
            NormKind::Rms { .. } => None,
            NormKind::Layer => Some(builder.small(&format!("{}.bias", plan.module))?),
        };
        let pool = match &builder.hold {
            Hold::Packed(_, pool) => Some(Arc::clone(pool)),
            Hold::Shared | Hold::Copied(_) => None,
        };
        let weight = builder.small(&format!("{}.weight", plan.module))?;
        Ok(Self { weight, bias, kind: plan.kind, eps: plan.eps, pool })
    }

    /// Normalises the last dimension of `x` to 32-bit floats.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        phase(Phase::Rows, || match &self.pool {
            Some(pool) => self.by_kernel(pool, x),
            None => self.by_libtorch(x),
        })
    }

    fn by_kernel(&self, pool: &Pool, x: &Tensor) -> Result<Tensor, TchError> {
        let shape: Vec<usize> = x.size().into_iter().map(|size| size as usize).collect();
        let mut out = zeros_f32(&shape)?;
        let (weight, eps, numbers) = (f32s(&self.weight)?, self.eps as f32, f32s_mut(&mut out)?);
        match (self.kind, &self.bias) {
            (NormKind::Rms { offset }, _) => rms_norm(pool, &RmsNorm { weight, eps, offset }, f32s(x)?, numbers),
            (NormKind::Layer, Some(bias)) => {
                layer_norm(pool, &LayerNorm { weight, bias: f32s(bias)?, eps }, f32s(x)?, numbers);
            }
            (NormKind::Layer, None) => return Err(TchError::Shape("a layer norm has a bias".to_owned())),
        }
        Ok(out)
    }

    fn by_libtorch(&self, x: &Tensor) -> Result<Tensor, TchError> {
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
