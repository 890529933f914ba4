//! The arithmetic of a few query rows on one page: scores, weights, and their sums.
//!
//! Written once over [`Lanes`] and instantiated for each instruction set, number format and number of rows. How many rows are
//! computed together changes no bit: each has sums of its own, added up in the same order.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::ops::Range;

use crate::isa::Form;
use crate::vector::avx2::Avx2;
use crate::vector::avx512::Avx512;
use crate::vector::{Lanes, exp2, exp2_rough, tanh};
use crate::{Format, Isa, PAGE_TOKENS};

/// Most rows of a tile, of any instruction set.
const MOST_ROWS: usize = 6;

/// Vectors of a page's scores.
const VECTORS: usize = PAGE_TOKENS / 16;

/// Numbers of a row's sums: `padded_dim` of weighted values, 16 parts of the sum of the weights, and the greatest score so
/// far (in units of the exponent of 2), alone on its cache line.
pub(super) fn record_len(padded_dim: usize) -> usize {
    padded_dim + 32
}

/// Index in the record of the parts of the sum of the weights.
pub(super) fn sum_at(padded_dim: usize) -> usize {
    padded_dim
}

/// Index in the record of the greatest score.
pub(super) fn most_at(padded_dim: usize) -> usize {
    padded_dim + 16
}

/// How scores become exponents of 2: `factor * score`, or with a cap `factor * tanh(score * scale_of_cap)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exponent {
    pub(super) factor: f32,
    pub(super) scale_of_cap: Option<f32>,
}

/// A few query rows and a page.
#[derive(Debug)]
pub(super) struct Tile {
    /// Cells of the queries, `steps` for each row.
    pub(super) query: *const u32,
    pub(super) steps: usize,
    /// Cells of the page's keys and values.
    pub(super) keys: *const u32,
    pub(super) values: *const u32,
    pub(super) padded_dim: usize,
    /// Slots that the rows see; not empty.
    pub(super) seen: Range<usize>,
    /// Records of the rows, one after another.
    pub(super) records: *mut f32,
    pub(super) exponent: Exponent,
}

/// A kernel for a fixed number of rows.
///
/// # Safety
/// The instruction set it was asked for; the pointers of the tile reach as many rows, a whole page of keys and of values,
/// and nobody else uses the records.
pub(super) type Kernel = unsafe fn(&Tile);

/// The kernels of an instruction set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    /// For 1, 2, ... rows.
    of_rows: [Option<Kernel>; MOST_ROWS],
}

macro_rules! kernels {
    ($entry:ident, $pairs:literal, $($rows:literal)*) => {{
        let mut of_rows: [Option<Kernel>; MOST_ROWS] = [None; MOST_ROWS];
        $(of_rows[$rows - 1] = Some($entry::<$rows, $pairs> as Kernel);)*
        Kernels { of_rows }
    }};
}

impl Kernels {
    /// None for the portable form, which does not work on tiles.
    pub(super) fn new(isa: Isa, format: Format) -> Option<Self> {
        match (isa.form(), format) {
            (Form::Avx512, Format::Bf16) => Some(kernels!(avx512, true, 1 2 3 4 6)),
            (Form::Avx512, Format::F32) => Some(kernels!(avx512, false, 1 2 3 4 6)),
            (Form::Avx2, Format::Bf16) => Some(kernels!(avx2, true, 1 2 3)),
            (Form::Avx2, Format::F32) => Some(kernels!(avx2, false, 1 2 3)),
            (Form::Portable, _) => None,
        }
    }

    /// The kernel for the first of `left` rows, and how many rows it takes.
    pub(super) fn first_of(&self, left: usize) -> Option<(usize, Kernel)> {
        // Four and four are faster than six and two.
        let most = if left == 8 || left == 7 { 4 } else { left };
        (1..=most.min(MOST_ROWS)).rev().find_map(|rows| Some((rows, self.of_rows[rows - 1]?)))
    }
}

