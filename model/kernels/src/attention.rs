//! Attention of query rows over shared pages.
//!
//! Every row attends to its own context: positions `0..=position`, held in pages. Rows whose contexts begin with the same
//! pages are named together in a [`Segment`], whose keys are then read once for all of them. A row's result is a function of
//! its query and its context alone, bit for bit: sums run page by page in order of position inside chunks of
//! `CHUNK_TOKENS` positions, and chunks are joined in order, whoever computes them and beside whatever.
//!
//! Scores, the greatest score and all sums are 32-bit floats. With bfloat16 pages the query is rounded to bfloat16 (the scale
//! is applied to the score, after the product) and so are the weights `exp(score - greatest)`, of which the divisor is the sum.
//!
//! `plan` decides which rows are computed together and who computes what; `task` walks the pages of such a block; `tile` is
//! the arithmetic of a few rows on one page; `reference` is the plain form.

mod plan;
mod reference;
mod self_test;
#[cfg(target_arch = "x86_64")]
mod task;
#[cfg(target_arch = "x86_64")]
mod tile;
mod work;

#[cfg(test)]
mod tests;

pub use self_test::{AttentionDefect, self_test};

use crate::isa::Form;
use crate::{Isa, KvPages, PageId, Pool};

/// How a layer attends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Multiplies the scores, usually `1 / sqrt(head_dim)`. Positive.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`, as in Gemma 2. Positive.
    pub soft_cap: Option<f32>,
    /// A row at position `p` sees positions above `p - window` only. At least 1.
    pub window: Option<usize>,
}

/// Consecutive pages that some rows all attend to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position of the first token of the first page; a multiple of [`crate::PAGE_TOKENS`].
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
    /// Query heads, a multiple of the key heads.
    pub query_heads: usize,
    /// The last position each row sees. In a decoder that is its own position (rows of one pass see each other causally);
    /// in an encoder, where all see all, it is the last position of the sequence.
    pub positions: &'a [u32],
    /// Cover what every row sees exactly once, without gaps. Pages wholly before a row's window may be left out. Keys and
    /// values of the rows themselves are already written to the pages.
    pub segments: &'a [Segment],
    /// How to attend.
    pub spec: AttentionSpec,
}

impl AttentionCall<'_> {
    /// Positions that a row sees: first, and one past the last.
    fn seen(&self, row: usize) -> (usize, usize) {
        let end = self.positions[row] as usize + 1;
        (self.spec.window.map_or(0, |window| end.saturating_sub(window)), end)
    }

    fn check(&self, pages: &KvPages, out: &[f32]) {
        let geometry = pages.geometry();
        let numbers = self.positions.len() * self.query_heads * geometry.head_dim;
        assert!(
            self.query.len() == numbers && out.len() == numbers,
            "queries are [rows, query heads, head_dim], as is out"
        );
        assert!(self.query_heads.is_multiple_of(geometry.heads), "query heads are a multiple of the key heads");
        let AttentionSpec { scale, soft_cap, window } = self.spec;
        assert!(
            scale > 0.0 && soft_cap.is_none_or(|cap| cap > 0.0) && window != Some(0),
            "scale, soft cap and window are positive"
        );
    }
}

/// Writes the attention's output [rows, query heads, `head_dim`] to `out`.
///
/// # Panics
/// If a shape of `call` is wrong, or its segments do not cover what a row sees: the defect of a caller.
pub fn attend(pool: &Pool, pages: &KvPages, call: &AttentionCall<'_>, out: &mut [f32]) {
    attend_with(Isa::best(), pool, pages, call, out);
}

/// [`attend`] in the form of `isa`.
fn attend_with(isa: Isa, pool: &Pool, pages: &KvPages, call: &AttentionCall<'_>, out: &mut [f32]) {
    call.check(pages, out);
    if call.positions.is_empty() {
        return;
    }
    let plan = plan::Plan::new(pool.threads(), pages.geometry(), call);
    let work = work::Work { pages, call, plan: &plan };
    match isa.form() {
        #[cfg(target_arch = "x86_64")]
        Form::Avx512 | Form::Avx2 => task::run(isa, pool, &work, out),
        Form::Portable => reference::attend(pool, &work, out),
    }
}
