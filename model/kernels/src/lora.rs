//! Low-rank updates (LoRA) of products, for rows of many adapters in one call.
//!
//! Projections that read the same input and write to one output side by side (query, key and value) have one
//! [`LowRank`]: their matrices A are stacked, each B adds to its own columns. The weights of an adapter are read once for
//! all of its rows in a task, so a batch of many adapters costs the bytes of its adapters and little else.
//!
//! Row-invariant: a row's sums run in an order given by the adapter alone. Weights are widened to 32-bit floats, inputs are
//! never rounded. CPUs with fused multiply-add round differently from those without, as everywhere in this crate.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::loops::dispatch;
use crate::{Format, Isa, Pool};

mod inner;

use inner::{AddRows, Blocks, LANES, UP_CHAINS};

/// Rows of one task: few enough to share a prompt among threads, many enough to read weights seldom.
const TASK_ROWS: usize = 16;

/// One projection's update `scale * B A`.
#[derive(Clone, Copy, Debug)]
pub struct LowRankPart<'a> {
    /// A, row-major [rank, inputs].
    pub down: &'a [f32],
    /// B, row-major [outputs, rank].
    pub up: &'a [f32],
    /// Rank.
    pub rank: usize,
    /// First column of the output this part adds to.
    pub column: usize,
    /// Factor of the update.
    pub scale: f32,
}

/// The updates of projections that read the same input, packed.
#[derive(Debug)]
pub struct LowRank {
    inputs: usize,
    /// The matrices A below each other, each from a row that chains begin at.
    down: Blocks,
    /// The factor of each row of `down`.
    scales: Vec<f32>,
    parts: Vec<Part>,
}

/// One projection's share: rows `first..first + rank` of the stacked A, and its B.
#[derive(Debug)]
struct Part {
    first: usize,
    rank: usize,
    column: usize,
    outputs: usize,
    up: Blocks,
}

impl Part {
    /// Rows of the stacked A up to the next part.
    fn padded_rank(&self) -> usize {
        self.rank.next_multiple_of(UP_CHAINS)
    }
}

impl LowRank {
    /// Packs the parts, all reading `inputs` numbers. With [`Format::Bf16`] the weights are rounded to bfloat16.
    ///
    /// # Panics
    /// Never when the parts' matrices have the sizes that `inputs` and their ranks say.
    #[must_use]
    pub fn pack(inputs: usize, parts: &[LowRankPart<'_>], format: Format) -> Self {
        let nothing = vec![0.0; inputs];
        let (mut rows, mut scales) = (Vec::new(), Vec::new());
        for part in parts {
            assert_eq!(part.down.len(), part.rank * inputs, "A has rank x inputs values");
            assert_eq!(part.up.len() % part.rank, 0, "B has outputs x rank values");
            rows.extend(part.down.chunks_exact(inputs));
            rows.resize(rows.len().next_multiple_of(UP_CHAINS), &nothing);
            scales.resize(rows.len(), part.scale);
        }
        scales.resize(rows.len().next_multiple_of(LANES), 0.0);
        // In the order in which they are read.
        let down = Blocks::down(&rows, inputs, format);
        let mut first = 0;
        let pack = |part: &LowRankPart<'_>| {
            let outputs = part.up.len() / part.rank;
            let up = Blocks::up(part.up, part.rank, format);
            let packed = Part { first, rank: part.rank, column: part.column, outputs, up };
            first += packed.padded_rank();
            packed
        };
        Self { inputs, down, scales, parts: parts.iter().map(pack).collect() }
    }

    /// Width of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.down.bytes() + self.parts.iter().map(|part| part.up.bytes()).sum::<usize>()
    }
}

/// Consecutive rows of one adapter.
#[derive(Clone, Debug)]
pub struct LowRankRows<'a> {
    /// Indices of the rows.
    pub rows: Range<usize>,
    /// What is added to them.
    pub update: &'a LowRank,
}

/// Adds each group's update: `out[row] += scale * B (A x[row])` for the rows of the groups; other rows keep their values.
/// `x` is [rows, inputs], `out` [rows, width].
///
/// # Panics
/// When the groups are not ascending and disjoint, or reach beyond `x` or `out`.
pub fn add_low_rank(pool: &Pool, groups: &[LowRankRows<'_>], x: &[f32], width: usize, out: &mut [f32]) {
    let tasks = tasks(groups, x, width, out);
    pool.run(tasks.len(), &|index| {
        let task = &tasks[index];
        // Each task is taken once, so nobody waits here; a panic elsewhere does not make this task's rows wrong.
        let mut out = task.out.lock().unwrap_or_else(PoisonError::into_inner);
        dispatch(Isa::best(), AddRows { update: task.update, x: task.x, width, out: &mut out });
    });
}

struct Task<'a> {
    update: &'a LowRank,
    x: &'a [f32],
    out: Mutex<&'a mut [f32]>,
}

fn tasks<'a>(groups: &[LowRankRows<'a>], x: &'a [f32], width: usize, out: &'a mut [f32]) -> Vec<Task<'a>> {
    let mut tasks = Vec::with_capacity(groups.len());
    let (mut rest, mut done) = (out, 0);
    for group in groups {
        assert!(group.rows.start >= done, "groups of rows are ascending and disjoint");
        let inputs = group.update.inputs;
        for start in group.rows.clone().step_by(TASK_ROWS) {
            let end = group.rows.end.min(start + TASK_ROWS);
            let (_, tail) = rest.split_at_mut((start - done) * width);
            let (own, tail) = tail.split_at_mut((end - start) * width);
            (rest, done) = (tail, end);
            let x = &x[start * inputs..end * inputs];
            tasks.push(Task { update: group.update, x, out: Mutex::new(own) });
        }
    }
    tasks
}

#[cfg(test)]
mod tests;
