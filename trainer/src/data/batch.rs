//! From items to batches: an order for each data epoch, the global batch of each optimiser step, and its micro-batches.
//!
//! Nothing here depends on the world size but who computes what: micro-batches are cut from the global batch before they are given to
//! ranks, so that any number of ranks computes the same micro-batches.

use std::collections::BTreeMap;

use galapagos_domain::seed::Seed;
use rand::seq::SliceRandom;

use super::item::{Item, Mark, Pair, join};

/// Items for one forward pass, laid out flat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MicroBatch {
    /// The sequences' tokens, one after another.
    pub tokens: Vec<u32>,
    pub lengths: Vec<usize>,
    /// Positions count from the first token of all.
    pub marks: Vec<Mark>,
    /// Which sequence each mark is in.
    pub mark_sequences: Vec<u32>,
    /// Of sequences of the micro-batch.
    pub pairs: Vec<Pair>,
    /// Weight and value of each sequence.
    pub sequence_weights: Vec<f32>,
    pub sequence_values: Vec<f32>,
    /// Whether each sequence was sampled by the round's start.
    pub sampled_by_start: Vec<bool>,
    /// Its records' names.
    pub rows: Vec<u32>,
    /// The items' part of what the batch's loss is divided by.
    pub share: f64,
}

/// All items in an order drawn from `seed`; with `pack` above 1, items with one prefix are joined so many to one. A joined item stands
/// where its last record stands in that order; the unfilled ones follow, by prefix.
pub(super) fn ordered(items: &[Item], pack: usize, seed: Seed) -> Vec<Item> {
    let mut order: Vec<&Item> = items.iter().collect();
    order.shuffle(&mut seed.stream());
    if pack <= 1 {
        return order.into_iter().cloned().collect();
    }
    let mut open: BTreeMap<&[u32], Vec<Item>> = BTreeMap::new();
    let mut done = Vec::new();
    for item in order {
        let waiting = open.entry(item.shared()).or_default();
        waiting.push(item.clone());
        if waiting.len() == pack {
            done.extend(join(std::mem::take(waiting)));
        }
    }
    done.extend(open.into_values().filter_map(join));
    done
}

/// How many items [`ordered`] makes; the same for every seed.
pub(super) fn ordered_count(items: &[Item], pack: usize) -> usize {
    if pack <= 1 {
        return items.len();
    }
    let mut groups: BTreeMap<&[u32], usize> = BTreeMap::new();
    for item in items {
        *groups.entry(item.shared()).or_default() += 1;
    }
    groups.values().map(|count| count.div_ceil(pack)).sum()
}

/// Tokens and records of the longest sequence that any order can give.
pub(super) fn longest(items: &[Item], pack: usize) -> (usize, usize) {
    if pack <= 1 {
        return (items.iter().map(Item::longest).max().unwrap_or(0), 1);
    }
    let mut groups: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for item in items {
        groups.entry(item.shared()).or_default().push(item.longest() - item.prefix);
    }
    let of = |(prefix, mut bodies): (&[u32], Vec<usize>)| {
        bodies.sort_unstable_by(|a, b| b.cmp(a));
        let joined = bodies.len().min(pack);
        (prefix.len() + bodies[..joined].iter().sum::<usize>(), joined)
    };
    groups.into_iter().map(of).max().unwrap_or((0, 1))
}

/// The micro-batches of a global batch: items of like length together, `size` in each, and at least `least` where there are so many.
#[must_use]
pub fn micro_batches(batch: &[Item], size: usize, least: usize) -> Vec<MicroBatch> {
    let mut items: Vec<&Item> = batch.iter().collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.longest()));
    parts(&items, size, least).into_iter().map(flat).collect()
}

/// `items` in parts of `size`, but of no fewer than `least`; a last part of fewer goes with the one before.
pub(super) fn parts<T>(items: &[T], size: usize, least: usize) -> Vec<&[T]> {
    let size = size.max(least).max(1);
    let rest = items.len() % size;
    let lone = rest > 0 && rest < least && items.len() > size;
    let even = if lone { items.len() - rest - size } else { items.len() };
    let mut parts: Vec<&[T]> = items[..even].chunks(size).collect();
    if lone {
        parts.push(&items[even..]);
    }
    parts
}

