//! One block of rows, one key head: walks the pages of its chunks, joins the chunks, and writes the result.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::plan::{Block, CHUNK_TOKENS, Task};
use super::tile::{Exponent, Kernels, Tile, most_at, prefetch, record_len, sum_at};
use super::work::{Shared, Work};
use super::{AttentionCall, reference};
use crate::matrix::cells::write_cells;
use crate::{Isa, KvGeometry, PAGE_TOKENS, Pool};

/// Buffers that a thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    query: Vec<u32>,
    records: Vec<f32>,
    joined: Vec<f32>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
    /// Parts of joins, of the calling thread.
    static PARTS: Cell<Vec<f32>> = Cell::default();
}

/// Runs the plan in the vector form of `isa`.
pub(super) fn run(isa: Isa, pool: &Pool, work: &Work<'_>, out: &mut [f32]) {
    let geometry = work.pages.geometry();
    let Some(kernels) = Kernels::new(isa, geometry.format) else {
        return reference::attend(pool, work, out);
    };
    let group = work.call.query_heads / geometry.heads;
    let mut parts = PARTS.take();
    let len = work.plan.joined_queries(group) * record_len(geometry.padded_dim());
    if parts.len() < len {
        parts.resize(len, 0.0);
    }
    let shared = Tasks {
        work: *work,
        kernels,
        geometry,
        group,
        exponent: exponent(work.call),
        left: work.plan.joins.iter().map(|join| AtomicUsize::new(join.chunks)).collect(),
        parts: Shared::new(&mut parts),
        out: Shared::new(out),
    };
    pool.run(work.plan.tasks.len(), &|task| {
        let mut scratch = SCRATCH.take();
        shared.run(&work.plan.tasks[task], &mut scratch);
        SCRATCH.set(scratch);
    });
    PARTS.set(parts);
}

fn exponent(call: &AttentionCall<'_>) -> Exponent {
    let spec = call.spec;
    match spec.soft_cap {
        Some(cap) => Exponent { factor: cap * std::f32::consts::LOG2_E, scale_of_cap: Some(spec.scale / cap) },
        None => Exponent { factor: spec.scale * std::f32::consts::LOG2_E, scale_of_cap: None },
    }
}

struct Tasks<'a> {
    work: Work<'a>,
    kernels: Kernels,
    geometry: KvGeometry,
    /// Query heads of a key head.
    group: usize,
    exponent: Exponent,
    /// Parts of each join that are still to come.
    left: Vec<AtomicUsize>,
    /// Records of the joins' parts.
    parts: Shared,
    out: Shared,
}

