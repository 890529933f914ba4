//! Speed of packed products with the shapes of SmolLM2-135M: `cargo run --release -p galapagos-kernels --example products`.
//!
//! Arguments: threads (`1,2`), rows (`1,4,8,32,128,512,2048`), format (`bf16` or `f32`). For each shape, number of rows and
//! threads: GFLOP/s, GB/s of weights read, and the time of all products of one forward of the model. Every figure is that of
//! the fastest call, times the calls of a forward; rounds go through the weights of all layers, so that none of them is still
//! in a second-level cache.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use galapagos_kernels::rows::Activation;
use galapagos_kernels::{Epilogue, Format, Isa, PackedMatrix, Pool, Product, multiply_all, self_test};

const HIDDEN: usize = 576;
const INNER: usize = 1536;
const KEYS: usize = 192;
const VOCABULARY: usize = 49152;
const LAYERS: usize = 30;

struct Layer {
    attention: [PackedMatrix; 3],
    output: PackedMatrix,
    gate_up: PackedMatrix,
    down: PackedMatrix,
}

struct Model {
    layers: Vec<Layer>,
    head: PackedMatrix,
}

/// The products of a forward.
#[derive(Clone, Copy)]
enum Step {
    Attention,
    Output,
    GateUp,
    Down,
    Head,
}

impl Step {
    /// Products of this shape in a forward.
    fn count(self) -> u32 {
        if matches!(self, Self::Head) { 1 } else { LAYERS as u32 }
    }
}

const STEPS: [(Step, &str, usize, usize); 5] = [
    (Step::Attention, "qkv", HIDDEN + 2 * KEYS, HIDDEN),
    (Step::Output, "o", HIDDEN, HIDDEN),
    (Step::GateUp, "gate_up", 2 * INNER, HIDDEN),
    (Step::Down, "down", HIDDEN, INNER),
    (Step::Head, "head", VOCABULARY, HIDDEN),
];

fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 16) as f32 / 32768.0 - 1.0).collect()
}

fn model(format: Format) -> Model {
    let pack = |outputs, inputs| PackedMatrix::pack(&*numbers(outputs * inputs), outputs, inputs, format);
    let layer = |_| Layer {
        attention: [pack(HIDDEN, HIDDEN), pack(KEYS, HIDDEN), pack(KEYS, HIDDEN)],
        output: pack(HIDDEN, HIDDEN),
        gate_up: PackedMatrix::gated(&*numbers(INNER * HIDDEN), &*numbers(INNER * HIDDEN), HIDDEN, format),
        down: pack(HIDDEN, INNER),
    };
    Model { layers: (0..LAYERS).map(layer).collect(), head: pack(VOCABULARY, HIDDEN) }
}

/// Activations of a forward.
struct Buffers {
    narrow: Vec<f32>,
    wide: Vec<f32>,
    attention: [Vec<f32>; 3],
    logits: Vec<f32>,
}

fn run(pool: &Pool, model: &Model, step: Step, layer: usize, buffers: &mut Buffers) {
    let layer = &model.layers[layer];
    let Buffers { narrow, wide, attention, logits } = buffers;
    match step {
        Step::Attention => {
            let products = layer.attention.iter().zip(attention);
            let mut products: Vec<Product<'_>> =
                products.map(|(matrix, out)| Product { matrix, epilogue: Epilogue::Store, out }).collect();
            multiply_all(pool, narrow, &mut products);
        }
        Step::Output => layer.output.multiply(pool, narrow, Epilogue::Store, &mut attention[0]),
        Step::GateUp => layer.gate_up.multiply(pool, narrow, Epilogue::Gate(Activation::Silu), wide),
        Step::Down => layer.down.multiply(pool, wide, Epilogue::Store, narrow),
        Step::Head => model.head.multiply(pool, narrow, Epilogue::Store, logits),
    }
}

fn measure(pool: &Pool, model: &Model, rows: usize) -> Vec<Duration> {
    let mut buffers = Buffers {
        narrow: numbers(rows * HIDDEN),
        wide: numbers(rows * INNER),
        attention: [HIDDEN, KEYS, KEYS].map(|width| vec![0.0; rows * width]),
        logits: vec![0.0; rows * VOCABULARY],
    };
    let rounds = (256 / rows).clamp(3, 40);
    let mut best = vec![Duration::MAX; STEPS.len()];
    for _ in 0..rounds {
        for layer in 0..LAYERS {
            for (index, (step, ..)) in STEPS.iter().enumerate() {
                if !matches!(step, Step::Head) || layer == LAYERS - 1 {
                    let start = Instant::now();
                    run(pool, model, *step, layer, &mut buffers);
                    best[index] = best[index].min(start.elapsed());
                }
            }
        }
    }
    best.iter().zip(STEPS).map(|(best, (step, ..))| *best * step.count()).collect()
}

/// The fastest fork and join of all threads without work, and the fastest self-test.
fn print_once(pool: &Pool, model: &Model) {
    let fastest = |times: usize, body: &dyn Fn()| {
        let time = |_| {
            let start = Instant::now();
            body();
            start.elapsed()
        };
        (0..times).map(time).min().unwrap_or_default()
    };
    let fork = fastest(500, &|| {
        // Each part waits for all others, so that every thread takes part.
        let arrived = AtomicUsize::new(0);
        pool.run(pool.threads(), &|_| {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < pool.threads() {
                std::hint::spin_loop();
            }
        });
    });
    let layer = &model.layers[0];
    let matrices = || layer.attention.iter().chain([&layer.output, &layer.gate_up, &layer.down, &model.head]);
    let test = fastest(5, &|| {
        if let Err(defect) = self_test(pool, matrices()) {
            println!("{defect}");
        }
    });
    println!("threads {}: fork and join {fork:.1?}, self-test {test:.1?}", pool.threads());
}

fn list(argument: Option<String>, default: &str) -> Vec<usize> {
    argument.as_deref().unwrap_or(default).split(',').filter_map(|number| number.parse().ok()).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = list(arguments.next(), "1,2");
    let all_rows = list(arguments.next(), "1,4,8,32,128,512,2048");
    let format = if arguments.next().as_deref() == Some("f32") { Format::F32 } else { Format::Bf16 };
    let bytes = if format == Format::F32 { 4 } else { 2 };
    let model = model(format);
    println!("{} {format:?}; each shape: GFLOP/s (GB/s)", Isa::best().name());
    for threads in threads {
        let pool = Pool::new(threads);
        print_once(&pool, &model);
        for &rows in &all_rows {
            let best = measure(&pool, &model, rows);
            print!("threads {threads} rows {rows:4}: all {:8.2} ms", best.iter().sum::<Duration>().as_secs_f64() * 1e3);
            for (time, (step, name, outputs, inputs)) in best.iter().zip(STEPS) {
                let weights = f64::from(step.count()) * (outputs * inputs) as f64 / time.as_secs_f64() / 1e9;
                print!(" {name} {:.0} ({:.1})", 2.0 * weights * rows as f64, weights * f64::from(bytes));
            }
            println!();
        }
    }
}