/// Which micro-batches each rank computes: the largest first, each to the rank with the fewest tokens so far. In order for each rank.
#[must_use]
pub fn shares(micro_batches: &[MicroBatch], world_size: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..micro_batches.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(micro_batches[*i].tokens.len()));
    let mut ranks = vec![(0usize, Vec::new()); world_size as usize];
    for i in order {
        let least =
            ranks.iter().enumerate().min_by_key(|(rank, (tokens, _))| (*tokens, *rank)).map_or(0, |(rank, _)| rank);
        ranks[least].0 += micro_batches[i].tokens.len();
        ranks[least].1.push(i);
    }
    ranks
        .into_iter()
        .map(|(_, mut mine)| {
            mine.sort_unstable();
            mine
        })
        .collect()
}

fn flat(items: &[&Item]) -> MicroBatch {
    let mut flat = MicroBatch::default();
    for item in items {
        let first = flat.lengths.len() as u32;
        for sequence in &item.sequences {
            let (offset, number) = (flat.tokens.len() as u32, flat.lengths.len() as u32);
            flat.marks.extend(sequence.marks.iter().map(|mark| Mark { position: mark.position + offset, ..*mark }));
            flat.mark_sequences.extend(sequence.marks.iter().map(|_| number));
            flat.tokens.extend(&sequence.tokens);
            flat.lengths.push(sequence.tokens.len());
            flat.sequence_weights.push(sequence.weight);
            flat.sequence_values.push(sequence.value);
            flat.sampled_by_start.push(sequence.sampled_by_start);
        }
        let moved = |pair: &Pair| Pair { chosen: pair.chosen + first, rejected: pair.rejected + first, ..*pair };
        flat.pairs.extend(item.pairs.iter().map(moved));
        flat.rows.extend(&item.rows);
        flat.share += item.share;
    }
    flat
}

impl MicroBatch {
    /// The sequences whose number divided by `every` leaves `rest`, with their marks; without pairs, which are of others too.
    #[must_use]
    pub fn every_other(&self, every: usize, rest: usize) -> Self {
        let mut part = Self { rows: self.rows.clone(), share: self.share, ..Self::default() };
        let mut start = 0;
        for (number, marks) in self.by_sequence().enumerate() {
            let length = self.lengths[number];
            if number % every == rest {
                let (to, own) = (part.tokens.len() as u32, part.lengths.len() as u32);
                let moved = |mark: &Mark| Mark { position: mark.position - start as u32 + to, ..*mark };
                part.mark_sequences.extend(marks.clone().map(|_| own));
                part.marks.extend(self.marks[marks].iter().map(moved));
                part.tokens.extend(&self.tokens[start..start + length]);
                part.lengths.push(length);
                part.sequence_weights.push(self.sequence_weights[number]);
                part.sequence_values.push(self.sequence_values[number]);
                part.sampled_by_start.push(self.sampled_by_start[number]);
            }
            start += length;
        }
        part
    }

    /// The marks of each sequence, in order: start and end among all marks.
    pub fn by_sequence(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut start = 0;
        (0..self.lengths.len() as u32).map(move |sequence| {
            let count = self.mark_sequences[start..].iter().take_while(|of| **of == sequence).count();
            let range = start..start + count;
            start += count;
            range
        })
    }

    /// Tokens as a rectangle padded at the right, its width, and where each mark lies in it.
    #[must_use]
    pub fn padded(&self) -> (Vec<i64>, usize, Vec<i64>) {
        let width = self.lengths.iter().copied().max().unwrap_or(0);
        let mut tokens = Vec::with_capacity(width * self.lengths.len());
        let mut starts = Vec::with_capacity(self.lengths.len());
        let mut at = 0;
        for (row, length) in self.lengths.iter().enumerate() {
            starts.push(at);
            tokens.extend(self.tokens[at..at + length].iter().map(|token| i64::from(*token)));
            // Any token serves: nothing reads the positions it stands at.
            tokens.resize((row + 1) * width, 0);
            at += length;
        }
        let place = |(mark, sequence): (&Mark, &u32)| {
            let row = *sequence as usize;
            (row * width + mark.position as usize - starts[row]) as i64
        };
        let positions = self.marks.iter().zip(&self.mark_sequences).map(place).collect();
        (tokens, width, positions)
    }
}