impl Tasks<'_> {
    fn record(&self) -> usize {
        record_len(self.geometry.padded_dim())
    }

    fn run(&self, task: &Task, scratch: &mut Scratch) {
        let block = &self.work.plan.blocks[task.block];
        let queries = block.rows.len() * self.group;
        let len = queries * self.record();
        scratch.query.resize(queries * self.geometry.key_steps(), 0);
        scratch.records.resize(len, 0.0);
        scratch.joined.resize(len, 0.0);
        self.pack(block, task.head, &mut scratch.query);
        let Some(join) = task.join else {
            self.clear(&mut scratch.joined);
            for chunk in task.chunks.clone() {
                self.chunk(block, task.head, chunk, scratch);
                self.join(&mut scratch.joined, &scratch.records);
            }
            return self.finish(block, task.head, &scratch.joined);
        };
        self.chunk(block, task.head, task.chunks.start, scratch);
        let all = self.work.plan.joins[join].first * self.record();
        let chunk = task.chunks.start - block.chunks.start;
        // SAFETY: the part of this join and chunk, which no other task has.
        unsafe { self.parts.part(all + chunk * len, len) }.copy_from_slice(&scratch.records);
        // The last to arrive sees what the others wrote.
        if self.left[join].fetch_sub(1, Ordering::AcqRel) == 1 {
            self.clear(&mut scratch.joined);
            for chunk in 0..block.chunks.len() {
                // SAFETY: all tasks that write parts of this join have ended, and one alone is the last.
                self.join(&mut scratch.joined, unsafe { self.parts.part(all + chunk * len, len) });
            }
            self.finish(block, task.head, &scratch.joined);
        }
    }

    /// The queries of the block, as cells, [row, query head of the key head].
    fn pack(&self, block: &Block, head: usize, cells: &mut [u32]) {
        let (dim, steps) = (self.geometry.head_dim, self.geometry.key_steps());
        let rows = &self.work.plan.order[block.rows.clone()];
        for (row, cells) in rows.iter().zip(cells.chunks_exact_mut(self.group * steps)) {
            let first = (*row as usize * self.work.call.query_heads + head * self.group) * dim;
            for (index, cells) in cells.chunks_exact_mut(steps).enumerate() {
                write_cells(self.geometry.format, &self.work.call.query[first + index * dim..][..dim], cells);
            }
        }
    }

    fn clear(&self, records: &mut [f32]) {
        let most = most_at(self.geometry.padded_dim());
        records.fill(0.0);
        for record in records.chunks_exact_mut(self.record()) {
            record[most] = f32::NEG_INFINITY;
        }
    }

    /// The records of one chunk.
    fn chunk(&self, block: &Block, head: usize, chunk: usize, scratch: &mut Scratch) {
        self.clear(&mut scratch.records);
        let inside = chunk * CHUNK_TOKENS..(chunk + 1) * CHUNK_TOKENS;
        let rows = &self.work.plan.order[block.rows.clone()];
        for piece in &block.pieces {
            let segment = &self.work.call.segments[piece.segment];
            let first = inside.start.saturating_sub(segment.start) / PAGE_TOKENS;
            for (index, page) in segment.pages.iter().enumerate().skip(first) {
                let start = segment.start + index * PAGE_TOKENS;
                if start >= inside.end {
                    break;
                }
                let cells = self.work.pages.cells(*page, self.work.call.layer, head);
                if let Some(next) = segment.pages.get(index + 1) {
                    let (keys, values) = self.work.pages.cells(*next, self.work.call.layer, head);
                    prefetch(keys);
                    prefetch(values);
                }
                // Neighbouring rows that see the same slots are computed together.
                let seen = |local: usize| {
                    let (low, end) = self.work.call.seen(rows[local] as usize);
                    low.saturating_sub(start).min(PAGE_TOKENS)..end.saturating_sub(start).min(PAGE_TOKENS)
                };
                let mut local = piece.rows.start;
                while local < piece.rows.end {
                    let (from, slots) = (local, seen(local));
                    while local < piece.rows.end && seen(local) == slots {
                        local += 1;
                    }
                    if !slots.is_empty() {
                        self.tiles(cells, slots, from * self.group..local * self.group, scratch);
                    }
                }
            }
        }
    }

    /// Computes query rows of the block, which all see `seen` of a page.
    fn tiles(&self, cells: (&[u32], &[u32]), seen: Range<usize>, queries: Range<usize>, scratch: &mut Scratch) {
        let (steps, padded_dim) = (self.geometry.key_steps(), self.geometry.padded_dim());
        let (mut query, record) = (queries.start, self.record());
        while let Some((rows, kernel)) = self.kernels.first_of(queries.end - query) {
            let tile = Tile {
                query: scratch.query[query * steps..(query + rows) * steps].as_ptr(),
                steps,
                keys: cells.0.as_ptr(),
                values: cells.1.as_ptr(),
                padded_dim,
                seen: seen.clone(),
                records: scratch.records[query * record..(query + rows) * record].as_mut_ptr(),
                exponent: self.exponent,
            };
            // SAFETY: the kernels are those of an instruction set that was detected; queries and records were sliced for
            // `rows` rows, keys and values are those of a whole page, and `scratch` is borrowed mutably.
            unsafe { kernel(&tile) };
            query += rows;
        }
    }

    /// Adds the sums of a chunk to those of the chunks before: both relative to the greater of their greatest scores.
    fn join(&self, joined: &mut [f32], parts: &[f32]) {
        let most = most_at(self.geometry.padded_dim());
        for (joined, part) in joined.chunks_exact_mut(self.record()).zip(parts.chunks_exact(self.record())) {
            // The row sees nothing of this chunk. (Its greatest score alone would not tell: a NaN may hide behind it.)
            if part[sum_at(self.geometry.padded_dim())..most].iter().all(|sum| *sum == 0.0) {
                continue;
            }
            let greater = joined[most].max(part[most]);
            let (before, after) = ((joined[most] - greater).exp2(), (part[most] - greater).exp2());
            for (joined, part) in joined[..most].iter_mut().zip(part) {
                *joined = *joined * before + *part * after;
            }
            joined[most] = greater;
        }
    }

    /// Divides by the sum of the weights, and writes to the output.
    fn finish(&self, block: &Block, head: usize, records: &[f32]) {
        let (dim, padded_dim) = (self.geometry.head_dim, self.geometry.padded_dim());
        let rows = &self.work.plan.order[block.rows.clone()];
        for (row, records) in rows.iter().zip(records.chunks_exact(self.group * self.record())) {
            let first = (*row as usize * self.work.call.query_heads + head * self.group) * dim;
            for (index, record) in records.chunks_exact(self.record()).enumerate() {
                let sum: f32 = record[sum_at(padded_dim)..most_at(padded_dim)].iter().sum();
                // SAFETY: a query row is in one block, and its head in one task that finishes it.
                let out = unsafe { self.out.part(first + index * dim, dim) };
                for (out, value) in out.iter_mut().zip(record) {
                    *out = value / sum;
                }
            }
        }
    }
}
