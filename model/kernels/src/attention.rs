//! Attention of query rows over shared pages.
//!
//! Every row attends to its own context: positions `0..=position`, held in pages. Rows whose contexts begin with the same
//! pages are named together in a [`Segment`], whose keys are then read once for all of them. Whether or not rows are grouped,
//! a row's sums run page by page in order of position, so grouping never changes a bit of any result.

use crate::{KvPages, PAGE_TOKENS, PageId, Pool};

/// How a layer attends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Multiplies the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`, as in Gemma 2.
    pub soft_cap: Option<f32>,
    /// A row at position `p` sees positions above `p - window` only.
    pub window: Option<usize>,
}

/// Consecutive pages that some rows all attend to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position of the first token of the first page; a multiple of [`PAGE_TOKENS`].
    pub start: usize,
    /// The pages, in order of position. All but a row's last are full as far as that row's position.
    pub pages: Vec<PageId>,
    /// Indices of the rows, ascending.
    pub rows: Vec<u32>,
}

/// One layer's attention for some rows.
#[derive(Clone, Copy, Debug)]
pub struct AttentionCall<'a> {
    /// The layer, for the pages.
    pub layer: usize,
    /// Queries [rows, query heads, `head_dim`], rotated. Query head `h` reads key head `h / (query heads / key heads)`.
    pub query: &'a [f32],
    /// Query heads.
    pub query_heads: usize,
    /// Position of each row.
    pub positions: &'a [u32],
    /// Cover every row's context exactly once; for each row they are in ascending order of `start`. Keys and values of the
    /// rows themselves are already written to the pages.
    pub segments: &'a [Segment],
    /// How to attend.
    pub spec: AttentionSpec,
}

/// Writes the attention's output [rows, query heads, `head_dim`] to `out`.
pub fn attend(pool: &Pool, pages: &KvPages, call: &AttentionCall<'_>, out: &mut [f32]) {
    let _ = pool;
    let geometry = pages.geometry();
    let (dim, group) = (geometry.head_dim, call.query_heads / geometry.heads);
    for (row, position) in call.positions.iter().map(|p| *p as usize).enumerate() {
        let low = call.spec.window.map_or(0, |window| (position + 1).saturating_sub(window));
        for head in 0..call.query_heads {
            let at = (row * call.query_heads + head) * dim;
            let query = &call.query[at..at + dim];
            let (mut most, mut total, mut sum) = (f32::NEG_INFINITY, 0.0f32, vec![0.0f32; dim]);
            for segment in call.segments.iter().filter(|segment| segment.rows.contains(&(row as u32))) {
                for (index, page) in segment.pages.iter().enumerate() {
                    let start = segment.start + index * PAGE_TOKENS;
                    let keys = pages.numbers(*page, call.layer, 0, head / group);
                    let values = pages.numbers(*page, call.layer, 1, head / group);
                    for slot in 0..PAGE_TOKENS {
                        if start + slot > position || start + slot < low {
                            continue;
                        }
                        let key = &keys[slot * dim..][..dim];
                        let mut score = query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>() * call.spec.scale;
                        if let Some(cap) = call.spec.soft_cap {
                            score = cap * (score / cap).tanh();
                        }
                        let new_most = most.max(score);
                        let (shrink, weight) = ((most - new_most).exp(), (score - new_most).exp());
                        total = total * shrink + weight;
                        for (sum, value) in sum.iter_mut().zip(&values[slot * dim..][..dim]) {
                            *sum = *sum * shrink + weight * value;
                        }
                        most = new_most;
                    }
                }
            }
            for (out, sum) in out[at..at + dim].iter_mut().zip(sum) {
                *out = sum / total;
            }
        }
    }
}
