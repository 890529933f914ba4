//! One update of AdamW on one piece of a weight: Loshchilov & Hutter, 2019, algorithm 2, in place.
//!
//! With `mean` and `square` corrected by `1 - beta^t`, the weight moves by `-lr * mean / (sqrt(square) + eps)`. Both corrections
//! and the learning rate are folded into two constants of the denominator, so that neither moment needs a corrected copy.
//!
//! On the CPU a piece is copied to slices, which one loop goes through, and back: all within the cache, that is less work than nine
//! passes of libtorch's. On a GPU, where a piece is a whole tensor, the same arithmetic is nine of libtorch's operations.

use tch::{Device, TchError, Tensor};

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
    /// For step `number`, counted from 1. `lr` must be above 0.
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
        match tensors[0].device() {
            Device::Cpu => self.by_slices(tensors, scratch),
            _ => self.by_operations(tensors, scratch),
        }
    }
}

impl AdamwStep {
    fn by_slices(self, tensors: [Tensor; 4], scratch: &mut Scratch) -> Result<(), TchError> {
        let slices = scratch.read(&tensors)?;
        self.update(slices);
        let [mut weight, _, mut mean, mut square] = tensors;
        let [new_weight, _, new_mean, new_square] = slices;
        weight.f_copy_(&Tensor::f_from_slice(new_weight)?)?;
        mean.f_copy_(&Tensor::f_from_slice(new_mean)?)?;
        square.f_copy_(&Tensor::f_from_slice(new_square)?)
    }

    fn update(self, [weight, gradient, mean, square]: &mut [Vec<f32>; 4]) {
        let [scale, keep_mean, keep_square] = [self.gradient_scale, self.keep_mean, self.keep_square].map(|x| x as f32);
        let [kept, eps, divisor] = [self.kept, self.eps, self.divisor].map(|x| x as f32);
        let moments = mean.iter_mut().zip(square);
        for ((weight, gradient), (mean, square)) in weight.iter_mut().zip(gradient).zip(moments) {
            let gradient = *gradient * scale;
            *mean += (gradient - *mean) * keep_mean;
            *square += (gradient * gradient - *square) * keep_square;
            *weight = *weight * kept + *mean / ((square.sqrt() + eps) * divisor);
        }
    }

    fn by_operations(self, tensors: [Tensor; 4], scratch: &mut Scratch) -> Result<(), TchError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn both_ways_of_computing_agree() {
        let adamw = Adamw { weight_decay: 0.1, ..Adamw::new(0.1) };
        let new =
            |seed: f64| (Tensor::arange(1000, (Kind::Double, Device::Cpu)) * seed).square().sin().to_kind(Kind::Float);
        let make = || {
            [
                new(0.3),
                new(0.5),
                Tensor::zeros([1000], (Kind::Float, Device::Cpu)),
                Tensor::zeros([1000], (Kind::Float, Device::Cpu)),
            ]
        };
        let (slices, operations) = (make(), make());
        let mut scratch = Scratch::default();
        let handles = |tensors: &[Tensor; 4]| tensors.each_ref().map(Tensor::shallow_clone);
        for number in 1..6 {
            let step = AdamwStep::new(&adamw, 0.01, 0.7, number);
            step.by_slices(handles(&slices), &mut scratch).unwrap();
            step.by_operations(handles(&operations), &mut scratch).unwrap();
        }
        for (index, (a, b)) in slices.iter().zip(&operations).enumerate() {
            let off = (a - b).abs().max().double_value(&[]);
            assert!(off < 5e-7, "tensor {index} differs by {off:e}");
        }
        assert!((&slices[0] - new(0.3)).abs().max().double_value(&[]) > 0.01);
    }
}
