//! What adapters cost a batch: `cargo run --release -p galapagos-kernels --example low_rank -- [THREADS]`.
//!
//! The products of SmolLM2-135M's 30 layers for 32 rows in bfloat16, without and with 16 adapters of 2 rows each, on all
//! projections; and, as the alternative, 16 passes of 2 rows each with one adapter. Best of several rounds, interleaved, on the
//! wall clock and without attention and head, so the share of adapters is larger here than in a whole step.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::time::{Duration, Instant};

use galapagos_kernels::{Epilogue, Format, LowRank, LowRankPart, LowRankRows, PackedMatrix, Pool, add_low_rank};

const LAYERS: usize = 30;
const ADAPTERS: usize = 16;
const ROWS_EACH: usize = 2;
const ROUNDS: usize = 15;
/// Outputs and inputs of q, k, v, o, gate and up, down.
const PRODUCTS: [(usize, usize); 6] = [(576, 576), (192, 576), (192, 576), (576, 576), (3072, 576), (576, 1536)];

struct Layer {
    weights: Vec<PackedMatrix>,
    /// [adapter][product].
    updates: Vec<Vec<LowRank>>,
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 16) as f32 / 65536.0 - 0.5).collect()
}

fn update((outputs, inputs): (usize, usize), rank: usize) -> LowRank {
    // The joined product of gate and up has a pair of matrices for each.
    let parts = if outputs == 3072 { 2 } else { 1 };
    let (down, up) = (numbers(rank * inputs), numbers(outputs / parts * rank));
    let part = |index| LowRankPart { down: &down, up: &up, rank, column: index * outputs / parts, scale: 0.1 };
    LowRank::pack(inputs, &(0..parts).map(part).collect::<Vec<_>>(), Format::Bf16)
}

fn layer(rank: usize) -> Layer {
    let pack = |(outputs, inputs)| PackedMatrix::pack(&numbers(outputs * inputs)[..], outputs, inputs, Format::Bf16);
    Layer {
        weights: PRODUCTS.map(pack).into(),
        updates: (0..ADAPTERS).map(|_| PRODUCTS.map(|shape| update(shape, rank)).into()).collect(),
    }
}

/// One pass: the rows of each of `adapters` stand together; `adapted` says whether those are applied.
fn pass(pool: &Pool, layers: &[Layer], adapters: std::ops::Range<usize>, adapted: bool) -> Duration {
    let rows = adapters.len() * ROWS_EACH;
    let x = numbers(rows * 1536);
    let mut out = vec![0.0; rows * 3072];
    let start = Instant::now();
    for layer in layers {
        for (index, ((outputs, inputs), weight)) in PRODUCTS.into_iter().zip(&layer.weights).enumerate() {
            let (x, out) = (&x[..rows * inputs], &mut out[..rows * outputs]);
            weight.multiply(pool, x, Epilogue::Store, out);
            if adapted {
                let group = |(position, adapter): (usize, usize)| LowRankRows {
                    rows: position * ROWS_EACH..(position + 1) * ROWS_EACH,
                    update: &layer.updates[adapter][index],
                };
                let groups: Vec<_> = adapters.clone().enumerate().map(group).collect();
                add_low_rank(pool, &groups, x, outputs, out);
            }
        }
    }
    start.elapsed()
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|threads| threads.parse().ok()).unwrap_or(2);
    let pool = Pool::new(threads);
    for rank in [8, 16] {
        let layers: Vec<Layer> = (0..LAYERS).map(|_| layer(rank)).collect();
        let mut best = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            let alone = (0..ADAPTERS).map(|adapter| pass(&pool, &layers, adapter..adapter + 1, true)).sum();
            let found = [pass(&pool, &layers, 0..ADAPTERS, false), pass(&pool, &layers, 0..ADAPTERS, true), alone];
            for (best, found) in best.iter_mut().zip(found) {
                *best = found.min(*best);
            }
        }
        let [base, adapted, alone] = best.map(|time| time.as_secs_f64() * 1e3);
        println!(
            "rank {rank}, {threads} threads: base {base:.1} ms, 16 adapters {adapted:.1} ms ({:.2}x), one after another {alone:.1} ms ({:.1}x)",
            adapted / base,
            alone / adapted
        );
    }
}
