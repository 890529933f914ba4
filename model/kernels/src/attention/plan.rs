//! Which rows are computed together, and in which tasks. Decides speed only: no result depends on it.
//!
//! Rows are put in the order of their segments, so that rows that share stand together, and cut into blocks whose queries and
//! sums fit the first-level cache beside a page. A task is one block for one key head, over its whole context, or over one
//! chunk of it where whole contexts would leave threads idle (few rows, long contexts).

use std::ops::Range;

use super::AttentionCall;
use crate::{KvGeometry, PAGE_TOKENS};

/// Positions of a chunk: the context of a row is cut at multiples of it, whoever computes it.
pub(super) const CHUNK_TOKENS: usize = 256;

/// Query rows (rows x query heads per key head) of a block.
const BLOCK_QUERIES: usize = 48;

/// Tasks per thread that even out the ends.
const TASKS_PER_THREAD: usize = 4;

/// What reading a page costs, in query rows that compute on it.
const PAGE_COST: usize = 4;

#[derive(Debug)]
pub(super) struct Plan {
    /// The rows, those that share beside each other.
    pub(super) order: Vec<u32>,
    pub(super) blocks: Vec<Block>,
    /// The most expensive first.
    pub(super) tasks: Vec<Task>,
    /// Blocks whose chunks are computed apart, for each head.
    pub(super) joins: Vec<Join>,
}

/// Rows that are computed together.
#[derive(Debug)]
pub(super) struct Block {
    /// Of [`Plan::order`].
    pub(super) rows: Range<usize>,
    /// Ascending by the start of the segment.
    pub(super) pieces: Vec<Piece>,
    /// The chunks in which a row sees something.
    pub(super) chunks: Range<usize>,
}

/// Neighbouring rows of a block that share a segment.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) segment: usize,
    /// Counted from the first row of the block.
    pub(super) rows: Range<usize>,
}

/// One block, one key head, some chunks.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) block: usize,
    pub(super) head: usize,
    pub(super) chunks: Range<usize>,
    /// The join this is a part of, where the chunks of the block are computed apart.
    pub(super) join: Option<usize>,
    cost: usize,
}

/// Parts of a block's sums, one for each chunk, joined by whoever computes the last.
#[derive(Debug)]
pub(super) struct Join {
    /// Query rows of all joins before.
    pub(super) first: usize,
    pub(super) chunks: usize,
}

/// The segments of each row in order of their start, as [first..first of the next row] of one list.
struct Contexts {
    first: Vec<usize>,
    segments: Vec<usize>,
}

impl Contexts {
    fn new(call: &AttentionCall<'_>) -> Self {
        let rows = call.positions.len();
        let mut first = vec![0; rows + 1];
        for row in call.segments.iter().flat_map(|segment| &segment.rows) {
            assert!((*row as usize) < rows, "a segment names row {row} of {rows}");
            first[*row as usize + 1] += 1;
        }
        for row in 0..rows {
            first[row + 1] += first[row];
        }
        let mut by_start: Vec<usize> = (0..call.segments.len()).collect();
        by_start.sort_by_key(|segment| call.segments[*segment].start);
        let mut segments = vec![0; first[rows]];
        let mut next = first.clone();
        for index in by_start {
            for row in &call.segments[index].rows {
                segments[next[*row as usize]] = index;
                next[*row as usize] += 1;
            }
        }
        let contexts = Self { first, segments };
        (0..rows).for_each(|row| contexts.check(call, row));
        contexts
    }

    fn of(&self, row: usize) -> &[usize] {
        &self.segments[self.first[row]..self.first[row + 1]]
    }

    fn check(&self, call: &AttentionCall<'_>, row: usize) {
        let (low, end) = call.seen(row);
        let mut covered = None;
        for segment in self.of(row).iter().map(|index| &call.segments[*index]) {
            assert!(segment.start.is_multiple_of(PAGE_TOKENS), "segments start at a multiple of {PAGE_TOKENS}");
            let expected = covered.unwrap_or_else(|| segment.start.min(low));
            assert!(segment.start == expected, "row {row}: a segment at {} where {expected} comes next", segment.start);
            covered = Some(segment.start + segment.pages.len() * PAGE_TOKENS);
        }
        assert!(covered >= Some(end), "row {row} sees positions up to {end}, its segments end at {covered:?}");
    }
}

