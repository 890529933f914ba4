//! AdamW with decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 2), on f32 weights with f32 moments.
//!
//! Works through each tensor in pieces that stay in the processor's cache: an update touches seven times the weights' bytes, and
//! with whole-tensor operations the memory bus, not arithmetic, would set its pace.

use tch::{Kind, TchError, Tensor};

/// Settings that do not change between steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adamw {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Applied to matrices only: norms and biases are not decayed.
    pub weight_decay: f64,
}

impl Adamw {
    /// Betas 0.9 and 0.95, eps 1e-8.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay }
    }
}

/// Elements of one piece: 256 KiB of f32.
const PIECE: i64 = 1 << 16;

/// The optimiser of one round: weights, and two moments for each.
#[derive(Debug)]
pub struct Optimiser {
    settings: Adamw,
    slots: Vec<Slot>,
    steps: i32,
}

#[derive(Debug)]
struct Slot {
    weight: Tensor,
    /// A flat view of the weight's memory.
    flat: Tensor,
    mean: Tensor,
    square: Tensor,
    decay: f64,
}

/// The numbers of one step, the same for all tensors.
#[derive(Debug, Clone, Copy)]
struct Step {
    lr: f64,
    step_size: f64,
    root_correction: f64,
}

impl Optimiser {
    /// Takes second handles on `weights`: contiguous f32 leaves, updated in place by [`Optimiser::step`].
    ///
    /// # Errors
    /// What libtorch says, for example when there is no memory for the moments or a tensor is not contiguous.
    pub fn new(weights: &[Tensor], settings: Adamw) -> Result<Self, TchError> {
        let slots = weights.iter().map(|weight| {
            let flat = weight.f_detach()?.f_view([-1i64])?;
            Ok(Slot {
                weight: weight.shallow_clone(),
                mean: flat.f_zeros_like()?,
                square: flat.f_zeros_like()?,
                flat,
                decay: if weight.dim() > 1 { settings.weight_decay } else { 0.0 },
            })
        });
        Ok(Self { settings, slots: slots.collect::<Result<_, TchError>>()?, steps: 0 })
    }

    /// One update from the gradients the weights hold now, scaled by `gradient_scale`. A weight without a gradient is left as it
    /// is.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn step(&mut self, lr: f64, gradient_scale: f64) -> Result<(), TchError> {
        self.steps += 1;
        let Adamw { beta1, beta2, .. } = self.settings;
        let step = Step {
            lr,
            step_size: lr / (1.0 - beta1.powi(self.steps)),
            root_correction: (1.0 - beta2.powi(self.steps)).sqrt(),
        };
        tch::no_grad(|| {
            for slot in &mut self.slots {
                let gradient = slot.weight.f_grad()?;
                if !gradient.defined() {
                    continue;
                }
                let gradient = gradient.f_reshape([-1i64])?;
                update(slot, &gradient, gradient_scale, step, self.settings)?;
            }
            Ok(())
        })
    }
}

fn update(slot: &Slot, gradient: &Tensor, scale: f64, step: Step, settings: Adamw) -> Result<(), TchError> {
    let length = slot.flat.numel() as i64;
    for start in (0..length).step_by(PIECE as usize) {
        let piece = |tensor: &Tensor| tensor.f_narrow(0, start, PIECE.min(length - start));
        let (mut weight, mut mean, mut square) = (piece(&slot.flat)?, piece(&slot.mean)?, piece(&slot.square)?);
        let gradient = piece(gradient)?.f_mul_scalar(scale)?;
        if slot.decay != 0.0 {
            let _ = weight.f_mul_scalar_(1.0 - step.lr * slot.decay)?;
        }
        let _ = mean.f_lerp_(&gradient, 1.0 - settings.beta1)?;
        let squared = gradient.f_square()?.f_mul_scalar(1.0 - settings.beta2)?;
        let _ = square.f_mul_scalar_(settings.beta2)?.f_add_(&squared)?;
        let mut root = square.f_sqrt()?;
        let _ = root.f_div_scalar_(step.root_correction)?.f_add_scalar_(settings.eps)?;
        let _ = weight.f_sub_(&mean.f_div(&root)?.f_mul_scalar(step.step_size)?)?;
    }
    Ok(())
}

/// The 2-norm of the gradients of `weights` taken as one vector, accumulated in f64.
///
/// # Errors
/// What libtorch says.
pub fn gradient_norm(weights: &[Tensor]) -> Result<f64, TchError> {
    let mut sum = 0.0;
    for weight in weights {
        let gradient = weight.f_grad()?;
        if gradient.defined() {
            sum += gradient.f_norm()?.f_to_kind(Kind::Double)?.f_double_value(&[])?.powi(2);
        }
    }
    Ok(sum.sqrt())
}

/// The factor that brings gradients of norm `norm` to at most `limit`.
#[must_use]
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn the_first_step_moves_each_weight_by_the_learning_rate() {
        let weight = leaf(&[1.0, -2.0, 3.0]);
        (&weight * Tensor::from_slice(&[5.0f32, -0.01, 70.0])).sum(Kind::Float).backward();
        let mut optimiser = Optimiser::new(std::slice::from_ref(&weight), Adamw::new(0.1)).unwrap();
        optimiser.step(0.5, 1.0).unwrap();
        let moved: Vec<f32> = Vec::try_from(weight.detach()).unwrap();
        // Adam's first step is lr * sign(gradient); a vector is not decayed.
        for (value, wanted) in moved.iter().zip([0.5, -1.5, 2.5]) {
            assert!((value - wanted).abs() < 1e-4, "{moved:?}");
        }
    }

    #[test]
    fn a_tensor_longer_than_a_piece_is_updated_to_its_end() {
        let weight = Tensor::ones([PIECE * 2 + 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        weight.sum(Kind::Float).backward();
        Optimiser::new(std::slice::from_ref(&weight), Adamw::new(0.0)).unwrap().step(0.25, 1.0).unwrap();
        let (least, most) = (weight.min().double_value(&[]), weight.max().double_value(&[]));
        assert!((least - 0.75).abs() < 1e-6 && (most - 0.75).abs() < 1e-6, "{least} {most}");
    }

    #[test]
    fn the_norm_is_over_all_tensors_and_clipping_only_shrinks() {
        let weights = [leaf(&[1.0]), leaf(&[1.0, 1.0])];
        (&weights[0] * 3.0).sum(Kind::Float).backward();
        (&weights[1] * Tensor::from_slice(&[0.0f32, 4.0])).sum(Kind::Float).backward();
        assert!((gradient_norm(&weights).unwrap() - 5.0).abs() < 1e-6);
        assert!((clip_scale(5.0, 1.0) - 0.2).abs() < 1e-12);
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
    }
}
