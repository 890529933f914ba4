//! Whether this CPU's products and norms are right and row-invariant on the shapes of a model: asked once, before anybody
//! relies on it.
//!
//! Rows are computed alone by one thread, and again in batches by the pool; any differing bit is an error that names the
//! kernel, the shape and the batch. A few outputs of each product are compared with sums in 64 bits. The inputs are
//! pseudo-random and the same in every run.

use crate::matrix::cells;
use crate::rows::{RmsNorm, log_sum_exp, rms_norm};
use crate::{Epilogue, Isa, PackedMatrix, Pool};

/// Batch sizes: both sides of every division into tiles.
const BATCHES: [usize; 6] = [2, 3, 5, 8, 13, 32];
/// Rows also computed alone; each is in every batch that is long enough.
const ALONE: [usize; 4] = [0, 1, 7, 31];

/// What is wrong with a kernel on this CPU.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KernelDefect {
    /// A row's result depends on the batch it is in.
    #[error(
        "{kernel} {shape:?} ({isa}): row {row} has other bits among {rows} rows than alone, at output {output}; results \
         would depend on the batch. Please report this CPU"
    )]
    Variant {
        /// The kernel.
        kernel: &'static str,
        /// Its shape: [outputs, inputs] of a product, `[width]` of the others.
        shape: Vec<usize>,
        /// The form of the vector instructions.
        isa: &'static str,
        /// Rows of the batch.
        rows: usize,
        /// The row that differs.
        row: usize,
        /// The first output that differs.
        output: usize,
    },
    /// A product is not the sum of its terms.
    #[error(
        "the product {shape:?} ({isa}): output {output} is {found}, and should be {expected}. Please report this CPU"
    )]
    Wrong {
        /// [outputs, inputs].
        shape: Vec<usize>,
        /// The form of the vector instructions.
        isa: &'static str,
        /// The output.
        output: usize,
        /// What the kernel gave.
        found: f32,
        /// The sum in 64 bits.
        expected: f64,
    },
}

/// Outputs of a product that are compared with 64-bit sums.
const CHECKED_OUTPUTS: usize = 50;

/// Computes rows into rows.
type Compute<'a> = dyn Fn(&Pool, &[f32], &mut [f32]) + 'a;

/// A kernel as a function of rows.
struct Subject<'a> {
    kernel: &'static str,
    shape: Vec<usize>,
    isa: &'static str,
    inputs: usize,
    outputs: usize,
    compute: &'a Compute<'a>,
}

/// Tests each shape of `matrices` once, with norms as wide as their inputs and the sum over a row of their outputs. Takes
/// the time of about 70 rows of each shape.
///
/// # Errors
/// The first difference found.
pub fn self_test<'a>(pool: &Pool, matrices: impl IntoIterator<Item = &'a PackedMatrix>) -> Result<(), KernelDefect> {
    let mut seen = Vec::new();
    for matrix in matrices {
        let shape = (matrix.outputs(), matrix.inputs(), matrix.format(), matrix.isa());
        if seen.contains(&shape) {
            continue;
        }
        seen.push(shape);
        let (outputs, inputs, isa) = (matrix.outputs(), matrix.inputs(), matrix.isa().name());
        let (x, mut out) = (numbers(inputs), vec![0.0; outputs]);
        matrix.multiply(pool, &x, Epilogue::Store, &mut out);
        check_sums(matrix, &x, &out)?;
        let product = |pool: &Pool, x: &[f32], out: &mut [f32]| matrix.multiply(pool, x, Epilogue::Store, out);
        check(
            pool,
            &Subject { kernel: "the product", shape: vec![outputs, inputs], isa, inputs, outputs, compute: &product },
        )?;
        let weight = numbers(inputs);
        let norm = RmsNorm { weight: &weight, eps: 1e-5, offset: 0.0 };
        let norm = |pool: &Pool, x: &[f32], out: &mut [f32]| rms_norm(pool, &norm, x, out);
        let isa = Isa::best().name();
        check(
            pool,
            &Subject { kernel: "the norm", shape: vec![inputs], isa, inputs, outputs: inputs, compute: &norm },
        )?;
        let sum = |pool: &Pool, x: &[f32], out: &mut [f32]| log_sum_exp(pool, x, outputs, out);
        let (kernel, shape) = ("the log of a sum of exponentials", vec![outputs]);
        check(pool, &Subject { kernel, shape, isa, inputs: outputs, outputs: 1, compute: &sum })?;
    }
    Ok(())
}

