//! Numbers as cells of the product: 32-bit floats, or pairs of bfloat16.

use crate::Format;

/// Cells of a row of `inputs` numbers.
pub(crate) fn steps(format: Format, inputs: usize) -> usize {
    match format {
        Format::F32 => inputs,
        Format::Bf16 => inputs.div_ceil(2),
    }
}

/// `x` rounded to bfloat16, to the nearest and ties to even, as a 32-bit float's bits. Not-a-number stays so.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    (if x.is_nan() { bits | 0x0040_0000 } else { rounded }) & 0xffff_0000
}

/// `x` as a product sees it.
pub(crate) fn rounded(format: Format, x: f32) -> f32 {
    match format {
        Format::F32 => x,
        Format::Bf16 => f32::from_bits(round_to_bf16(x)),
    }
}

/// Writes the cells of `x` to `cells`, which has [`steps`] of them; an odd last number is paired with 0.
#[inline(always)]
pub(crate) fn write_cells(format: Format, x: &[f32], cells: &mut [u32]) {
    match format {
        Format::F32 => {
            for (cell, x) in cells.iter_mut().zip(x) {
                *cell = x.to_bits();
            }
        }
        Format::Bf16 => {
            let pairs = x.chunks_exact(2);
            if let ([x], Some(cell)) = (pairs.remainder(), cells.last_mut()) {
                *cell = round_to_bf16(*x) >> 16;
            }
            for (cell, pair) in cells.iter_mut().zip(pairs) {
                *cell = round_to_bf16(pair[0]) >> 16 | round_to_bf16(pair[1]);
            }
        }
    }
}

/// Writes the cells of bfloat16 numbers given by their bits.
pub(crate) fn write_bf16_cells(x: &[u16], cells: &mut [u32]) {
    for (cell, pair) in cells.iter_mut().zip(x.chunks(2)) {
        *cell = u32::from(pair[0]) | pair.get(1).map_or(0, |high| u32::from(*high) << 16);
    }
}

/// Number `index` of a row, given its cell.
pub(crate) fn number(format: Format, cell: u32, index: usize) -> f32 {
    f32::from_bits(match format {
        Format::F32 => cell,
        Format::Bf16 if index.is_multiple_of(2) => cell << 16,
        Format::Bf16 => cell & 0xffff_0000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_ties_go_to_even() {
        for (x, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.01 / 256.0, 1.0 + 2.0 / 256.0),
            (-1.0 - 0.99 / 256.0, -1.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (-0.0, -0.0),
        ] {
            assert_eq!(round_to_bf16(x), f32::to_bits(expected), "{x}");
        }
        assert!(f32::from_bits(round_to_bf16(f32::NAN)).is_nan());
        assert!(f32::from_bits(round_to_bf16(f32::from_bits(0x7f80_0001))).is_nan());
    }

    #[test]
    fn cells_give_their_numbers_back() {
        let x = [1.5f32, -2.0, 0.25];
        for format in [Format::F32, Format::Bf16] {
            let mut cells = vec![u32::MAX; steps(format, 3)];
            write_cells(format, &x, &mut cells);
            let per_cell = if format == Format::F32 { 1 } else { 2 };
            let back: Vec<f32> = (0..3).map(|i| number(format, cells[i / per_cell], i)).collect();
            assert_eq!(back, x);
        }
        let mut cells = [0; 2];
        write_bf16_cells(&[0x3fc0, 0xc000, 0x3e80], &mut cells);
        assert_eq!(cells, [0xc000_3fc0, 0x0000_3e80]);
    }
}
