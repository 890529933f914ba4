//! Products with a weight that is packed once and used for every token after that.

use crate::{Format, Pool};

/// What happens to the output of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// `out = product`.
    Store,
    /// `out += product`: the residual connection.
    Add,
}

/// A weight [out, in] in the layout of the fast product.
#[derive(Debug)]
pub struct PackedMatrix {
    weight: Vec<f32>,
    outputs: usize,
    inputs: usize,
    format: Format,
}

impl PackedMatrix {
    /// Packs `weight`, row-major [outputs, inputs]. With [`Format::Bf16`] the values are rounded to bfloat16.
    ///
    /// # Panics
    /// Never for `weight.len() == outputs * inputs`.
    #[must_use]
    pub fn pack(weight: &[f32], outputs: usize, inputs: usize, format: Format) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "a weight has outputs x inputs values");
        Self { weight: weight.to_vec(), outputs, inputs, format }
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

    /// Copies row `row` of the weight, as 32-bit floats, into `out` [inputs]: the embedding of a tied head.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.weight[row * self.inputs..][..self.inputs]);
    }

    /// `x weight^T (+ bias)` for `x` [rows, inputs] into `out` [rows, outputs].
    pub fn multiply(&self, pool: &Pool, x: &[f32], bias: Option<&[f32]>, epilogue: Epilogue, out: &mut [f32]) {
        let _ = pool;
        for (x, out) in x.chunks_exact(self.inputs).zip(out.chunks_exact_mut(self.outputs)) {
            for (column, out) in out.iter_mut().enumerate() {
                let weight = &self.weight[column * self.inputs..][..self.inputs];
                let sum: f32 = x.iter().zip(weight).map(|(x, w)| x * w).sum();
                let sum = sum + bias.map_or(0.0, |bias| bias[column]);
                *out = if epilogue == Epilogue::Add { *out + sum } else { sum };
            }
        }
    }
}
