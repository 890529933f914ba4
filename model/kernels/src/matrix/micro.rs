//! The innermost product: some rows with one panel of weights.
//!
//! A panel holds [`LANES`] outputs. Step `s` of it holds, for each output, one cell: a 32-bit float of input `s`, or the
//! bfloat16 numbers of inputs `2 s` (low half) and `2 s + 1`. Rows of inputs are cells in the same order. Each output is one
//! chain of additions over the steps, the same however many rows are computed together: this is what makes the product
//! row-invariant.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::Format;
use crate::isa::{Form, Isa};
use crate::memory::Plain;

/// Outputs of a panel.
pub(crate) const LANES: usize = 32;
/// Most rows of one call.
pub(crate) const MOST_ROWS: usize = 12;

/// How far ahead of their use weights are fetched.
const AHEAD_BYTES: usize = 3072;

/// One step of a panel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(crate) struct Step(pub(crate) [u32; LANES]);

// SAFETY: numbers, aligned to 128 bytes.
unsafe impl Plain for Step {}

/// The steps of a panel, and what to fetch from memory meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel<'a> {
    pub(crate) steps: &'a [Step],
    /// Where to fetch at the first step: a hint, which may point anywhere.
    soon: *const u8,
    /// By how many bytes that moves on with each step.
    pace: usize,
}

impl<'a> Panel<'a> {
    /// Block `block` of `blocks` blocks of rows. The first fetches its own weights shortly before their use; the others,
    /// which find theirs in the cache, fetch the panel behind it in equal shares.
    pub(crate) fn new(steps: &'a [Step], block: usize, blocks: usize) -> Self {
        let first = steps.as_ptr().cast::<u8>();
        let bytes = size_of_val(steps);
        if block == 0 {
            return Self { steps, soon: first.wrapping_add(AHEAD_BYTES), pace: size_of::<Step>() };
        }
        let shares = blocks - 1;
        Self { steps, soon: first.wrapping_add(bytes + bytes * (block - 1) / shares), pace: size_of::<Step>() / shares }
    }
}

/// Outputs of one call: [row][lane].
pub(crate) type Tile = [[f32; LANES]; MOST_ROWS];

/// Rows of inputs as cells; row `r` begins at `r * stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) cells: &'a [u32],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
}

impl<'a> Inputs<'a> {
    /// Rows `start .. start + rows`.
    pub(crate) fn part(&self, start: usize, rows: usize) -> Inputs<'a> {
        Inputs { cells: &self.cells[start * self.stride..(start + rows) * self.stride], stride: self.stride, rows }
    }
}

/// Products of up to [`MOST_ROWS`] rows with a panel, into the first rows of `tile`.
pub(crate) fn multiply_tile(isa: Isa, format: Format, panel: Panel<'_>, inputs: Inputs<'_>, tile: &mut Tile) {
    assert!(inputs.rows <= MOST_ROWS && inputs.cells.len() >= inputs.rows * inputs.stride, "rows of a tile");
    assert!(panel.steps.len() <= inputs.stride, "a row has a cell for each step");
    match isa.form() {
        // SAFETY: an `Isa` of this form proves that the CPU has its instructions.
        #[cfg(target_arch = "x86_64")]
        Form::Avx512 => unsafe { avx512::multiply_tile(format, panel, inputs, tile) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Form::Avx2 => unsafe { avx2::multiply_tile(format, panel.steps, inputs, tile) },
        Form::Portable => portable::multiply_tile(format, panel.steps, inputs, tile),
    }
}
