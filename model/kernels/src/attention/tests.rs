//! The attention against a double-precision reference, and its invariance bit for bit, on every form this CPU has.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::matrix::cells::round_to_bf16;
use crate::{Format, KvGeometry, KvRows, KvSlot, PAGE_TOKENS};

/// A tree of segments over one store, and the rows at its leaves.
#[derive(Clone, Debug)]
struct Shape {
    format: Format,
    dim: usize,
    heads: usize,
    group: usize,
    /// Pages all rows share; those that the rows of a branch share; tokens of each row's own, by branch.
    root: usize,
    branches: Vec<(usize, Vec<usize>)>,
    window: Option<usize>,
    soft_cap: Option<f32>,
    seed: u64,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let format = prop_oneof![Just(Format::F32), Just(Format::Bf16)];
    let dim = prop::sample::select(vec![2, 16, 30, 32, 64, 80, 96, 128, 256]);
    let branches = prop::collection::vec((0usize..4, prop::collection::vec(1usize..100, 1..6)), 1..4);
    let window = prop_oneof![Just(None), (1usize..500).prop_map(Some)];
    let soft_cap = prop_oneof![Just(None), Just(Some(2.0f32)), Just(Some(50.0))];
    ((format, dim, 1usize..4, 1usize..5), (0usize..14, branches), window, soft_cap, any::<u64>()).prop_map(
        |((format, dim, heads, group), (root, branches), window, soft_cap, seed)| Shape {
            format,
            dim,
            heads,
            group,
            root,
            branches,
            window,
            soft_cap,
            seed,
        },
    )
}

/// A shape with numbers in it.
struct Tree {
    pages: KvPages,
    /// What was written to each page, before rounding: [page][slot] key and value [heads, dim].
    written: Vec<Vec<(Vec<f32>, Vec<f32>)>>,
    query: Vec<f32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    spec: AttentionSpec,
    query_heads: usize,
}

/// Numbers that are roughly normal.
fn numbers(seed: &mut u64, count: usize) -> Vec<f32> {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..4).map(|_| next()).sum::<f32>() * 1.7).collect()
}

const LAYERS: usize = 2;
const LAYER: usize = 1;

impl Tree {
    fn new(shape: &Shape) -> Self {
        let geometry = KvGeometry { layers: LAYERS, heads: shape.heads, head_dim: shape.dim, format: shape.format };
        let mut tree = Self {
            pages: KvPages::new(geometry),
            written: Vec::new(),
            query: Vec::new(),
            positions: Vec::new(),
            segments: Vec::new(),
            spec: AttentionSpec {
                scale: 1.0 / (shape.dim as f32).sqrt(),
                soft_cap: shape.soft_cap,
                window: shape.window,
            },
            query_heads: shape.heads * shape.group,
        };
        let mut seed = shape.seed;
        let rows: usize = shape.branches.iter().map(|(_, rows)| rows.len()).sum();
        tree.segment(&mut seed, 0, shape.root * PAGE_TOKENS, 0..rows as u32);
        let mut row = 0;
        for (pages, tails) in &shape.branches {
            let start = shape.root * PAGE_TOKENS;
            tree.segment(&mut seed, start, pages * PAGE_TOKENS, row..row + tails.len() as u32);
            for tail in tails {
                tree.segment(&mut seed, start + pages * PAGE_TOKENS, *tail, row..row + 1);
                tree.positions.push((start + pages * PAGE_TOKENS + tail - 1) as u32);
                row += 1;
            }
        }
        tree.query = numbers(&mut seed, rows * tree.query_heads * shape.dim);
        tree
    }

    /// New pages with `tokens` positions; the slots after them hold signalling and quiet NaN.
    fn segment(&mut self, seed: &mut u64, start: usize, tokens: usize, rows: std::ops::Range<u32>) {
        if tokens == 0 {
            return;
        }
        let width = self.pages.geometry().heads * self.pages.geometry().head_dim;
        let mut ids = Vec::new();
        for first in (0..tokens).step_by(PAGE_TOKENS) {
            let page = self.pages.add();
            poison(&mut self.pages, page);
            let filled = (tokens - first).min(PAGE_TOKENS);
            let token = |_| (numbers(seed, width), numbers(seed, width));
            let written: Vec<(Vec<f32>, Vec<f32>)> = (0..filled).map(token).collect();
            let slots: Vec<KvSlot> = (0..filled as u32).map(|slot| KvSlot { page, slot }).collect();
            let key: Vec<f32> = written.iter().flat_map(|token| token.0.clone()).collect();
            let value: Vec<f32> = written.iter().flat_map(|token| token.1.clone()).collect();
            self.pages.write_rows(&Pool::new(2), LAYER, &KvRows { slots: &slots, key: &key, value: &value });
            self.written.push(written);
            ids.push(page);
        }
        self.segments.push(Segment { start, pages: ids, rows: rows.collect() });
    }