/// Asks for cells that will be read soon.
pub(super) fn prefetch(cells: &[u32]) {
    const LINE: usize = 64 / size_of::<u32>();
    for line in cells.chunks(LINE) {
        // SAFETY: a hint: it reads nothing into the program, from any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn avx512<const R: usize, const PAIRS: bool>(tile: &Tile) {
    // SAFETY: this function's features, and the caller's promise about the tile.
    unsafe { run::<Avx512, R, PAIRS>(tile) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize, const PAIRS: bool>(tile: &Tile) {
    // SAFETY: this function's features, and the caller's promise about the tile.
    unsafe { run::<Avx2, R, PAIRS>(tile) }
}

/// The weights of the rows for the page's tokens: floats, or cells of two bfloat16.
type Weights<const R: usize> = [[f32; PAGE_TOKENS]; R];

#[inline(always)]
unsafe fn run<V: Lanes, const R: usize, const PAIRS: bool>(tile: &Tile) {
    // SAFETY: the caller's.
    unsafe {
        let mut scores = scores::<V, R, PAIRS>(tile);
        if tile.exponent.scale_of_cap.is_some() || tile.seen != (0..PAGE_TOKENS) {
            adjust::<V, R>(tile, &mut scores);
        }
        let mut weights = [[0.0; PAGE_TOKENS]; R];
        let shrink = weigh::<V, R, PAIRS>(tile, &scores, &mut weights);
        let (mut column, columns) = (0, tile.padded_dim / 16);
        while column < columns {
            column += match columns - column {
                left if left >= 4 && V::COLUMNS >= 4 => add_values::<V, R, 4, PAIRS>(tile, &weights, &shrink, column),
                left if left >= 2 => add_values::<V, R, 2, PAIRS>(tile, &weights, &shrink, column),
                _ => add_values::<V, R, 1, PAIRS>(tile, &weights, &shrink, column),
            };
        }
    }
}

/// `self`'s products with a cell: of two pairs of bfloat16, or of two floats.
#[inline(always)]
unsafe fn multiply_add<V: Lanes, const PAIRS: bool>(sum: V, a: V, b: V) -> V {
    // SAFETY: the caller's.
    unsafe { if PAIRS { sum.dot_pairs(a, b) } else { a.fused(b, sum) } }
}

#[inline(always)]
unsafe fn scores<V: Lanes, const R: usize, const PAIRS: bool>(tile: &Tile) -> [[V; VECTORS]; R] {
    // SAFETY: the caller's: `query` has R x steps cells and `keys` steps x PAGE_TOKENS.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; R];
        for step in 0..tile.steps {
            let keys = tile.keys.add(step * PAGE_TOKENS).cast::<f32>();
            let keys: [V; VECTORS] = std::array::from_fn(|vector| V::load(keys.add(16 * vector)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let query = V::splat(*tile.query.add(row * tile.steps + step).cast::<f32>());
                for (sum, keys) in sums.iter_mut().zip(keys) {
                    *sum = multiply_add::<V, PAIRS>(*sum, query, keys);
                }
            }
        }
        sums
    }
}

/// Caps the scores, and hides those of slots that are not seen.
#[inline(always)]
unsafe fn adjust<V: Lanes, const R: usize>(tile: &Tile, scores: &mut [[V; VECTORS]; R]) {
    let seen = ((1u64 << tile.seen.end) - (1u64 << tile.seen.start)) as u32;
    // SAFETY: the caller's.
    unsafe {
        for scores in scores {
            for (vector, score) in scores.iter_mut().enumerate() {
                if let Some(scale) = tile.exponent.scale_of_cap {
                    *score = tanh(score.mul(V::splat(scale)));
                }
                *score = score.select((seen >> (16 * vector)) as u16, V::splat(f32::NEG_INFINITY));
            }
        }
    }
}

/// The weights of the scores; updates the greatest score and the sum of the weights of each row, and gives the factor by which
/// its older sums shrink.
#[inline(always)]
unsafe fn weigh<V: Lanes, const R: usize, const PAIRS: bool>(
    tile: &Tile,
    scores: &[[V; VECTORS]; R],
    weights: &mut Weights<R>,
) -> [f32; 16] {
    let record = record_len(tile.padded_dim);
    let (mut before, mut after) = ([0.0f32; 16], [0.0f32; 16]);
    // SAFETY: the caller's: `records` has R of them, and arrays of sixteen are sixteen.
    unsafe {
        for (row, scores) in scores.iter().enumerate() {
            let most = scores.iter().skip(1).fold(scores[0], |most, score| most.most(*score)).reduce_most();
            let kept = tile.records.add(row * record + most_at(tile.padded_dim));
            before[row] = *kept;
            after[row] = before[row].max(most * tile.exponent.factor);
            *kept = after[row];
        }
        let mut shrink = [0.0f32; 16];
        exp2(V::load(before.as_ptr()).sub(V::load(after.as_ptr()))).store(shrink.as_mut_ptr());
        for (row, scores) in scores.iter().enumerate() {
            let factor = V::splat(tile.exponent.factor);
            let least = V::splat(-after[row]);
            let sums = tile.records.add(row * record + sum_at(tile.padded_dim));
            let mut sum = V::load(sums).mul(V::splat(shrink[row]));
            let out = weights[row].as_mut_ptr();
            if PAIRS {
                let ones = V::splat(f32::from_bits(0x3f80_3f80));
                for (index, scores) in scores.chunks_exact(2).enumerate() {
                    let low = exp2_rough(scores[0].fused(factor, least));
                    let high = exp2_rough(scores[1].fused(factor, least));
                    let pairs = V::pack_pairs(low, high);
                    pairs.store(out.add(16 * index));
                    sum = sum.dot_pairs(ones, pairs);
                }
            } else {
                for (index, score) in scores.iter().enumerate() {
                    let weight = exp2(score.fused(factor, least));
                    weight.store(out.add(16 * index));
                    sum = sum.add(weight);
                }
            }
            sum.store(sums);
        }
        shrink
    }
}

/// Adds the weighted values of `C` vectors of dimensions from vector `column` on; gives `C`.
#[inline(always)]
unsafe fn add_values<V: Lanes, const R: usize, const C: usize, const PAIRS: bool>(
    tile: &Tile,
    weights: &Weights<R>,
    shrink: &[f32; 16],
    column: usize,
) -> usize {
    let record = record_len(tile.padded_dim);
    let tokens = if PAIRS { 2 } else { 1 };
    let cells = tile.seen.start / tokens..tile.seen.end.div_ceil(tokens);
    // A slot that is not seen may hold anything, and 0 x NaN is not 0: it is cut from the pair it shares with one that is.
    let cut = |cell: usize| (tile.seen.start > tokens * cell, tile.seen.end < tokens * (cell + 1));
    // SAFETY: the caller's: `records` has R of them, `values` a row of padded_dim cells for each of the page's cells.
    unsafe {
        let mut sums = [[V::splat(0.0); C]; R];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (index, sum) in sums.iter_mut().enumerate() {
                let from = tile.records.add(row * record + 16 * (column + index));
                *sum = V::load(from).mul(V::splat(shrink[row]));
            }
        }
        for cell in cells {
            let values = tile.values.add(cell * tile.padded_dim + 16 * column).cast::<f32>();
            let mut values: [V; C] = std::array::from_fn(|index| V::load(values.add(16 * index)));
            if PAIRS && cut(cell) != (false, false) {
                let (low, high) = cut(cell);
                values = values.map(|values| values.mask_pairs(!low, !high));
            }
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = V::splat(weights[cell]);
                for (sum, values) in sums.iter_mut().zip(values) {
                    *sum = multiply_add::<V, PAIRS>(*sum, weight, values);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (index, sum) in sums.iter().enumerate() {
                sum.store(tile.records.add(row * record + 16 * (column + index)));
            }
        }
    }
    C
}
