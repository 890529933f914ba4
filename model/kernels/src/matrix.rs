//! Products with a weight that is packed once and used for every token after that.
//!
//! Here is the packed weight; how a product is divided among threads stands in `product`, the arithmetic in `micro`.

pub(crate) mod cells;
mod micro;
mod product;

pub use product::{Product, multiply_all};

use crate::isa::Isa;
use crate::memory::Large;
use crate::rows::Activation;
use crate::{Format, Pool};
use micro::{LANES, Step};

/// Lanes of a panel that hold neighbouring outputs.
const HALF: usize = LANES / 2;

/// What happens to the output of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// `out = product`.
    Store,
    /// `out += product`: the residual connection.
    Add,
    /// `out = activation(gate) * up` [rows, outputs / 2], for a weight packed by [`PackedMatrix::gated`].
    Gate(Activation),
}

/// Where the numbers of a weight come from: row-major [outputs, inputs].
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// The bits of bfloat16 numbers.
    Bf16(&'a [u16]),
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(numbers: &'a [f32]) -> Self {
        Self::F32(numbers)
    }
}

impl<'a> From<&'a [u16]> for Source<'a> {
    fn from(bits: &'a [u16]) -> Self {
        Self::Bf16(bits)
    }
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
        }
    }

    /// Writes row `row` of `inputs` numbers as cells.
    fn write_row(&self, format: Format, row: usize, inputs: usize, cells: &mut [u32]) {
        let range = row * inputs..(row + 1) * inputs;
        match (self, format) {
            (Self::F32(numbers), _) => cells::write_cells(format, &numbers[range], cells),
            (Self::Bf16(numbers), Format::Bf16) => cells::write_bf16_cells(&numbers[range], cells),
            (Self::Bf16(numbers), Format::F32) => {
                for (cell, bits) in cells.iter_mut().zip(&numbers[range]) {
                    *cell = u32::from(*bits) << 16;
                }
            }
        }
    }
}

/// A weight [out, in] in the layout of the fast product.
#[derive(Debug)]
pub struct PackedMatrix {
    /// [panel][step], the outputs beyond the last are 0.
    weight: Large<Step>,
    steps: usize,
    outputs: usize,
    inputs: usize,
    format: Format,
    bias: Option<Vec<f32>>,
    is_gated: bool,
    isa: Isa,
}

impl PackedMatrix {
    /// Packs a weight [outputs, inputs], each at least 1. With [`Format::Bf16`], 32-bit floats are rounded to bfloat16.
    ///
    /// # Panics
    /// Never for a source of `outputs * inputs` numbers.
    #[must_use]
    pub fn pack<'a>(weight: impl Into<Source<'a>>, outputs: usize, inputs: usize, format: Format) -> Self {
        let weight = weight.into();
        assert_eq!(weight.len(), outputs * inputs, "a weight has outputs x inputs values");
        let mut packed = Self::zeros(outputs, inputs, format);
        packed.write(weight, 0);
        packed
    }

    /// Packs two weights [width, inputs] as the one of [2 x width, inputs] that [`Epilogue::Gate`] asks for: `gate` first.
    ///
    /// # Panics
    /// Never for sources of `width * inputs` numbers each.
    #[must_use]
    pub fn gated<'a>(gate: impl Into<Source<'a>>, up: impl Into<Source<'a>>, inputs: usize, format: Format) -> Self {
        let (gate, up) = (gate.into(), up.into());
        assert_eq!(gate.len(), up.len(), "gate and up have the same shape");
        let width = gate.len() / inputs.max(1);
        assert_eq!(gate.len(), width * inputs, "a weight has outputs x inputs values");
        let mut packed = Self::zeros(2 * width, inputs, format);
        packed.is_gated = true;
        packed.write(gate, 0);
        packed.write(up, width);
        packed
    }

    /// The same with `bias` `[outputs]` added to each product.
    ///
    /// # Panics
    /// Never for `outputs` numbers.
    #[must_use]
    pub fn with_bias(mut self, bias: Vec<f32>) -> Self {
        assert_eq!(bias.len(), self.outputs, "a bias has a number for each output");
        self.bias = Some(bias);
        self
    }

    /// The same, computed by another form of the kernels than the fastest: for tests.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Rows of the weight: width of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the weight: width of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The format it is held in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The form of the kernels that computes it.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Memory of the weight, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.weight[..]) + self.bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()))
    }

    /// Copies row `row` of the weight, as 32-bit floats, into `out` `[inputs]`: the embedding of a tied head.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.outputs && out.len() == self.inputs, "row {row} of a weight of {} rows", self.outputs);
        let (panel, lane) = self.place(row);
        let per_cell = self.inputs.div_ceil(self.steps);
        for (index, out) in out.iter_mut().enumerate() {
            *out = cells::number(self.format, self.panel(panel)[index / per_cell].0[lane], index);
        }
    }

    /// `x weight^T (+ bias)` for `x` [rows, inputs] into `out` [rows, outputs] by `epilogue`.
    ///
    /// # Panics
    /// If `x` or `out` has another shape, or [`Epilogue::Gate`] is asked of a weight that is not gated.
    pub fn multiply(&self, pool: &Pool, x: &[f32], epilogue: Epilogue, out: &mut [f32]) {
        multiply_all(pool, x, &mut [Product { matrix: self, epilogue, out }]);
    }

    /// What is added to an output.
    pub(crate) fn bias_of(&self, output: usize) -> f32 {
        self.bias.as_ref().map_or(0.0, |bias| bias[output])
    }

    fn zeros(outputs: usize, inputs: usize, format: Format) -> Self {
        assert!(outputs > 0 && inputs > 0, "a weight has outputs and inputs");
        let steps = cells::steps(format, inputs);
        let weight = Large::zeros(outputs.div_ceil(LANES) * steps);
        Self { weight, steps, outputs, inputs, format, bias: None, is_gated: false, isa: Isa::best() }
    }

    /// Writes `rows` as the rows of the weight from `first` on.
    fn write(&mut self, rows: Source<'_>, first: usize) {
        let mut cells = vec![0; self.steps];
        for row in 0..rows.len() / self.inputs {
            rows.write_row(self.format, row, self.inputs, &mut cells);
            let (panel, lane) = self.place(first + row);
            for (step, cell) in self.weight[panel * self.steps..].iter_mut().zip(&cells) {
                step.0[lane] = *cell;
            }
        }
    }

    fn panels(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    fn panel(&self, panel: usize) -> &[Step] {
        &self.weight[panel * self.steps..][..self.steps]
    }

    /// Panel and lane of an output. A gated weight has 16 outputs of the gate and the same 16 of up in each panel.
    fn place(&self, output: usize) -> (usize, usize) {
        if self.is_gated {
            let width = self.outputs / 2;
            let (half, at) = (output / width, output % width);
            (at / HALF, half * HALF + at % HALF)
        } else {
            (output / LANES, output % LANES)
        }
    }

    /// First output and number of outputs in half a panel.
    fn half(&self, panel: usize, half: usize) -> (usize, usize) {
        let (start, base, end) = if self.is_gated {
            let width = self.outputs / 2;
            (panel * HALF, half * width, width)
        } else {
            (panel * LANES + half * HALF, 0, self.outputs)
        };
        (base + start.min(end), end.saturating_sub(start).min(HALF))
    }
}

#[cfg(test)]
mod tests;
