//! One update of AdamW on one piece of a weight: Loshchilov & Hutter, 2019, algorithm 2, in place.
//!
//! With `mean` and `square` corrected by `1 - beta^t`, the weight moves by `-lr * mean / (sqrt(square) + eps)`. Both
//! corrections and the learning rate are folded into two constants of the denominator, so that neither moment needs a
//! corrected copy.

use tch::{TchError, Tensor};

use super::pieces::{Scratch, Update};
use super::settings::Adamw;

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamwStep {
    gradient_scale: f64,
    keep_mean: f64,
    keep_square: f64,
    /// What decay leaves of a weight.
    kept: f64,
    /// `eps` times the root of the square's correction.
    eps: f64,
    /// Minus one over (learning rate over the mean's correction, times the root of the square's).
    divisor: f64,
}

impl AdamwStep {
    /// For step `number`, counted from 1. With `lr` 0 the divisor is infinite, and weights stay.
    pub(super) fn new(adamw: &Adamw, lr: f64, gradient_scale: f64, number: u64) -> Self {
        let root = (1.0 - adamw.beta2.powf(number as f64)).sqrt();
        let size = lr / (1.0 - adamw.beta1.powf(number as f64)) * root;
        Self {
            gradient_scale,
            keep_mean: 1.0 - adamw.beta1,
            keep_square: 1.0 - adamw.beta2,
            kept: 1.0 - lr * adamw.weight_decay,
            eps: adamw.eps * root,
            divisor: -1.0 / size,
        }
    }
}

/// Tensors: weight, gradient, mean, square.
impl Update<4> for AdamwStep {
    fn piece(self, tensors: [Tensor; 4], scratch: &mut Scratch) -> Result<(), TchError> {
        let [mut weight, gradient, mut mean, mut square] = tensors;
        let (scaled, mut other) = scratch.tensors(&weight)?;
        let scaled = gradient.f_mul_scalar_out(&scaled, self.gradient_scale)?;
        let _ = mean.f_lerp_(&scaled, self.keep_mean)?;
        let squared = scaled.f_mul_out(&other, &scaled)?;
        let _ = square.f_lerp_(&squared, self.keep_square)?;
        let _ = square.f_sqrt_out(&other)?;
        let _ = other.f_add_scalar_(self.eps)?.f_mul_scalar_(self.divisor)?;
        if self.kept != 1.0 {
            let _ = weight.f_mul_scalar_(self.kept)?;
        }
        let _ = weight.f_addcdiv_(&mean, &other)?;
        Ok(())
    }
}