    fn call(&self) -> AttentionCall<'_> {
        AttentionCall {
            layer: LAYER,
            query: &self.query,
            query_heads: self.query_heads,
            positions: &self.positions,
            segments: &self.segments,
            spec: self.spec,
        }
    }

    fn width(&self) -> usize {
        self.query_heads * self.pages.geometry().head_dim
    }

    fn attend(&self, isa: Isa, threads: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.query.len()];
        attend_with(isa, &Pool::new(threads), &self.pages, &self.call(), &mut out);
        out
    }

    /// Some of the rows, each with segments of its own and these cut into pieces of one page.
    fn attend_rows(&self, isa: Isa, rows: &[usize]) -> Vec<f32> {
        let width = self.width();
        let mut segments = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            for segment in self.segments.iter().filter(|segment| segment.rows.contains(&(*row as u32))) {
                for (page, id) in segment.pages.iter().enumerate() {
                    let start = segment.start + page * PAGE_TOKENS;
                    segments.push(Segment { start, pages: vec![*id], rows: vec![index as u32] });
                }
            }
        }
        let query: Vec<f32> = rows.iter().flat_map(|row| self.query[row * width..][..width].to_vec()).collect();
        let positions: Vec<u32> = rows.iter().map(|row| self.positions[*row]).collect();
        let call = AttentionCall { query: &query, positions: &positions, segments: &segments, ..self.call() };
        let mut out = vec![f32::NAN; query.len()];
        attend_with(isa, &Pool::new(1), &self.pages, &call, &mut out);
        out
    }

    /// The result in double precision, of inputs rounded to the format.
    fn exact(&self) -> Vec<f64> {
        let geometry = self.pages.geometry();
        let (dim, group) = (geometry.head_dim, self.query_heads / geometry.heads);
        let round = |x: &f32| {
            f64::from(match geometry.format {
                Format::F32 => *x,
                Format::Bf16 => f32::from_bits(round_to_bf16(*x)),
            })
        };
        let mut out = Vec::new();
        for row in 0..self.positions.len() {
            let (low, end) = self.call().seen(row);
            let seen = self.segments.iter().filter(|segment| segment.rows.contains(&(row as u32)));
            let tokens: Vec<&(Vec<f32>, Vec<f32>)> =
                seen.flat_map(|segment| segment.pages.iter().flat_map(|page| &self.written[*page as usize])).collect();
            for head in 0..self.query_heads {
                let query = &self.query[(row * self.query_heads + head) * dim..][..dim];
                let part = head / group * dim..(head / group + 1) * dim;
                let score = |key: &[f32]| {
                    let product: f64 = query.iter().zip(key).map(|(q, k)| round(q) * round(k)).sum();
                    let score = product * f64::from(self.spec.scale);
                    self.spec.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                };
                let scores: Vec<f64> = tokens[low..end].iter().map(|token| score(&token.0[part.clone()])).collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for index in part {
                    let values = tokens[low..end].iter().map(|token| round(&token.1[index]));
                    out.push(values.zip(&weights).map(|(value, weight)| value * weight).sum::<f64>() / sum);
                }
            }
        }
        out
    }
}

/// Fills a page with what is not a number, in both formats.
fn poison(pages: &mut KvPages, page: PageId) {
    let width = pages.geometry().heads * pages.geometry().head_dim;
    let nan = vec![f32::from_bits(0x7fa1_7fc1); width];
    for layer in 0..LAYERS {
        for slot in 0..PAGE_TOKENS as u32 {
            pages.write(layer, KvSlot { page, slot }, &nan, &nan);
        }
    }
}

fn assert_same(a: &[f32], b: &[f32], what: &str) -> Result<(), TestCaseError> {
    let different = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits());
    prop_assert!(a.len() == b.len() && different.is_none(), "{what}: {different:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Values are of size 1. In f32 the error is that of rounding sums; in bfloat16 that of rounding the weights (2^-9).
    #[test]
    fn every_form_agrees_with_double_precision(shape in shapes()) {
        let tree = Tree::new(&shape);
        let exact = tree.exact();
        let allowed = match shape.format { Format::F32 => 2e-6, Format::Bf16 => 1e-2 };
        for isa in Isa::available() {
            let out = tree.attend(isa, 2);
            for (index, (out, exact)) in out.iter().zip(&exact).enumerate() {
                let error = (f64::from(*out) - exact).abs() / exact.abs().max(1.0);
                prop_assert!(error <= allowed, "{} at {index}: {out} for {exact}", isa.name());
            }
        }
    }

    #[test]
    fn no_bit_depends_on_company_grouping_or_threads(shape in shapes()) {
        let tree = Tree::new(&shape);
        for isa in Isa::available() {
            let together = tree.attend(isa, 1);
            assert_same(&together, &tree.attend(isa, 2), "two threads")?;
            assert_same(&together, &tree.attend(isa, 3), "three threads")?;
            let rows = tree.positions.len();
            let all: Vec<usize> = (0..rows).collect();
            assert_same(&together, &tree.attend_rows(isa, &all), "ungrouped")?;
            let width = tree.width();
            for row in 0..rows {
                assert_same(&together[row * width..][..width], &tree.attend_rows(isa, &[row]), "alone")?;
            }
        }
    }
}

