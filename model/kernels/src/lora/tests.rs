//! Against sums in 64-bit floats, and bit for bit against each row alone.

use proptest::prelude::*;

use super::*;

/// Numbers in -1..1 that look random.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// An adapter in its plain form.
struct Plain {
    inputs: usize,
    parts: Vec<PlainPart>,
}

struct PlainPart {
    down: Vec<f32>,
    up: Vec<f32>,
    rank: usize,
    column: usize,
    scale: f32,
}

impl PlainPart {
    fn borrow(&self) -> LowRankPart<'_> {
        let Self { down, up, rank, column, scale } = self;
        LowRankPart { down, up, rank: *rank, column: *column, scale: *scale }
    }
}

impl Plain {
    fn new(seed: u64, inputs: usize, parts: &[(usize, usize, usize)]) -> Self {
        let part = |(index, &(rank, column, outputs)): (usize, &(usize, usize, usize))| {
            let seed = seed * 100 + index as u64;
            let scale = 0.5 + index as f32;
            let (down, up) = (numbers(seed, rank * inputs), numbers(seed + 50, outputs * rank));
            PlainPart { down, up, rank, column, scale }
        };
        Self { inputs, parts: parts.iter().enumerate().map(part).collect() }
    }

    fn pack(&self, format: Format) -> LowRank {
        let parts: Vec<LowRankPart<'_>> = self.parts.iter().map(PlainPart::borrow).collect();
        LowRank::pack(self.inputs, &parts, format)
    }

    /// `out += scale * B A x` of one row in 64-bit floats, and the sum of the magnitudes added.
    fn add(&self, x: &[f32], out: &mut [f64], size: &mut [f64]) {
        for PlainPart { down, up, rank, column, scale } in &self.parts {
            let small: Vec<(f64, f64)> = down
                .chunks_exact(self.inputs)
                .map(|a| {
                    let products = a.iter().zip(x).map(|(a, x)| f64::from(*a) * f64::from(*x));
                    products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
                })
                .collect();
            for (output, b) in up.chunks_exact(*rank).enumerate() {
                for (b, (sum, magnitude)) in b.iter().zip(&small) {
                    out[column + output] += f64::from(*scale) * f64::from(*b) * sum;
                    size[column + output] += f64::from(*scale) * f64::from(b.abs()) * magnitude;
                }
            }
        }
    }
}

fn largest_error(format: Format) -> f64 {
    let (inputs, width) = (75, 300);
    let plain = Plain::new(3, inputs, &[(4, 0, 130), (1, 130, 70), (16, 200, 100)]);
    let update = plain.pack(format);
    let (x, start) = (numbers(8, 5 * inputs), numbers(9, 5 * width));
    let mut out = start.clone();
    add_low_rank(&Pool::new(2), &[LowRankRows { rows: 1..4, update: &update }], &x, width, &mut out);
    assert_eq!((&out[..width], &out[4 * width..]), (&start[..width], &start[4 * width..]), "rows of no group");
    let mut worst = 0.0f64;
    for row in 1..4 {
        let mut expected: Vec<f64> = start[row * width..][..width].iter().map(|value| f64::from(*value)).collect();
        let mut size = vec![1.0; width];
        plain.add(&x[row * inputs..][..inputs], &mut expected, &mut size);
        for ((found, expected), size) in out[row * width..][..width].iter().zip(&expected).zip(&size) {
            worst = worst.max((f64::from(*found) - expected).abs() / size);
        }
    }
    worst
}

#[test]
fn reference_sums_in_64_bits() {
    let exact = largest_error(Format::F32);
    assert!(exact < 1e-6, "{exact}");
    // Two weights rounded to 8 bits each: at most 2 x 2^-9 of the magnitudes.
    let rounded = largest_error(Format::Bf16);
    assert!(rounded < 4e-3, "{rounded}");
    assert!(rounded > 1e-6, "bfloat16 weights were not rounded");
}

#[test]
fn all_forms_of_this_cpu_agree() {
    let update = Plain::new(1, 576, &[(16, 0, 576), (16, 576, 192)]).pack(Format::Bf16);
    let x = numbers(2, 3 * 576);
    let all = Isa::available().into_iter().map(|isa| {
        let mut out = vec![0.0; 3 * 768];
        dispatch(isa, AddRows { update: &update, x: &x, width: 768, out: &mut out });
        out
    });
    let all: Vec<Vec<f32>> = all.collect();
    for (fast, plain) in all.iter().flat_map(|form| form.iter().zip(&all[all.len() - 1])) {
        assert!((fast - plain).abs() < 1e-3, "{fast} and {plain}");
    }
}

#[test]
fn the_bytes_are_those_of_the_weights() {
    let update = Plain::new(1, 576, &[(16, 0, 576), (16, 576, 192)]).pack(Format::Bf16);
    assert_eq!(update.bytes(), 2 * (2 * 16 * 576 + 16 * (576 + 192)));
}

#[test]
#[should_panic(expected = "ascending and disjoint")]
fn overlapping_groups_are_refused() {
    let update = Plain::new(1, 8, &[(2, 0, 8)]).pack(Format::F32);
    let group = |rows| LowRankRows { rows, update: &update };
    add_low_rank(&Pool::new(1), &[group(0..2), group(1..3)], &[0.0; 24], 8, &mut [0.0; 24]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever else is in the batch, however many rows and threads: the same bits as the row alone.
    #[test]
    fn a_row_does_not_depend_on_the_others(
        sizes in prop::collection::vec((0usize..40, 0usize..4), 1..6),
        ranks in prop::collection::vec(1usize..20, 4),
        inputs in 1usize..100,
        threads in 1usize..4,
        bf16 in any::<bool>(),
    ) {
        let format = if bf16 { Format::Bf16 } else { Format::F32 };
        let width = 150;
        let adapters: Vec<LowRank> = (0..4)
            .map(|i| Plain::new(i as u64 + 1, inputs, &[(ranks[i], 0, 70), (ranks[3 - i], 80, 70)]).pack(format))
            .collect();
        let (mut groups, mut total) = (Vec::new(), 0);
        for (rows, adapter) in &sizes {
            // Adapter 0 stands for rows of the base.
            if *adapter > 0 {
                groups.push(LowRankRows { rows: total..total + rows, update: &adapters[*adapter] });
            }
            total += rows;
        }
        let x = numbers(5, total * inputs);
        let start = numbers(6, total * width);
        let mut out = start.clone();
        add_low_rank(&Pool::new(threads), &groups, &x, width, &mut out);
        let mut expected = start;
        for group in groups {
            for row in group.rows {
                let alone = &mut expected[row * width..][..width];
                let group = [LowRankRows { rows: 0..1, update: group.update }];
                add_low_rank(&Pool::new(1), &group, &x[row * inputs..][..inputs], width, alone);
            }
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&out), bits(&expected));
    }
}
