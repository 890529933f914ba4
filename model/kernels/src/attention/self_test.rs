//! What an engine checks before it relies on this CPU's form: that grouping, threads and company change no bit, and that the
//! result is that of the plain form. Takes a few milliseconds.

use super::{AttentionCall, AttentionSpec, Segment, attend, attend_with};
use crate::{Format, Isa, KvGeometry, KvPages, KvRows, KvSlot, PAGE_TOKENS, PageId, Pool};

/// Positions all rows of the trial share; not a multiple of a chunk.
const SHARED: usize = 11 * PAGE_TOKENS;
const ROWS: usize = 7;
const QUERY_HEADS: usize = 6;

/// What is wrong with the attention of this CPU.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttentionDefect {
    /// A row's result depends on what it was computed with.
    #[error(
        "attention ({isa}, {format:?}): row {row} differs alone and in company; results would depend on the batch. \
         Please report this CPU"
    )]
    Variant {
        /// The form.
        isa: &'static str,
        /// Of keys and values.
        format: Format,
        /// The row of the trial.
        row: usize,
    },
    /// The result is not that of the plain form.
    #[error(
        "attention ({isa}, {format:?}): off the plain form by {error:e}, allowed is {allowed:e}. Please report this CPU"
    )]
    Wrong {
        /// The form.
        isa: &'static str,
        /// Of keys and values.
        format: Format,
        /// Greatest absolute difference.
        error: f32,
        /// What is allowed; values are below 1.
        allowed: f32,
    },
}

/// Checks the form that [`attend`] uses on this CPU, with the threads of `pool`.
///
/// # Errors
/// [`AttentionDefect`], if it must not be used.
pub fn self_test(pool: &Pool) -> Result<(), AttentionDefect> {
    for (format, allowed) in [(Format::F32, 1e-5), (Format::Bf16, 2e-2)] {
        let trial = Trial::new(format);
        let together = trial.attend(pool, &trial.segments);
        let isa = Isa::best().name();
        let single = Pool::new(1);
        for row in 0..ROWS {
            let alone = trial.attend_alone(&single, row);
            let width = alone.len();
            let same = alone.iter().zip(&together[row * width..]).all(|(a, b)| a.to_bits() == b.to_bits());
            if !same {
                return Err(AttentionDefect::Variant { isa, format, row });
            }
        }
        let mut plain = vec![0.0; together.len()];
        for portable in Isa::available().into_iter().rev().take(1) {
            attend_with(portable, &single, &trial.pages, &trial.call(&trial.segments), &mut plain);
        }
        let error = together
            .iter()
            .zip(&plain)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |most: f32, error| if error.is_nan() { f32::INFINITY } else { most.max(error) });
        if error > allowed {
            return Err(AttentionDefect::Wrong { isa, format, error, allowed });
        }
    }
    Ok(())
}

/// Rows that share a prefix and have tails of their own, under a window that cuts a page.
struct Trial {
    pages: KvPages,
    query: Vec<f32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
}

impl Trial {
    fn new(format: Format) -> Self {
        let geometry = KvGeometry { layers: 1, heads: 2, head_dim: 48, format };
        let mut numbers = Numbers(1);
        let mut pages = KvPages::new(geometry);
        let mut add = |count: usize| -> Vec<PageId> {
            let ids: Vec<PageId> = (0..count).map(|_| pages.add()).collect();
            for page in &ids {
                let slots: Vec<KvSlot> = (0..PAGE_TOKENS as u32).map(|slot| KvSlot { page: *page, slot }).collect();
                let key: Vec<f32> = numbers.take(slots.len() * geometry.heads * geometry.head_dim);
                let value: Vec<f32> = numbers.take(key.len());
                pages.write_rows(&Pool::new(1), 0, &KvRows { slots: &slots, key: &key, value: &value });
            }
            ids
        };
        let all = (0..ROWS as u32).collect();
        let mut segments = vec![Segment { start: 0, pages: add(SHARED / PAGE_TOKENS), rows: all }];
        let mut positions = Vec::new();
        for row in 0..ROWS {
            segments.push(Segment { start: SHARED, pages: add(row + 1), rows: vec![row as u32] });
            positions.push((SHARED + row * PAGE_TOKENS + 5 * row) as u32);
        }
        let query = numbers.take(ROWS * QUERY_HEADS * geometry.head_dim);
        Self { pages, query, positions, segments }
    }

    fn call<'a>(&'a self, segments: &'a [Segment]) -> AttentionCall<'a> {
        AttentionCall {
            layer: 0,
            query: &self.query,
            query_heads: QUERY_HEADS,
            positions: &self.positions,
            segments,
            spec: AttentionSpec { scale: 1.5, soft_cap: None, window: Some(SHARED - 13) },
        }
    }

    fn attend(&self, pool: &Pool, segments: &[Segment]) -> Vec<f32> {
        let mut out = vec![0.0; self.query.len()];
        attend(pool, &self.pages, &self.call(segments), &mut out);
        out
    }

    fn attend_alone(&self, pool: &Pool, row: usize) -> Vec<f32> {
        let segments: Vec<Segment> = [&self.segments[0], &self.segments[row + 1]]
            .map(|segment| Segment { rows: vec![0], ..segment.clone() })
            .into();
        let width = self.query.len() / ROWS;
        let mut out = vec![0.0; width];
        let call = AttentionCall {
            query: &self.query[row * width..][..width],
            positions: &self.positions[row..=row],
            ..self.call(&segments)
        };
        attend(pool, &self.pages, &call, &mut out);
        out
    }
}

/// A linear congruential generator: numbers between -1 and 1.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let next = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }
}
