//! The operators of libtorch against the kernels, on the CPU: two ways to the same attention.

use galapagos_kernels::{Format, KvPages, KvSlot, Pool};

use super::*;
use crate::engine::store::{StepAttention, Store};
use crate::inference::Attend;

const GEOMETRY: KvGeometry = KvGeometry { layers: 2, heads: 2, head_dim: 8, format: Format::F32 };
const QUERY_HEADS: i64 = 6;

/// Rows of three sequences: two share two full pages and stand at different slots of the next one, the third is a chunk of a
/// prompt over two pages.
fn layout() -> Layout {
    let chunk = 40..70u32;
    let mut positions = vec![70, 64];
    let slot = |page, slot| KvSlot { page, slot };
    let mut slots = vec![slot(2, 6), slot(3, 0)];
    for position in chunk {
        positions.push(position);
        slots.push(slot(5 + position / 32, position % 32));
    }
    let chunk = |first: u32| (2 + first..32).collect();
    let segments = vec![
        Segment { start: 0, pages: vec![0, 1], rows: vec![0, 1] },
        Segment { start: 64, pages: vec![2], rows: vec![0] },
        Segment { start: 64, pages: vec![3], rows: vec![1] },
        Segment { start: 0, pages: vec![5, 6], rows: chunk(0) },
        Segment { start: 64, pages: vec![7], rows: chunk(24) },
    ];
    Layout { tokens: vec![0; 32], positions, slots, segments, ..Layout::default() }
}

fn random(rows: i64, heads: i64) -> Tensor {
    Tensor::randn([rows, heads, GEOMETRY.head_dim as i64], (Kind::Float, Device::Cpu))
}

#[test]
fn attention_by_operators_is_attention_by_kernels() {
    tch::set_num_threads(1);
    tch::manual_seed(5);
    let pool = Pool::new(1);
    let mut kernels = Store::Kernels(KvPages::new(GEOMETRY));
    let mut tensors = Store::Tensors(TensorPages::new(GEOMETRY, Device::Cpu));
    // Fills the pages that the rows do not write: every position of 8 pages.
    let every = Layout {
        positions: (0..256).map(|row| row % 32).collect(),
        slots: (0..256).map(|row| KvSlot { page: row / 32, slot: row % 32 }).collect(),
        segments: (0..8).map(|p| Segment { start: 0, pages: vec![p], rows: (p * 32..p * 32 + 32).collect() }).collect(),
        ..Layout::default()
    };
    let specs = [
        AttentionSpec { scale: 0.3, soft_cap: None, window: None },
        AttentionSpec { scale: 0.7, soft_cap: Some(2.0), window: Some(20) },
    ];
    let filling = Projected { query: random(256, QUERY_HEADS), key: random(256, 2), value: random(256, 2) };
    let rows = Projected { query: random(32, QUERY_HEADS), key: random(32, 2), value: random(32, 2) };
    let layout = layout();
    let one = Projected { query: random(1, QUERY_HEADS), key: random(1, 2), value: random(1, 2) };
    let segments = vec![Segment { start: 0, pages: vec![0], rows: vec![0] }];
    let copied =
        Layout { positions: vec![17], slots: vec![KvSlot { page: 0, slot: 17 }], segments, ..Layout::default() };
    kernels.grow(8).unwrap();
    tensors.grow(5).unwrap();
    tensors.grow(8).unwrap();
    for (layer, spec) in specs.iter().enumerate() {
        let run = |store: &mut Store, layout: &Layout, rows: &Projected| {
            StepAttention { store, layout, pool: &pool }.attend(layer, rows, spec).unwrap()
        };
        let mut both = |layout: &Layout, rows: &Projected| {
            let (a, b) = (run(&mut kernels, layout, rows), run(&mut tensors, layout, rows));
            let difference = (&a - &b).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "layer {layer}: {difference}");
            assert!(a.abs().max().double_value(&[]) > 0.1);
        };
        both(&every, &filling);
        both(&layout, &rows);
        let copy = PageCopy { from: 5, to: 0, tokens: 17 };
        kernels.copy(copy).unwrap();
        tensors.copy(copy).unwrap();
        let (a, b) = (run(&mut kernels, &copied, &one), run(&mut tensors, &copied, &one));
        assert!((&a - &b).abs().max().double_value(&[]) < 1e-5);
    }
}
