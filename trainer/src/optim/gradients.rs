//! The size of a gradient over all weights, and how much to shrink it. Decides nothing about what to do with one that
//! is not finite.

use tch::{Device, Kind, TchError, Tensor};

use super::error::{OptimError, tensor};
use super::pieces::PIECE;

/// The 2-norm of the gradients of `weights` taken as one vector, accumulated in f64; weights without a gradient count
/// as 0. Infinite or not a number if any element is.
///
/// # Errors
/// [`OptimError::Tensor`] with what libtorch says.
pub fn gradient_norm<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Result<f64, OptimError> {
    let (mut sum, mut buffer) = (0.0, None);
    for weight in weights {
        sum += squared_norm(weight, &mut buffer).map_err(tensor("measure the gradient"))?;
    }
    Ok(sum.sqrt())
}

/// `buffer` is kept for the next weight.
fn squared_norm(weight: &Tensor, buffer: &mut Option<Tensor>) -> Result<f64, TchError> {
    let gradient = weight.f_grad()?;
    if !gradient.defined() {
        return Ok(0.0);
    }
    let flat = gradient.f_detach()?.f_reshape([-1i64])?;
    if flat.device() != Device::Cpu {
        return Ok(flat.f_norm_scalaropt_dtype(2, Kind::Double)?.f_double_value(&[])?.powi(2));
    }
    // Piece by piece through the cache: libtorch's norm in f64 takes several times as long.
    let buffer = match buffer {
        Some(buffer) => buffer,
        None => buffer.insert(Tensor::f_empty([PIECE], (Kind::Double, Device::Cpu))?),
    };
    let length = flat.numel() as i64;
    let mut sum = 0.0;
    for start in (0..length).step_by(PIECE as usize) {
        let piece = flat.f_narrow(0, start, PIECE.min(length - start))?;
        let mut wide = buffer.f_narrow(0, 0, piece.numel() as i64)?;
        wide.f_copy_(&piece)?;
        sum += wide.f_dot(&wide)?.f_double_value(&[])?;
    }
    Ok(sum)
}

/// The factor that brings gradients of norm `norm` to at most `limit` (Pascanu et al., 2013).
#[must_use]
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn the_norm_is_over_all_tensors_and_clipping_only_shrinks() {
        let weights = [leaf(&[1.0]), leaf(&[1.0, 1.0]), leaf(&[7.0])];
        (&weights[0] * 3.0).sum(Kind::Float).backward();
        (&weights[1] * Tensor::from_slice(&[0.0f32, 4.0])).sum(Kind::Float).backward();
        assert!((gradient_norm(&weights).unwrap() - 5.0).abs() < 1e-12);
        assert_eq!(gradient_norm([]).unwrap(), 0.0);
        assert!((clip_scale(5.0, 1.0) - 0.2).abs() < 1e-12);
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
    }

    #[test]
    fn sums_are_taken_in_double_precision() {
        // In f32 the sum of squares would overflow, and small terms after large ones would be lost.
        let weight = Tensor::ones([PIECE + 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (&weight * 3e30).sum(Kind::Float).backward();
        let wanted = 3e30f32 as f64 * ((PIECE + 2) as f64).sqrt();
        assert!((gradient_norm([&weight]).unwrap() / wanted - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_element_that_is_no_number_shows() {
        let weight = leaf(&[1.0, 1.0]);
        (&weight * Tensor::from_slice(&[1.0f32, f32::NAN])).sum(Kind::Float).backward();
        assert!(gradient_norm([&weight]).unwrap().is_nan());
        let weight = leaf(&[1.0]);
        (&weight * f64::INFINITY).sum(Kind::Float).backward();
        assert_eq!(gradient_norm([&weight]).unwrap(), f64::INFINITY);
    }
}
