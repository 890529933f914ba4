//! One update of gradient descent with momentum on one piece of a weight, in place (Loshchilov & Hutter, 2019,
//! algorithm 1).
//!
//! `momentum = m * momentum + gradient`; the weight moves by `-lr * momentum`, with Nesterov's look ahead by
//! `-lr * (gradient + m * momentum)`, as in PyTorch, without dampening.

use tch::{TchError, Tensor};

use super::pieces::{Scratch, Update};
use super::settings::Sgd;

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct SgdStep {
    sgd: Sgd,
    lr: f64,
    gradient_scale: f64,
}

impl SgdStep {
    pub(super) fn new(sgd: &Sgd, lr: f64, gradient_scale: f64) -> Self {
        Self { sgd: *sgd, lr, gradient_scale }
    }

    fn decay(self, weight: &mut Tensor) -> Result<(), TchError> {
        if self.sgd.weight_decay != 0.0 {
            let _ = weight.f_mul_scalar_(1.0 - self.lr * self.sgd.weight_decay)?;
        }
        Ok(())
    }
}

/// Tensors: weight, gradient.
impl Update<2> for SgdStep {
    fn piece(self, [mut weight, gradient]: [Tensor; 2], scratch: &mut Scratch) -> Result<(), TchError> {
        let (moved, _) = scratch.tensors(&weight)?;
        self.decay(&mut weight)?;
        let _ = weight.f_sub_(&gradient.f_mul_scalar_out(&moved, self.gradient_scale * self.lr)?)?;
        Ok(())
    }
}

/// Tensors: weight, gradient, momentum.
impl Update<3> for SgdStep {
    fn piece(self, [mut weight, gradient, mut momentum]: [Tensor; 3], scratch: &mut Scratch) -> Result<(), TchError> {
        let (scaled, moved) = scratch.tensors(&weight)?;
        let mut scaled = gradient.f_mul_scalar_out(&scaled, self.gradient_scale)?;
        let _ = momentum.f_mul_scalar_(self.sgd.momentum)?.f_add_(&scaled)?;
        let moved = if self.sgd.nesterov {
            let ahead = momentum.f_mul_scalar_out(&moved, self.sgd.momentum)?;
            scaled.f_add_(&ahead)?.f_mul_scalar_(self.lr)?
        } else {
            momentum.f_mul_scalar_out(&moved, self.lr)?
        };
        self.decay(&mut weight)?;
        let _ = weight.f_sub_(&moved)?;
        Ok(())
    }
}
