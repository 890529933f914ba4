//! A rank's part of a global batch, cut into micro batches and padded. Together the ranks' parts are the batch, in order.

use super::Sequence;

/// A rectangle of tokens for one forward pass, and where to read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroBatch {
    /// Number of sequences, and the padded length of each.
    pub rows: usize,
    pub width: usize,
    /// `rows * width` token ids, row after row. Padding stands at the right, where causal attention never looks from a token.
    pub tokens: Vec<i64>,
    /// For each mark its index `row * width + position`.
    pub positions: Vec<i64>,
    /// For each mark its target.
    pub targets: Vec<i64>,
}

/// Any token id serves: nothing reads the positions it stands at.
const PADDING: i64 = 0;

/// The sequences of `rank`: a contiguous slice; sizes differ by at most one, and may be 0.
#[must_use]
pub fn slice(batch: &[Sequence], rank: u32, world_size: u32) -> &[Sequence] {
    let bound = |rank: u32| batch.len() * rank as usize / world_size as usize;
    &batch[bound(rank)..bound(rank + 1)]
}

/// Marks of all sequences.
#[must_use]
pub fn marks(sequences: &[Sequence]) -> usize {
    sequences.iter().map(|sequence| sequence.marks.len()).sum()
}

/// Tokens of all sequences, without padding.
#[must_use]
pub fn tokens(sequences: &[Sequence]) -> usize {
    sequences.iter().map(|sequence| sequence.tokens.len()).sum()
}

/// `sequences` in groups of `size`, each padded to its own longest.
pub fn micro_batches(sequences: &[Sequence], size: usize) -> impl ExactSizeIterator<Item = MicroBatch> {
    sequences.chunks(size).map(pad)
}

fn pad(sequences: &[Sequence]) -> MicroBatch {
    let width = sequences.iter().map(|sequence| sequence.tokens.len()).max().unwrap_or(0);
    let mut padded = MicroBatch {
        rows: sequences.len(),
        width,
        tokens: Vec::with_capacity(sequences.len() * width),
        positions: Vec::new(),
        targets: Vec::new(),
    };
    for (row, sequence) in sequences.iter().enumerate() {
        padded.tokens.extend(sequence.tokens.iter().map(|token| i64::from(*token)));
        padded.tokens.resize((row + 1) * width, PADDING);
        for mark in &sequence.marks {
            padded.positions.push((row * width + mark.position) as i64);
            padded.targets.push(i64::from(mark.target));
        }
    }
    padded
}
