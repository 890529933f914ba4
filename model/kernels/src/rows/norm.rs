//! Norms of rows.

use super::{LayerNorm, RmsNorm};
use crate::loops::Kernel;

/// Partial sums of a row: added in a fixed order, whatever registers they are in.
const LANES: usize = 16;

/// The sum of `term` over `x`.
#[inline(always)]
fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (lines, rest) = x.as_chunks::<LANES>();
    for line in lines {
        for (lane, x) in lanes.iter_mut().zip(line) {
            *lane += term(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += term(*x);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Norms rows of `x` into `out`.
pub(super) struct Rms<'a> {
    pub(super) norm: RmsNorm<'a>,
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Rms<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let RmsNorm { weight, eps, offset } = self.norm;
        let width = weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let scale = 1.0 / (sum(x, |x| x * x) / width as f32 + eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * (offset + weight);
            }
        }
    }
}

/// Norms rows of `x` into `out`.
pub(super) struct Layer<'a> {
    pub(super) norm: LayerNorm<'a>,
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Layer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let LayerNorm { weight, bias, eps } = self.norm;
        let width = weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * scale * weight + bias;
            }
        }
    }
}
