//! The product with AVX-512: 2 registers of outputs for each of up to 12 rows, so 24 sums in registers.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_castsi512_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps,
    _mm512_load_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::transmute;

use super::{Inputs, LANES, Panel, Tile};
use crate::Format;

/// One function for each number of rows.
macro_rules! by_rows {
    ($rows:expr, $bf16:literal, $panel:expr, $inputs:expr, $tile:expr; $($count:literal)*) => {
        match $rows {
            $($count => rows::<$count, $bf16>($panel, $inputs, $tile),)*
            _ => {}
        }
    };
}

#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn multiply_tile(format: Format, panel: Panel<'_>, inputs: Inputs<'_>, tile: &mut Tile) {
    match format {
        Format::Bf16 => by_rows!(inputs.rows, true, panel, inputs, tile; 1 2 3 4 5 6 7 8 9 10 11 12),
        Format::F32 => by_rows!(inputs.rows, false, panel, inputs, tile; 1 2 3 4 5 6 7 8 9 10 11 12),
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn rows<const ROWS: usize, const BF16: bool>(panel: Panel<'_>, inputs: Inputs<'_>, tile: &mut Tile) {
    debug_assert!(inputs.rows == ROWS && inputs.cells.len() >= ROWS * inputs.stride);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let cells = inputs.cells.as_ptr();
    let mut soon = panel.soon;
    for (index, step) in panel.steps.iter().enumerate() {
        let at = std::ptr::from_ref(step);
        // Hints, which may point past the end.
        _mm_prefetch::<_MM_HINT_T0>(soon.cast());
        _mm_prefetch::<_MM_HINT_T0>(soon.wrapping_add(64).cast());
        soon = soon.wrapping_add(panel.pace);
        // SAFETY: a step is 128 bytes, aligned to them.
        let weights = unsafe { [_mm512_load_si512(at.cast()), _mm512_load_si512(at.cast::<i32>().add(16).cast())] };
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row < ROWS and index < stride, and the cells hold ROWS rows of `stride` (checked by the caller).
            let cell = unsafe { *cells.add(row * inputs.stride + index) };
            let input = _mm512_set1_epi32(cell.cast_signed());
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = if BF16 {
                    // SAFETY: both are 512 bits of plain data.
                    let (input, weight) =
                        unsafe { (transmute::<__m512i, __m512bh>(input), transmute::<__m512i, __m512bh>(weight)) };
                    _mm512_dpbf16_ps(*sum, input, weight)
                } else {
                    _mm512_fmadd_ps(_mm512_castsi512_ps(input), _mm512_castsi512_ps(weight), *sum)
                };
            }
        }
    }
    for (out, sums) in tile.iter_mut().zip(sums) {
        store(out, sums);
    }
}

#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32; LANES], sums: [__m512; 2]) {
    // SAFETY: `out` has 32 numbers, 16 for each register.
    unsafe {
        _mm512_storeu_ps(out.as_mut_ptr(), sums[0]);
        _mm512_storeu_ps(out.as_mut_ptr().add(16), sums[1]);
    }
}
