//! The product on any CPU: the definition the other forms are tested against.

use super::{Inputs, LANES, Step, Tile};
use crate::Format;

pub(super) fn multiply_tile(format: Format, panel: &[Step], inputs: Inputs<'_>, tile: &mut Tile) {
    for (row, sums) in tile.iter_mut().enumerate().take(inputs.rows) {
        *sums = [0.0; LANES];
        for (step, input) in panel.iter().zip(&inputs.cells[row * inputs.stride..]) {
            for (sum, weight) in sums.iter_mut().zip(&step.0) {
                match format {
                    Format::F32 => *sum += f32::from_bits(*weight) * f32::from_bits(*input),
                    Format::Bf16 => {
                        *sum += high(*weight) * high(*input);
                        *sum += low(*weight) * low(*input);
                    }
                }
            }
        }
    }
}

fn low(cell: u32) -> f32 {
    f32::from_bits(cell << 16)
}

fn high(cell: u32) -> f32 {
    f32::from_bits(cell & 0xffff_0000)
}