impl Plan {
    pub(super) fn new(threads: usize, geometry: KvGeometry, call: &AttentionCall<'_>) -> Self {
        let contexts = Contexts::new(call);
        let mut order: Vec<u32> = (0..call.positions.len() as u32).collect();
        order.sort_by(|a, b| contexts.of(*a as usize).cmp(contexts.of(*b as usize)));
        let group = call.query_heads / geometry.heads;
        let most = (BLOCK_QUERIES / group).max(1);
        let first_segment = |at: usize| contexts.of(order[at] as usize).first();
        let mut blocks: Vec<Block> = Vec::new();
        for at in 0..order.len() {
            match blocks.last_mut() {
                Some(block) if block.rows.len() < most && first_segment(at) == first_segment(block.rows.start) => {
                    block.rows.end = at + 1;
                }
                _ => blocks.push(Block { rows: at..at + 1, pieces: Vec::new(), chunks: 0..0 }),
            }
        }
        for block in &mut blocks {
            block.fill(call, &contexts, &order);
        }
        let mut plan = Self { order, blocks, tasks: Vec::new(), joins: Vec::new() };
        plan.assign(threads, geometry.heads, group);
        plan
    }

    fn assign(&mut self, threads: usize, heads: usize, group: usize) {
        let chunk_cost = |block: &Block| CHUNK_TOKENS / PAGE_TOKENS * (block.rows.len() * group + PAGE_COST);
        let total: usize = self.blocks.iter().map(|block| heads * block.chunks.len() * chunk_cost(block)).sum();
        let fair = if threads == 1 { total } else { total / (threads * TASKS_PER_THREAD) };
        let mut joined = 0;
        for (index, block) in self.blocks.iter().enumerate() {
            let cost = block.chunks.len() * chunk_cost(block);
            for head in 0..heads {
                if cost <= fair || block.chunks.len() == 1 {
                    self.tasks.push(Task { block: index, head, chunks: block.chunks.clone(), join: None, cost });
                    continue;
                }
                let join = Some(self.joins.len());
                self.joins.push(Join { first: joined, chunks: block.chunks.len() });
                joined += block.chunks.len() * block.rows.len() * group;
                for chunk in block.chunks.clone() {
                    let chunks = chunk..chunk + 1;
                    self.tasks.push(Task { block: index, head, chunks, join, cost: chunk_cost(block) });
                }
            }
        }
        self.tasks.sort_by_key(|task| std::cmp::Reverse(task.cost));
    }

    /// Query rows of the parts of all joins.
    pub(super) fn joined_queries(&self, group: usize) -> usize {
        let last = self.tasks.iter().filter_map(|task| Some((task.join?, task.block))).max();
        last.map_or(0, |(join, block)| {
            let join = &self.joins[join];
            join.first + join.chunks * self.blocks[block].rows.len() * group
        })
    }
}

impl Block {
    fn fill(&mut self, call: &AttentionCall<'_>, contexts: &Contexts, order: &[u32]) {
        let (mut low, mut end) = (usize::MAX, 0);
        for (local, row) in order[self.rows.clone()].iter().enumerate() {
            let seen = call.seen(*row as usize);
            (low, end) = (low.min(seen.0), end.max(seen.1));
            for segment in contexts.of(*row as usize) {
                let last = self.pieces.iter_mut().rev().find(|piece| piece.segment == *segment);
                match last {
                    Some(piece) if piece.rows.end == local => piece.rows.end = local + 1,
                    _ => self.pieces.push(Piece { segment: *segment, rows: local..local + 1 }),
                }
            }
        }
        self.pieces.sort_by_key(|piece| (call.segments[piece.segment].start, piece.segment, piece.rows.start));
        self.chunks = low / CHUNK_TOKENS..end.div_ceil(CHUNK_TOKENS);
    }
}
