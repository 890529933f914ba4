//! One update of Muon on a whole matrix: momentum, orthogonalised by Newton-Schulz iteration (Jordan et al., 2024).
//!
//! `momentum` is a running mean of gradients; the weight moves by `-lr * 0.2 * sqrt(max(rows, columns))` times the
//! orthogonalised momentum (Liu et al., 2025). Momentum and weights are f32; the iteration is made for less, and may run in
//! bfloat16, as its authors' does.

use tch::{Kind, TchError, Tensor};

use super::settings::Muon;

/// The root mean square that Liu et al. measure for updates of AdamW.
const ADAMW_RMS: f64 = 0.2;

/// Coefficients of the quintic, chosen for its slope at 0 (Jordan et al., 2024): singular values end within about 0.7
/// to 1.2.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Keeps a gradient of zeros from dividing by 0.
const EPS: f64 = 1e-7;

/// One update of `weight` (a detached matrix) from its gradient, times `gradient_scale`.
pub(super) fn update(
    weight: &mut Tensor,
    gradient: &Tensor,
    momentum: &mut Tensor,
    muon: &Muon,
    (lr, gradient_scale): (f64, f64),
) -> Result<(), TchError> {
    let scaled = gradient.f_mul_scalar(gradient_scale)?;
    let _ = momentum.f_lerp_(&scaled, 1.0 - muon.momentum)?;
    let direction = if muon.nesterov { scaled.f_lerp(momentum, muon.momentum)? } else { momentum.shallow_clone() };
    let direction = if muon.bf16 { direction.f_to_kind(Kind::BFloat16)? } else { direction };
    let mut moved = orthogonalise(&direction, muon.newton_schulz_steps)?.f_to_kind(Kind::Float)?;
    let longer = weight.size().into_iter().max().unwrap_or(0);
    if muon.weight_decay != 0.0 {
        let _ = weight.f_mul_scalar_(1.0 - lr * muon.weight_decay)?;
    }
    let _ = weight.f_sub_(&moved.f_mul_scalar_(lr * ADAMW_RMS * (longer as f64).sqrt())?)?;
    Ok(())
}

/// About the orthogonal matrix nearest to `matrix` \[m, n\] (`U V'` of its singular value decomposition): its singular
/// vectors stay, its singular values come near 1 in `steps` iterations. A matrix of zeros stays one. Computed in the kind
/// of `matrix`, f32 or bfloat16; it stays as it is.
///
/// # Errors
/// What libtorch says, for example of a tensor that is not a matrix.
pub fn orthogonalise(matrix: &Tensor, steps: u32) -> Result<Tensor, TchError> {
    let (rows, columns) = matrix.size2()?;
    // The Gram matrix is on the shorter side.
    let mut current = if rows > columns { matrix.f_transpose(0, 1)?.f_contiguous()? } else { matrix.shallow_clone() };
    let norm = current.f_norm()?.f_clamp_min(EPS)?;
    // A batch of one: tch has no constants for products of single matrices, and each rounding between would cost precision
    // in bfloat16.
    current = current.f_div(&norm)?.f_unsqueeze(0)?;
    let [a, b, c] = QUINTIC;
    for _ in 0..steps {
        let gram = current.f_bmm(&current.f_transpose(1, 2)?)?;
        let change = gram.f_baddbmm(&gram, &gram, b, c)?;
        current = current.f_baddbmm(&change, &current, a, 1.0)?;
    }
    let current = current.f_squeeze_dim(0)?;
    if rows > columns { current.f_transpose(0, 1) } else { Ok(current) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn singular_values_come_near_one_and_singular_vectors_stay() {
        for shape in [[24, 40], [40, 24], [16, 16]] {
            let numbers = Tensor::arange(shape[0] * shape[1], (Kind::Double, Device::Cpu)).square();
            let matrix = numbers.sin().to_kind(Kind::Float).reshape(shape);
            let found = orthogonalise(&matrix, 5).unwrap();
            assert_eq!(found.size(), shape);
            let (u, values, v) = found.svd(true, true);
            let (least, most) = (values.min().double_value(&[]), values.max().double_value(&[]));
            // The quintic's band, but for values that began near 0.
            assert!(least > 0.3 && most < 1.25, "singular values in {least}..{most}");
            let (wanted_u, _, wanted_v) = matrix.svd(true, true);
            let polar = |u: &Tensor, v: &Tensor| u.mm(&v.transpose(0, 1));
            let off = (polar(&u, &v) - polar(&wanted_u, &wanted_v)).abs().max().double_value(&[]);
            assert!(off < 1e-3, "{off:e}");
        }
    }

    #[test]
    fn a_gradient_of_zeros_moves_nothing() {
        let zeros = Tensor::zeros([3, 5], (Kind::Float, Device::Cpu));
        assert_eq!(orthogonalise(&zeros, 5).unwrap().abs().max().double_value(&[]), 0.0);
    }
}
