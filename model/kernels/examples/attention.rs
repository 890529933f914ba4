//! Speed of attention with the shape of SmolLM2-135M (30 layers, 9 query heads, 3 key heads of 64):
//! `cargo run --release -p galapagos-kernels --example attention`.
//!
//! Arguments: threads (`1,2`), format (`bf16` or `f32`). For each kind of work and number of threads: microseconds of a layer
//! (the best call; calls go through all layers in turn, so that a layer's pages are not in a near cache), mean CPU time of
//! a layer over all threads (Linux; tells more than the clock on a busy machine), GFLOP/s, GB/s of keys and values read
//! once, and the share of the floor: the longer of those bytes at 31 GB/s and those operations at 205 GFLOP/s a thread
//! (bfloat16; 102 for 32-bit floats).
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::time::{Duration, Instant};

use galapagos_kernels::attention::attend;
use galapagos_kernels::{
    AttentionCall, AttentionSpec, Format, Isa, KvGeometry, KvPages, KvRows, KvSlot, PAGE_TOKENS, Pool, Segment,
};

const LAYERS: usize = 30;
const HEADS: usize = 3;
const QUERY_HEADS: usize = 9;
const DIM: usize = 64;
const BYTES_PER_SECOND: f64 = 31e9;

/// Rows, and who shares what.
struct Case {
    name: String,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    pages: u32,
}

impl Case {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), positions: Vec::new(), segments: Vec::new(), pages: 0 }
    }

    /// Adds a segment of new pages for `tokens` positions.
    fn segment(&mut self, start: usize, tokens: usize, rows: std::ops::Range<u32>) {
        let pages = self.pages..self.pages + tokens.div_ceil(PAGE_TOKENS) as u32;
        self.pages = pages.end;
        self.segments.push(Segment { start, pages: pages.collect(), rows: rows.collect() });
    }

    /// All rows of one sequence, at its last positions.
    fn prefill(rows: u32) -> Self {
        let mut case = Self::new(format!("a) prefill {rows}"));
        case.positions = (0..rows).collect();
        case.segment(0, rows as usize, 0..rows);
        case
    }

    fn shared_prefix() -> Self {
        let mut case = Self::new("b) 8 rows, 2048 shared");
        case.segment(0, 2048, 0..8);
        for row in 0..8 {
            case.segment(2048, 32 + 4 * row as usize, row..row + 1);
            case.positions.push(2048 + 31 + 4 * row);
        }
        case
    }

    fn private() -> Self {
        let mut case = Self::new("c) 32 rows, 64-200 private");
        for row in 0..32 {
            let tokens = 64 + row * 136 / 31;
            case.segment(0, tokens as usize, row..row + 1);
            case.positions.push(tokens - 1);
        }
        case
    }

    fn tree() -> Self {
        let mut case = Self::new("d) 48 rows, tree of 16");
        for problem in 0..16 {
            let rows = 3 * problem..3 * problem + 3;
            case.segment(0, 288, rows.clone());
            case.segment(288, 128, rows.start..rows.start + 2);
            case.segment(288, 128, rows.start + 2..rows.end);
            for row in rows {
                let tokens = 20 + 60 * (row % 3);
                case.segment(416, tokens as usize, row..row + 1);
                case.positions.push(416 + tokens - 1);
            }
        }
        case
    }

    fn single(tokens: u32) -> Self {
        let mut case = Self::new(format!("e) 1 row, {tokens}"));
        case.segment(0, tokens as usize, 0..1);
        case.positions.push(tokens - 1);
        case
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 16) as f32 / 32768.0 - 1.0).collect()
}

fn filled(geometry: KvGeometry, count: u32, pool: &Pool) -> KvPages {
    let mut pages = KvPages::new(geometry);
    let numbers = numbers(PAGE_TOKENS * HEADS * DIM);
    for _ in 0..count {
        let page = pages.add();
        let slots: Vec<KvSlot> = (0..PAGE_TOKENS as u32).map(|slot| KvSlot { page, slot }).collect();
        for layer in 0..geometry.layers {
            pages.write_rows(pool, layer, &KvRows { slots: &slots, key: &numbers, value: &numbers });
        }
    }
    pages
}

/// CPU time of all threads of this process; 0 where the system does not say.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The best time and the mean CPU time of a layer.
fn measure(case: &Case, pages: &KvPages, pool: &Pool) -> (Duration, Duration) {
    let query = numbers(case.positions.len() * QUERY_HEADS * DIM);
    let mut out = vec![0.0; query.len()];
    let spec = AttentionSpec { scale: 0.125, soft_cap: None, window: None };
    let mut best = Duration::MAX;
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut calls = 0;
    while begin.elapsed() < Duration::from_millis(700) {
        let start = Instant::now();
        let call = AttentionCall {
            layer: calls as usize % LAYERS,
            query: &query,
            query_heads: QUERY_HEADS,
            positions: &case.positions,
            segments: &case.segments,
            spec,
        };
        attend(pool, pages, &call, &mut out);
        best = best.min(start.elapsed());
        calls += 1;
    }
    (best, (cpu_time() - cpu) / calls)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().unwrap_or_else(|| "1,2".to_owned());
    let threads: Vec<usize> = threads.split(',').filter_map(|text| text.parse().ok()).collect();
    let (format, peak) = match arguments.next().as_deref() {
        Some("f32") => (Format::F32, 102e9),
        _ => (Format::Bf16, 205e9),
    };
    println!("{} {format:?}, pages of {PAGE_TOKENS}", Isa::best().name());
    println!(
        "{:<28} {:>7} {:>9} {:>9} {:>9} {:>7} {:>6}",
        "work", "threads", "us", "CPU us", "GFLOP/s", "GB/s", "floor"
    );
    let geometry = KvGeometry { layers: LAYERS, heads: HEADS, head_dim: DIM, format };
    let cases = [
        Case::prefill(512),
        Case::prefill(2048),
        Case::shared_prefix(),
        Case::private(),
        Case::tree(),
        Case::single(200),
        Case::single(2048),
    ];
    for case in cases {
        let pages = filled(geometry, case.pages, &Pool::new(1));
        for threads in &threads {
            let (time, cpu) = measure(&case, &pages, &Pool::new(*threads));
            let (time, cpu) = (time.as_secs_f64(), cpu.as_secs_f64() * 1e6);
            let seen: f64 = case.positions.iter().map(|position| f64::from(position + 1)).sum();
            let operations = 4.0 * seen * (QUERY_HEADS * DIM) as f64;
            let bytes = f64::from(case.pages) * geometry.bytes_per_page() as f64 / LAYERS as f64;
            let floor = (operations / (peak * *threads as f64)).max(bytes / BYTES_PER_SECOND);
            let (us, gflops, gbs) = (time * 1e6, operations / time / 1e9, bytes / time / 1e9);
            let share = 100.0 * floor / time;
            println!("{:<28} {threads:>7} {us:>9.1} {cpu:>9.1} {gflops:>9.1} {gbs:>7.1} {share:>5.0}%", case.name);
        }
    }
}
