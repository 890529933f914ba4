//! The plain form: one row and head at a time, all scores, their greatest, the weights, the sum. For CPUs without the vector
//! instructions, and what the vector forms are tested against.

use super::work::{Shared, Work};
use crate::matrix::cells::round_to_bf16;
use crate::{Format, PAGE_TOKENS, Pool};

/// As [`super::attend`].
pub(super) fn attend(pool: &Pool, work: &Work<'_>, out: &mut [f32]) {
    let width = work.call.query_heads * work.pages.geometry().head_dim;
    let out = Shared::new(out);
    pool.run(work.plan.blocks.len(), &|block| {
        let block = &work.plan.blocks[block];
        for (local, row) in work.plan.order[block.rows.clone()].iter().enumerate() {
            // SAFETY: a row is in one block.
            let out = unsafe { out.part(*row as usize * width, width) };
            let segments = block.pieces.iter().filter(|piece| piece.rows.contains(&local)).map(|piece| piece.segment);
            attend_row(work, *row as usize, &segments.collect::<Vec<_>>(), out);
        }
    });
}

fn attend_row(work: &Work<'_>, row: usize, segments: &[usize], out: &mut [f32]) {
    let geometry = work.pages.geometry();
    let (dim, group) = (geometry.head_dim, work.call.query_heads / geometry.heads);
    let round = |x: f32| match geometry.format {
        Format::F32 => x,
        Format::Bf16 => f32::from_bits(round_to_bf16(x)),
    };
    for (head, out) in out.chunks_exact_mut(dim).enumerate() {
        let first = (row * work.call.query_heads + head) * dim;
        let query: Vec<f32> = work.call.query[first..first + dim].iter().copied().map(round).collect();
        let (mut scores, mut number) = (Vec::new(), vec![0.0; dim]);
        each_slot(work, row, segments, head / group, &mut |(keys, _), slot| {
            work.pages.copy_key(keys, slot, &mut number);
            let score = query.iter().zip(&number).map(|(q, k)| q * k).sum::<f32>() * work.call.spec.scale;
            scores.push(work.call.spec.soft_cap.map_or(score, |cap| cap * (score / cap).tanh()));
        });
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = scores.iter().map(|score| round((score - most).exp())).collect();
        let sum: f32 = weights.iter().sum();
        let mut weight = weights.iter();
        out.fill(0.0);
        each_slot(work, row, segments, head / group, &mut |(_, values), slot| {
            work.pages.copy_value(values, slot, &mut number);
            let weight = weight.next().copied().unwrap_or(0.0);
            for (out, value) in out.iter_mut().zip(&number) {
                *out += weight * value;
            }
        });
        for out in out {
            *out /= sum;
        }
    }
}

/// Given the cells of a head's keys and values in a page, and a slot.
type Visit<'a> = dyn FnMut((&[u32], &[u32]), usize) + 'a;

/// Calls `visit` with the cells and the slot of each position that the row sees, ascending.
fn each_slot(work: &Work<'_>, row: usize, segments: &[usize], head: usize, visit: &mut Visit<'_>) {
    let (low, end) = work.call.seen(row);
    for segment in segments.iter().map(|index| &work.call.segments[*index]) {
        for (index, page) in segment.pages.iter().enumerate() {
            let start = segment.start + index * PAGE_TOKENS;
            let cells = work.pages.cells(*page, work.call.layer, head);
            for slot in low.saturating_sub(start)..PAGE_TOKENS.min(end.saturating_sub(start)) {
                visit(cells, slot);
            }
        }
    }
}