/// A sequence of `tokens`, every position a row, in chunks of `chunk` rows (each sees the pages of those before).
fn prefill(isa: Isa, tree: &Tree, chunk: usize) -> Vec<f32> {
    let width = tree.width();
    let mut out = vec![f32::NAN; tree.query.len()];
    for first in (0..tree.positions.len()).step_by(chunk) {
        let end = (first + chunk).min(tree.positions.len());
        let pages = tree.segments[0].pages[..end.div_ceil(PAGE_TOKENS)].to_vec();
        let segments = [Segment { start: 0, pages, rows: (0..(end - first) as u32).collect() }];
        let call = AttentionCall {
            query: &tree.query[first * width..end * width],
            positions: &tree.positions[first..end],
            segments: &segments,
            ..tree.call()
        };
        attend_with(isa, &Pool::new(2), &tree.pages, &call, &mut out[first * width..end * width]);
    }
    out
}

/// A single sequence in which all positions are rows.
fn sequence(format: Format, tokens: usize, window: Option<usize>) -> Tree {
    let shape = Shape {
        format,
        dim: 64,
        heads: 2,
        group: 3,
        root: 0,
        branches: vec![(0, vec![tokens])],
        window,
        soft_cap: None,
        seed: 7,
    };
    let mut tree = Tree::new(&shape);
    tree.positions = (0..tokens as u32).collect();
    tree.segments[0].rows = (0..tokens as u32).collect();
    tree.query = numbers(&mut 8, tokens * tree.width());
    tree
}

#[test]
fn a_prompt_in_chunks_is_the_prompt_at_once() {
    for format in [Format::F32, Format::Bf16] {
        for window in [None, Some(70)] {
            let tree = sequence(format, 333, window);
            for isa in Isa::available() {
                let whole = prefill(isa, &tree, 333);
                assert!(whole.iter().all(|number| number.is_finite()), "{}", isa.name());
                for chunk in [1, 7, 64, 100] {
                    let cut = prefill(isa, &tree, chunk);
                    assert!(whole.iter().zip(&cut).all(|(a, b)| a.to_bits() == b.to_bits()), "{chunk} {}", isa.name());
                }
            }
        }
    }
}

#[test]
fn an_encoder_sees_the_whole_sequence() {
    let mut tree = sequence(Format::F32, 75, None);
    tree.positions.fill(74);
    let exact = tree.exact();
    for isa in Isa::available() {
        let out = tree.attend(isa, 2);
        assert!(out.iter().zip(&exact).all(|(out, exact)| (f64::from(*out) - exact).abs() < 2e-6), "{}", isa.name());
    }
}

/// What one sequence has become must never reach another one, not even through weights of zero.
#[test]
fn a_broken_sequence_breaks_no_other_and_does_not_hide() {
    for format in [Format::F32, Format::Bf16] {
        let mut tree = sequence(format, 100, None);
        let nan = vec![f32::NAN; 128];
        for isa in Isa::available() {
            let before = tree.attend(isa, 2);
            let saved = tree.written[1][8].clone();
            // Position 40: rows from it on see it.
            let at = KvSlot { page: tree.segments[0].pages[1], slot: 8 };
            for (key, value) in [(&nan, &saved.1), (&saved.0, &nan)] {
                tree.pages.write(LAYER, at, key, value);
                let after = tree.attend(isa, 2);
                let cut = 40 * tree.width();
                assert!(before[..cut].iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", isa.name());
                assert!(after[cut..].iter().all(|number| number.is_nan()), "{}", isa.name());
            }
            tree.pages.write(LAYER, at, &saved.0, &saved.1);
        }
    }
}

#[test]
fn sharp_scores_neither_overflow_nor_vanish() {
    for format in [Format::F32, Format::Bf16] {
        let mut tree = sequence(format, 600, None);
        tree.spec.scale = 300.0;
        let exact = tree.exact();
        for isa in Isa::available() {
            let out = tree.attend(isa, 2);
            // One key has all the weight in most rows; where two are close, scores of 10^4 leave few digits after the point.
            let close = out.iter().zip(&exact).filter(|(out, exact)| (f64::from(**out) - **exact).abs() < 1e-2).count();
            assert!(out.iter().all(|number| number.is_finite()), "{}", isa.name());
            assert!(close as f64 > 0.98 * exact.len() as f64, "{} of {} on {}", close, exact.len(), isa.name());
        }
    }
}

#[test]
fn this_cpu_passes_the_self_test() {
    for threads in 1..=3 {
        assert_eq!(self_test(&Pool::new(threads)), Ok(()));
    }
}

#[test]
#[should_panic(expected = "sees positions up to 11, its segments end at Some(0)")]
fn a_context_that_is_not_covered_is_refused() {
    let mut tree = sequence(Format::Bf16, 40, None);
    tree.segments[0].pages.clear();
    (tree.positions, tree.segments[0].rows) = (vec![10], vec![0]);
    tree.query.truncate(tree.width());
    tree.attend(Isa::best(), 1);
}
