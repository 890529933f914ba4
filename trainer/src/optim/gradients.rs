//! The size of a gradient over all weights, and how much to shrink it. Decides nothing about what to do with one that
//! is not finite.

use galapagos_collective::norm;
use tch::{TchError, Tensor};

use super::error::{OptimError, tensor};

/// The 2-norm of the gradients of `weights`, f32, taken as one vector, accumulated in f64; weights without a gradient
/// count as 0. Infinite or not a number if any element is. Does not depend on the number of threads.
///
/// # Errors
/// [`OptimError::Tensor`] or [`OptimError::Fused`] with what libtorch says.
pub fn gradient_norm<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Result<f64, OptimError> {
    let gradients = weights.into_iter().map(gradient).filter_map(Result::transpose);
    let gradients: Vec<Tensor> = gradients.collect::<Result<_, _>>().map_err(tensor("read a gradient"))?;
    let gradients: Vec<&Tensor> = gradients.iter().collect();
    norm(&gradients).map_err(|source| OptimError::Fused { what: "measure the gradient", source })
}

/// The gradient of a weight, if it has one; contiguous, so a copy where the gradient itself is not.
pub(super) fn gradient(weight: &Tensor) -> Result<Option<Tensor>, TchError> {
    let gradient = weight.f_grad()?;
    gradient.defined().then(|| gradient.f_detach()?.f_contiguous()).transpose()
}

/// The factor that brings gradients of norm `norm` to at most `limit` (Pascanu et al., 2013).
#[must_use]
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

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
        const LENGTH: i64 = 16386;
        // In f32 the sum of squares would overflow, and small terms after large ones would be lost.
        let weight = Tensor::ones([LENGTH], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (&weight * 3e30).sum(Kind::Float).backward();
        let wanted = 3e30f32 as f64 * (LENGTH as f64).sqrt();
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
