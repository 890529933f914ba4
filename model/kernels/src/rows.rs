//! What is done to each row alone: norms, rotary embeddings, gated activations, and the vocabulary's log-softmax.
//!
//! `x` is [rows, width] with `width` given by the weight or the argument; results go to `out` of the same shape.

use crate::Pool;

/// The norm `x / sqrt(mean(x^2) + eps) * (offset + weight)`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm<'a> {
    /// [width].
    pub weight: &'a [f32],
    /// Added to the mean of squares.
    pub eps: f32,
    /// 0, or 1 where the stored weight is the difference from one (Gemma).
    pub offset: f32,
}

/// The norm `(x - mean) / sqrt(variance + eps) * weight + bias`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// [width].
    pub weight: &'a [f32],
    /// [width].
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

/// Norms each row of `x` into `out`, both [rows, width].
pub fn rms_norm(pool: &Pool, norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]) {
    let _ = pool;
    let RmsNorm { weight, eps, offset } = *norm;
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let square: f32 = x.iter().map(|x| x * x).sum::<f32>() / width as f32;
        let scale = 1.0 / (square + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * (offset + weight);
        }
    }
}

/// Norms each row of `x` into `out`, both [rows, width].
pub fn layer_norm(pool: &Pool, norm: &LayerNorm<'_>, x: &[f32], out: &mut [f32]) {
    let _ = pool;
    let LayerNorm { weight, bias, eps } = *norm;
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = x.iter().sum::<f32>() / width as f32;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32;
        let scale = 1.0 / (variance + eps).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * scale * weight + bias;
        }
    }
}

/// Rotates the heads of `x` [rows, heads, `head_dim`] in place for any number of heads, in the "rotate half" layout: element `i` with element
/// `i + head_dim / 2` by the angle whose cosine and sine stand at `cos[row][i]`, `sin[row][i]` ([rows, `head_dim` / 2]).
pub fn rotate(pool: &Pool, x: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    let _ = pool;
    let half = head_dim / 2;
    let row_width = x.len() / (cos.len() / half).max(1);
    for (row, x) in x.chunks_exact_mut(row_width.max(1)).enumerate() {
        let (cos, sin) = (&cos[row * half..][..half], &sin[row * half..][..half]);
        for head in x.chunks_exact_mut(head_dim) {
            let (low, high) = head.split_at_mut(half);
            for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
            }
        }
    }
}

/// The activation of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU by its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// GELU by the error function.
    Gelu,
}

/// `activation(gate) * up` for `gate_up` [rows, 2 x width] (gate first) into `out` [rows, width].
pub fn gated(pool: &Pool, activation: Activation, gate_up: &[f32], width: usize, out: &mut [f32]) {
    let _ = pool;
    for (gate_up, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gate, up) = gate_up.split_at(width);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = activation.of(*gate) * up;
        }
    }
}

/// `activation(x)` in place.
pub fn activate_all(pool: &Pool, activation: Activation, x: &mut [f32]) {
    let _ = pool;
    for x in x {
        *x = activation.of(*x);
    }
}

impl Activation {
    pub(crate) fn of(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Gelu => x,
        }
    }
}

/// `log(sum(exp(logits)))` of each row of `logits` [rows, width].
pub fn log_sum_exp(pool: &Pool, logits: &[f32], width: usize, out: &mut [f32]) {
    let _ = pool;
    for (logits, out) in logits.chunks_exact(width).zip(out) {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        *out = most + logits.iter().map(|x| (x - most).exp()).sum::<f32>().ln();
    }
}
