//! RMSNorm: `x / sqrt(mean(x^2) + eps) * weight`, computed in 32-bit floats whatever the input is.

use tch::{Kind, TchError, Tensor};

/// Normalises the last dimension of `x`; the result has the format of `x`.
///
/// As in `transformers`, the normalised value is rounded to the format of `x` before the weight is applied.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, TchError> {
    let kind = x.f_kind()?;
    let wide = x.f_to_kind(Kind::Float)?;
    let scale = wide.f_square()?.f_mean_dim([-1i64].as_slice(), true, Kind::Float)?.f_add_scalar(eps)?.f_rsqrt()?;
    wide.f_mul(&scale)?.f_to_kind(kind)?.f_mul(&weight.f_to_kind(kind)?)
}
