//! The arithmetic of low-rank updates, in the order of sums that defines their results.

use super::{LowRank, Part};
use crate::Format;
use crate::loops::{Kernel, fma};
use crate::matrix::cells::round_to_bf16;

/// Sums that run side by side in a dot product.
const LANES: usize = 64;
/// Outputs computed together.
pub(super) const BLOCK: usize = 64;

/// Packed weights.
#[derive(Debug)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    /// Upper halves of 32-bit floats.
    Bf16(Vec<u16>),
}

impl Numbers {
    pub(super) fn new(values: &[f32], format: Format) -> Self {
        match format {
            Format::F32 => Self::F32(values.to_vec()),
            Format::Bf16 => Self::Bf16(values.iter().map(|value| (round_to_bf16(*value) >> 16) as u16).collect()),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values.as_slice()),
            Self::Bf16(values) => size_of_val(values.as_slice()),
        }
    }
}

/// `up` [outputs, rank] as [block][rank][output in block].
pub(super) fn blocks(up: &[f32], outputs: usize, rank: usize) -> Vec<f32> {
    let mut packed = vec![0.0; outputs.div_ceil(BLOCK) * BLOCK * rank];
    for (output, row) in up.chunks_exact(rank).enumerate() {
        let block = &mut packed[output / BLOCK * BLOCK * rank..];
        for (index, value) in row.iter().enumerate() {
            block[index * BLOCK + output % BLOCK] = *value;
        }
    }
    packed
}

trait Number: Copy {
    const ZERO: Self;
    fn wide(self) -> f32;
}

impl Number for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
}

impl Number for u16 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }
}

/// `out[row] += scale * B (A x[row])` for all rows of `x`.
pub(super) struct AddRows<'a> {
    pub(super) update: &'a LowRank,
    pub(super) x: &'a [f32],
    /// Of `out`.
    pub(super) width: usize,
    pub(super) out: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { update, x, width, out } = self;
        let mut small = vec![0.0; x.len() / update.inputs * update.rank];
        match &update.down {
            Numbers::F32(down) => shrink::<f32, FMA>(update, down, x, &mut small),
            Numbers::Bf16(down) => shrink::<u16, FMA>(update, down, x, &mut small),
        }
        for part in &update.parts {
            match &part.up {
                Numbers::F32(up) => expand::<f32, FMA>((update.rank, part), up, &small, width, out),
                Numbers::Bf16(up) => expand::<u16, FMA>((update.rank, part), up, &small, width, out),
            }
        }
    }
}

/// `small[row] = scale * A x[row]`, with the scale of each row of A.
#[inline(always)]
fn shrink<N: Number, const FMA: bool>(update: &LowRank, down: &[N], x: &[f32], small: &mut [f32]) {
    for part in &update.parts {
        for index in part.first..part.first + part.rank {
            let weight = &down[index * update.inputs..][..update.inputs];
            for (x, small) in x.chunks_exact(update.inputs).zip(small.chunks_exact_mut(update.rank)) {
                small[index] = dot::<N, FMA>(weight, x) * part.scale;
            }
        }
    }
}

/// `out[row][part's columns] += B small[row]`.
#[inline(always)]
fn expand<N: Number, const FMA: bool>(
    (rank, part): (usize, &Part),
    up: &[N],
    small: &[f32],
    width: usize,
    out: &mut [f32],
) {
    for (block, weights) in up.chunks_exact(BLOCK * part.rank).enumerate() {
        let start = part.column + block * BLOCK;
        let count = BLOCK.min(part.outputs - block * BLOCK);
        for (small, out) in small.chunks_exact(rank).zip(out.chunks_exact_mut(width)) {
            let mut sums = [0.0f32; BLOCK];
            for (small, weights) in small[part.first..][..part.rank].iter().zip(weights.as_chunks::<BLOCK>().0) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = fma::<FMA>(*small, weight.wide(), *sum);
                }
            }
            for (out, sum) in out[start..start + count].iter_mut().zip(&sums) {
                *out += sum;
            }
        }
    }
}

#[inline(always)]
fn dot<N: Number, const FMA: bool>(weight: &[N], x: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let ((weights, weight_rest), (xs, x_rest)) = (weight.as_chunks::<LANES>(), x.as_chunks::<LANES>());
    for (weight, x) in weights.iter().zip(xs) {
        add_products::<N, FMA>(weight, x, &mut sums);
    }
    if !x_rest.is_empty() {
        // Filled up rather than shorter, so that the sums stay in registers.
        let (mut weight, mut x) = ([N::ZERO; LANES], [0.0; LANES]);
        weight[..weight_rest.len()].copy_from_slice(weight_rest);
        x[..x_rest.len()].copy_from_slice(x_rest);
        add_products::<N, FMA>(&weight, &x, &mut sums);
    }
    total(sums)
}

#[inline(always)]
fn add_products<N: Number, const FMA: bool>(weight: &[N; LANES], x: &[f32; LANES], sums: &mut [f32; LANES]) {
    let mut wide = [0.0f32; LANES];
    for (wide, weight) in wide.iter_mut().zip(weight) {
        *wide = weight.wide();
    }
    for lane in 0..LANES {
        sums[lane] = fma::<FMA>(wide[lane], x[lane], sums[lane]);
    }
}

/// The sum of the lanes, by halves.
#[inline(always)]
fn total(sums: [f32; LANES]) -> f32 {
    let halved = |sums: &[f32], out: &mut [f32]| {
        let (low, high) = sums.split_at(out.len());
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            *out = low + high;
        }
    };
    let (mut a, mut b, mut c) = ([0.0f32; LANES / 2], [0.0f32; LANES / 4], [0.0f32; LANES / 8]);
    halved(&sums, &mut a);
    halved(&a, &mut b);
    halved(&b, &mut c);
    c.iter().sum()
}
