//! The product with AVX2 and FMA: 4 registers of outputs for each of up to 2 rows. bfloat16 numbers are widened by shifts.

use std::arch::x86_64::{
    __m256, __m256i, _mm256_and_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_load_si256, _mm256_set1_epi32,
    _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
};

use super::{Inputs, LANES, Step, Tile};
use crate::Format;

#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply_tile(format: Format, panel: &[Step], inputs: Inputs<'_>, tile: &mut Tile) {
    for (pair, tile) in tile.chunks_mut(2).enumerate() {
        let start = pair * 2;
        match (inputs.rows.saturating_sub(start), format) {
            (0, _) => return,
            (1, Format::F32) => rows::<1, false>(panel, inputs.part(start, 1), tile),
            (1, Format::Bf16) => rows::<1, true>(panel, inputs.part(start, 1), tile),
            (_, Format::F32) => rows::<2, false>(panel, inputs.part(start, 2), tile),
            (_, Format::Bf16) => rows::<2, true>(panel, inputs.part(start, 2), tile),
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn rows<const ROWS: usize, const BF16: bool>(panel: &[Step], inputs: Inputs<'_>, tile: &mut [[f32; LANES]]) {
    debug_assert!(inputs.rows == ROWS && inputs.cells.len() >= ROWS * inputs.stride && panel.len() <= inputs.stride);
    let mut sums = [[_mm256_setzero_ps(); 4]; ROWS];
    let cells = inputs.cells.as_ptr();
    for (index, step) in panel.iter().enumerate() {
        let at = std::ptr::from_ref(step).cast::<__m256i>();
        let mut row_cells = [_mm256_set1_epi32(0); ROWS];
        for (row, cell) in row_cells.iter_mut().enumerate() {
            // SAFETY: row < ROWS and index < stride, and the cells hold ROWS rows of `stride` (checked by the caller).
            *cell = _mm256_set1_epi32(unsafe { *cells.add(row * inputs.stride + index) }.cast_signed());
        }
        for quarter in 0..4 {
            // SAFETY: a step is 128 bytes, 4 registers, aligned to them.
            let weight = unsafe { _mm256_load_si256(at.add(quarter)) };
            for (sums, input) in sums.iter_mut().zip(row_cells) {
                sums[quarter] = accumulate::<BF16>(sums[quarter], input, weight);
            }
        }
    }
    for (out, sums) in tile.iter_mut().zip(sums) {
        for (out, sum) in out.chunks_exact_mut(8).zip(sums) {
            // SAFETY: `out` has 8 numbers.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn accumulate<const BF16: bool>(sum: __m256, input: __m256i, weight: __m256i) -> __m256 {
    if BF16 {
        let sum = _mm256_fmadd_ps(high(input), high(weight), sum);
        _mm256_fmadd_ps(low(input), low(weight), sum)
    } else {
        _mm256_fmadd_ps(_mm256_castsi256_ps(input), _mm256_castsi256_ps(weight), sum)
    }
}

#[target_feature(enable = "avx2,fma")]
fn low(cells: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(cells))
}

#[target_feature(enable = "avx2,fma")]
fn high(cells: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_and_si256(cells, _mm256_set1_epi32(0xffff_0000_u32.cast_signed())))
}