/// Compares some outputs `out` of the row `x` with their sums in 64 bits. A chain of n additions errs by less than n 2^-24 of the sum of
/// absolute terms.
fn check_sums(matrix: &PackedMatrix, x: &[f32], out: &[f32]) -> Result<(), KernelDefect> {
    let (outputs, inputs) = (matrix.outputs(), matrix.inputs());
    let mut weight = vec![0.0; inputs];
    for output in (0..outputs).step_by(outputs.div_ceil(CHECKED_OUTPUTS)) {
        matrix.copy_row(output, &mut weight);
        let terms = weight.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(cells::rounded(matrix.format(), *x)));
        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + f64::abs(term)));
        let expected = sum + f64::from(matrix.bias_of(output));
        let allowed = (size + expected.abs()) * inputs as f64 / f64::from(1 << 24);
        let found = out[output];
        let error = (f64::from(found) - expected).abs();
        // A weight that is not finite is the model's defect, not this CPU's.
        if expected.is_finite() && (error > allowed || error.is_nan()) {
            return Err(KernelDefect::Wrong {
                shape: vec![outputs, inputs],
                isa: matrix.isa().name(),
                output,
                found,
                expected,
            });
        }
    }
    Ok(())
}

fn check(pool: &Pool, subject: &Subject<'_>) -> Result<(), KernelDefect> {
    let Subject { inputs, outputs, .. } = *subject;
    let most = BATCHES.into_iter().max().unwrap_or(0);
    let x = numbers(most * inputs);
    let alone = ALONE.map(|row| {
        let mut out = vec![0.0; outputs];
        (subject.compute)(&Pool::new(1), &x[row * inputs..][..inputs], &mut out);
        out
    });
    let mut out = vec![0.0; most * outputs];
    for rows in BATCHES {
        (subject.compute)(pool, &x[..rows * inputs], &mut out[..rows * outputs]);
        for (row, alone) in ALONE.into_iter().zip(&alone).filter(|(row, _)| *row < rows) {
            let together = &out[row * outputs..][..outputs];
            if let Some(output) = together.iter().zip(alone).position(|(a, b)| a.to_bits() != b.to_bits()) {
                let Subject { kernel, isa, .. } = *subject;
                return Err(KernelDefect::Variant { kernel, shape: subject.shape.clone(), isa, rows, row, output });
            }
        }
    }
    Ok(())
}

/// Numbers in -1..1.
fn numbers(count: usize) -> Vec<f32> {
    let scrambled =
        (0..count as u32).map(|index| index.wrapping_mul(0x9e37_79b9) ^ index.wrapping_mul(0x85eb_ca6b) >> 13);
    scrambled.map(|bits| (bits >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[test]
    fn every_form_passes() {
        let pool = Pool::new(2);
        for isa in Isa::available() {
            let matrices = [Format::F32, Format::Bf16]
                .map(|format| PackedMatrix::pack(&*numbers(150 * 96), 150, 96, format).with_isa(isa));
            assert_eq!(self_test(&pool, &matrices), Ok(()));
        }
    }

    #[test]
    fn a_kernel_that_looks_at_its_batch_is_named() {
        let compute: &Compute<'_> = &|_, x, out| {
            out.copy_from_slice(x);
            if x.len() == 8 * 4 {
                out[7 * 4 + 2] = out[7 * 4 + 2].next_up();
            }
        };
        let subject = Subject { kernel: "a copy", shape: vec![4], isa: "none", inputs: 4, outputs: 4, compute };
        let error = check(&Pool::new(1), &subject).unwrap_err();
        let expected =
            KernelDefect::Variant { kernel: "a copy", shape: vec![4], isa: "none", rows: 8, row: 7, output: 2 };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("row 7 has other bits among 8 rows"), "{error}");
    }

    #[test]
    fn a_wrong_product_is_named() {
        let matrix = PackedMatrix::pack(&*numbers(40 * 32), 40, 32, Format::Bf16).with_bias(numbers(40));
        let (x, mut out) = (numbers(32), vec![0.0; 40]);
        matrix.multiply(&Pool::new(1), &x, Epilogue::Store, &mut out);
        assert_eq!(check_sums(&matrix, &x, &out), Ok(()));
        for wrong in [out[33] + 1e-3, f32::NAN] {
            out[33] = wrong;
            let error = check_sums(&matrix, &x, &out).unwrap_err();
            assert!(error.to_string().contains("output 33 is"), "{error}");
        }
    }
}
