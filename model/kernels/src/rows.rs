//! What is done to each row alone: norms, rotary embeddings, gated activations, and the vocabulary's log-softmax.
//!
//! `x` is [rows, width] with `width` given by the weight or the argument; results go to `out` of the same shape. All
//! functions panic when shapes do not fit. Rows are divided among the pool's threads; what is computed for one does not
//! depend on that.

pub(crate) mod activation;
mod norm;

pub use activation::Activation;

use crate::isa::Isa;
use crate::loops::{Kernel, dispatch};
use crate::slices::for_rows;
use crate::{Pool, vocabulary};

/// The norm `x / sqrt(mean(x^2) + eps) * (offset + weight)`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm<'a> {
    /// `[width]`.
    pub weight: &'a [f32],
    /// Added to the mean of squares.
    pub eps: f32,
    /// 0, or 1 where the stored weight is the difference from one (Gemma).
    pub offset: f32,
}

/// The norm `(x - mean) / sqrt(variance + eps) * weight + bias`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// `[width]`.
    pub weight: &'a [f32],
    /// `[width]`.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

/// Norms each row of `x` into `out`, both [rows, width].
pub fn rms_norm(pool: &Pool, norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]) {
    rms_norm_by(Isa::best(), pool, norm, x, out);
}

fn rms_norm_by(isa: Isa, pool: &Pool, norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]) {
    let width = norm.weight.len();
    assert_eq!(x.len(), out.len(), "a norm keeps the shape");
    for_rows(pool, out, width, 2 * width, |rows, out| {
        dispatch(isa, norm::Rms { norm: *norm, x: &x[rows.start * width..rows.end * width], out });
    });
}

/// Norms each row of `x` into `out`, both [rows, width].
pub fn layer_norm(pool: &Pool, norm: &LayerNorm<'_>, x: &[f32], out: &mut [f32]) {
    layer_norm_by(Isa::best(), pool, norm, x, out);
}

fn layer_norm_by(isa: Isa, pool: &Pool, norm: &LayerNorm<'_>, x: &[f32], out: &mut [f32]) {
    let width = norm.weight.len();
    assert!(x.len() == out.len() && norm.bias.len() == width, "a norm keeps the shape, and has a bias for each weight");
    for_rows(pool, out, width, 3 * width, |rows, out| {
        dispatch(isa, norm::Layer { norm: *norm, x: &x[rows.start * width..rows.end * width], out });
    });
}

/// Rotates the heads of `x` [rows, heads, `head_dim`] in place for any number of heads, in the "rotate half" layout: element
/// `i` with element `i + head_dim / 2` by the angle whose cosine and sine stand at `cos[row][i]`, `sin[row][i]`
/// ([rows, `head_dim / 2`]).
pub fn rotate(pool: &Pool, x: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    rotate_by(Isa::best(), pool, x, Angles { head_dim, cos, sin });
}

#[derive(Clone, Copy)]
struct Angles<'a> {
    head_dim: usize,
    cos: &'a [f32],
    sin: &'a [f32],
}

fn rotate_by(isa: Isa, pool: &Pool, x: &mut [f32], angles: Angles<'_>) {
    let Angles { head_dim, cos, sin } = angles;
    let half = head_dim / 2;
    let rows = cos.len() / half.max(1);
    assert!(half > 0 && head_dim == 2 * half && cos.len() == rows * half, "angles are [rows, head_dim / 2]");
    assert_eq!(cos.len(), sin.len(), "as many sines as cosines");
    if x.is_empty() {
        return;
    }
    assert!(rows > 0 && x.len().is_multiple_of(rows * head_dim), "x is [rows, heads, {head_dim}]");
    let width = x.len() / rows;
    for_rows(pool, x, width, width, |rows, x| {
        let (cos, sin) = (&cos[rows.start * half..rows.end * half], &sin[rows.start * half..rows.end * half]);
        dispatch(isa, Rotation { x, width, angles: Angles { head_dim, cos, sin } });
    });
}

struct Rotation<'a> {
    x: &'a mut [f32],
    width: usize,
    angles: Angles<'a>,
}

impl Kernel for Rotation<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Angles { head_dim, cos, sin } = self.angles;
        let half = head_dim / 2;
        for (row, x) in self.x.chunks_exact_mut(self.width).enumerate() {
            let (cos, sin) = (&cos[row * half..][..half], &sin[row * half..][..half]);
            for head in x.chunks_exact_mut(head_dim) {
                let (low, high) = head.split_at_mut(half);
                for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
                }
            }
        }
    }
}

/// `activation(gate) * up` for `gate_up` [rows, 2 x width] (gate first) into `out` [rows, width].
pub fn gated(pool: &Pool, activation: Activation, gate_up: &[f32], width: usize, out: &mut [f32]) {
    gated_by(Isa::best(), pool, activation, (gate_up, width), out);
}

pub(crate) fn gated_by(isa: Isa, pool: &Pool, activation: Activation, gate_up: (&[f32], usize), out: &mut [f32]) {
    let (gate_up, width) = gate_up;
    assert_eq!(gate_up.len(), 2 * out.len(), "gate and up are each as wide as the result");
    for_rows(pool, out, width, 8 * width, |rows, out| {
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gate_up[row * 2 * width..][..2 * width].split_at(width);
            dispatch(isa, activation::Gated { activation, gate, up, out });
        }
    });
}

/// `activation(x)` in place.
pub fn activate_all(pool: &Pool, activation: Activation, x: &mut [f32]) {
    activate_all_by(Isa::best(), pool, activation, x);
}

fn activate_all_by(isa: Isa, pool: &Pool, activation: Activation, x: &mut [f32]) {
    for_rows(pool, x, 1, 8, |_, x| dispatch(isa, activation::InPlace { activation, x }));
}

/// `log(sum(exp(logits)))` of each row of `logits` [rows, width] into `out` `[rows]`.
pub fn log_sum_exp(pool: &Pool, logits: &[f32], width: usize, out: &mut [f32]) {
    assert_eq!(logits.len(), out.len() * width, "logits are [rows, {width}]");
    for_rows(pool, out, 1, 8 * width, |rows, out| {
        let (mut maxima, mut sums) = (Vec::new(), Vec::new());
        for (row, out) in rows.zip(out) {
            let logits = &logits[row * width..][..width];
            let max = vocabulary::scan(logits, &mut maxima).max;
            let scale = vocabulary::Scale { max, inverse_temperature: 1.0 };
            *out = vocabulary::log_sum_exp(max, vocabulary::block_sums(logits, scale, &mut sums)) as f32;
        }
    });
}

#[cfg(test)]
mod tests;
