//! Products of every form against sums in 64 bits, and row-invariance.

use proptest::prelude::*;

use super::*;

/// Numbers in -1..1 from a seed.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn rounded(format: Format, x: f32) -> f64 {
    f64::from(cells::rounded(format, x))
}

/// The product in 64 bits, with the sum of the absolute values of its terms.
fn exact(matrix_rows: &[f32], x: &[f32], format: Format) -> Vec<(f64, f64)> {
    let inputs = x.len();
    matrix_rows
        .chunks_exact(inputs)
        .map(|row| {
            let terms = row.iter().zip(x).map(|(w, x)| rounded(format, *w) * rounded(format, *x));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Tolerance: 2^-18 of the sum of absolute terms. A chain of n additions in 32 bits errs by less than n 2^-24 of it, and
    /// typically by sqrt(n) 2^-24; n is below 300 here.
    #[test]
    fn products_of_every_form_are_near_the_exact_one(
        rows in 1usize..70, outputs in 1usize..100, inputs in 1usize..300, seed: u64, is_bf16: bool, threads in 1usize..4,
    ) {
        let format = if is_bf16 { Format::Bf16 } else { Format::F32 };
        let (weight, x) = (numbers(seed, outputs * inputs), numbers(seed ^ 1, rows * inputs));
        let (bias, before) = (numbers(seed ^ 2, outputs), numbers(seed ^ 3, rows * outputs));
        let pool = Pool::new(threads);
        for isa in Isa::available() {
            let matrix = PackedMatrix::pack(&*weight, outputs, inputs, format).with_isa(isa).with_bias(bias.clone());
            let (mut stored, mut added) = (vec![f32::NAN; rows * outputs], before.clone());
            matrix.multiply(&pool, &x, Epilogue::Store, &mut stored);
            matrix.multiply(&pool, &x, Epilogue::Add, &mut added);
            for (row, x) in x.chunks_exact(inputs).enumerate() {
                for (column, (sum, size)) in exact(&weight, x, format).into_iter().enumerate() {
                    let at = row * outputs + column;
                    let expected = sum + f64::from(bias[column]);
                    let bound = (size + 1.0) / f64::from(1 << 18);
                    prop_assert!((f64::from(stored[at]) - expected).abs() <= bound, "{isa:?} {} for {expected}", stored[at]);
                    prop_assert_eq!(added[at], before[at] + stored[at]);
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_bits_in_every_batch_and_on_any_threads(
        outputs in 1usize..80, inputs in 1usize..200, seed: u64, is_bf16: bool,
    ) {
        let format = if is_bf16 { Format::Bf16 } else { Format::F32 };
        let (weight, x) = (numbers(seed, outputs * inputs), numbers(seed ^ 1, 70 * inputs));
        let pools = [Pool::new(1), Pool::new(2), Pool::new(3)];
        for isa in Isa::available() {
            let matrix = PackedMatrix::pack(&*weight, outputs, inputs, format).with_isa(isa);
            let mut alone = vec![0.0; 70 * outputs];
            for (x, out) in x.chunks_exact(inputs).zip(alone.chunks_exact_mut(outputs)) {
                matrix.multiply(&pools[0], x, Epilogue::Store, out);
            }
            for rows in [2, 3, 5, 8, 12, 13, 32, 70] {
                let mut together = vec![0.0; rows * outputs];
                let first = (seed as usize) % (70 - rows + 1);
                let part = &x[first * inputs..][..rows * inputs];
                matrix.multiply(&pools[rows % 3], part, Epilogue::Store, &mut together);
                let expected = &alone[first * outputs..][..rows * outputs];
                prop_assert!(together.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits())), "{isa:?} {rows} rows");
            }
        }
    }

    #[test]
    fn a_gated_product_is_the_gate_of_two(rows in 1usize..20, width in 1usize..70, inputs in 1usize..60, seed: u64) {
        let (gate, up) = (numbers(seed, width * inputs), numbers(seed ^ 1, width * inputs));
        let (x, bias) = (numbers(seed ^ 2, rows * inputs), numbers(seed ^ 3, 2 * width));
        let pool = Pool::new(2);
        let both: Vec<f32> = gate.iter().chain(&up).copied().collect();
        for isa in Isa::available() {
            let plain = PackedMatrix::pack(&*both, 2 * width, inputs, Format::Bf16).with_isa(isa).with_bias(bias.clone());
            let gated = PackedMatrix::gated(&*gate, &*up, inputs, Format::Bf16).with_isa(isa).with_bias(bias.clone());
            let (mut one, mut two) = (vec![0.0; rows * 2 * width], vec![1.0; rows * 2 * width]);
            plain.multiply(&pool, &x, Epilogue::Store, &mut one);
            gated.multiply(&pool, &x, Epilogue::Store, &mut two);
            prop_assert_eq!(&one, &two);
            let (mut expected, mut fused) = (vec![0.0; rows * width], vec![1.0; rows * width]);
            crate::rows::gated_by(isa, &pool, Activation::Silu, (&one, width), &mut expected);
            gated.multiply(&pool, &x, Epilogue::Gate(Activation::Silu), &mut fused);
            prop_assert_eq!(&expected, &fused);
            let mut row = vec![0.0; inputs];
            for index in 0..2 * width {
                gated.copy_row(index, &mut row);
                let packed: Vec<f32> = both[index * inputs..][..inputs].iter().map(|w| rounded(Format::Bf16, *w) as f32).collect();
                prop_assert_eq!(&row, &packed);
            }
        }
    }
}

#[test]
fn products_of_one_call_are_those_of_single_calls() {
    let pool = Pool::new(2);
    let x = numbers(1, 5 * 64);
    let matrices = [40, 16, 7]
        .map(|outputs| PackedMatrix::pack(&*numbers(outputs as u64, outputs * 64), outputs, 64, Format::Bf16));
    let mut outs = matrices.each_ref().map(|matrix| vec![0.0; 5 * matrix.outputs()]);
    let mut products: Vec<Product<'_>> = matrices
        .iter()
        .zip(&mut outs)
        .map(|(matrix, out)| Product { matrix, epilogue: Epilogue::Store, out })
        .collect();
    multiply_all(&pool, &x, &mut products);
    for (matrix, out) in matrices.iter().zip(&outs) {
        let mut alone = vec![0.0; out.len()];
        matrix.multiply(&pool, &x, Epilogue::Store, &mut alone);
        assert_eq!(*out, alone);
    }
}

#[test]
fn a_weight_given_in_bfloat16_is_held_as_given() {
    let bits: Vec<u16> = (0..33 * 5u16).map(|i| 0x3f80 + i).collect();
    let wide: Vec<f32> = bits.iter().map(|bits| f32::from_bits(u32::from(*bits) << 16)).collect();
    for format in [Format::F32, Format::Bf16] {
        let matrix = PackedMatrix::pack(&*bits, 33, 5, format);
        let mut row = [0.0; 5];
        for index in 0..33 {
            matrix.copy_row(index, &mut row);
            assert_eq!(row, wide[index * 5..][..5]);
        }
    }
    assert_eq!(PackedMatrix::pack(&*bits, 33, 5, Format::Bf16).bytes(), 2 * 32 * 3 * 4);
}
