//! The rows of the training benchmark: the batch of each, what stands on either side, and the ratio that is wanted. Pure.

use clap::ValueEnum;
use galapagos_domain::recipe::train::{Layout, Precision};
use galapagos_domain::seed::Seed;
use rand::RngExt;
use serde::Serialize;

use super::options::Against;

/// A row by the name that `--only` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowName {
    /// One process, f32: 8 sequences of 128 tokens, all learned
    StepF32,
    /// One process, bf16: 8 sequences of 128 tokens, all learned
    StepBf16,
    /// One process, bf16: 8 sequences of 128 tokens, the last 16 learned
    AnswersBf16,
    /// Two ranks of one thread, f32, half the batch each
    #[value(name = "ddp-2-f32")]
    #[serde(rename = "ddp-2-f32")]
    Ddp2F32,
    /// Two ranks of one thread, bf16, half the batch each
    #[value(name = "ddp-2-bf16")]
    #[serde(rename = "ddp-2-bf16")]
    Ddp2Bf16,
    /// Growth of the resident memory of one process, f32
    MemoryF32,
    /// Growth of the resident memory of one process, bf16
    MemoryBf16,
    /// 32 sequences of 16 to 512 tokens without padding, bf16, beside PyTorch with padding
    Packing,
    /// The same beside our own padded layout, which puts like lengths together
    PackingSorted,
    /// bf16 beside f32
    Bf16,
    /// Two ranks with half the threads each, beside one
    #[value(name = "scaling-2")]
    #[serde(rename = "scaling-2")]
    Scaling2,
    /// Four ranks with a quarter of the threads each, at least one, beside one rank
    #[value(name = "scaling-4")]
    #[serde(rename = "scaling-4")]
    Scaling4,
}

/// Sizes as the row says, or a fraction of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Full,
    Quick,
}

/// What stands on the other side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rival {
    /// PyTorch eager, or its DistributedDataParallel.
    Torch,
    /// This trainer, padded.
    Padded,
    /// This trainer in f32.
    F32,
    /// This trainer in one process.
    OneRank,
}

/// What a row's figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Milliseconds of a step.
    Step,
    /// Megabytes.
    Memory,
    /// Tokens a second.
    Rate,
}

/// One batch, always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    pub sequences: Vec<Vec<u32>>,
    /// So many tokens at the end of each sequence are learned, of shorter ones all but the first.
    pub answer: usize,
}

/// The processes of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub ours: bool,
    pub ranks: u32,
    /// Of each rank.
    pub threads: u32,
    pub precision: Precision,
    pub layout: Layout,
    /// Sequences in one forward pass of a rank.
    pub micro_batch: u32,
}

impl Figure {
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Step => "ms",
            Self::Memory => "MB",
            Self::Rate => "tokens/s",
        }
    }

    /// Whether a small ratio is the better one.
    #[must_use]
    pub fn less_is_better(self) -> bool {
        self != Self::Rate
    }
}

impl Work {
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Tokens of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// Sequences of a batch, and those of the batch with mixed lengths.
const BATCH: (u32, u32) = (8, 32);

/// Sequences in one forward pass of mixed lengths.
const MIXED_MICRO_BATCH: u32 = 8;

impl RowName {
    /// All rows in order.
    pub const ALL: [Self; 12] = [
        Self::StepF32,
        Self::StepBf16,
        Self::AnswersBf16,
        Self::Ddp2F32,
        Self::Ddp2Bf16,
        Self::MemoryF32,
        Self::MemoryBf16,
        Self::Packing,
        Self::PackingSorted,
        Self::Bf16,
        Self::Scaling2,
        Self::Scaling4,
    ];

    /// The name as `--only` takes it and JSON says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::StepF32 => "step-f32",
            Self::StepBf16 => "step-bf16",
            Self::AnswersBf16 => "answers-bf16",
            Self::Ddp2F32 => "ddp-2-f32",
            Self::Ddp2Bf16 => "ddp-2-bf16",
            Self::MemoryF32 => "memory-f32",
            Self::MemoryBf16 => "memory-bf16",
            Self::Packing => "packing",
            Self::PackingSorted => "packing-sorted",
            Self::Bf16 => "bf16",
            Self::Scaling2 => "scaling-2",
            Self::Scaling4 => "scaling-4",
        }
    }

    /// Whether its sequences are of mixed lengths.
    fn is_mixed(self) -> bool {
        matches!(self, Self::Packing | Self::PackingSorted)
    }

    /// What stands on the other side.
    #[must_use]
    pub fn rival(self) -> Rival {
        match self {
            Self::PackingSorted => Rival::Padded,
            Self::Bf16 => Rival::F32,
            Self::Scaling2 | Self::Scaling4 => Rival::OneRank,
            _ => Rival::Torch,
        }
    }

    /// Whether the row can be measured against `against`.
    #[must_use]
    pub fn fits(self, against: Against) -> bool {
        against == Against::Torch || self.rival() != Rival::Torch
    }

    #[must_use]
    pub fn figure(self) -> Figure {
        match self {
            Self::MemoryF32 | Self::MemoryBf16 => Figure::Memory,
            Self::Packing | Self::PackingSorted | Self::Bf16 => Figure::Rate,
            _ => Figure::Step,
        }
    }

    /// The ratio of ours to the other side that is wanted: at most for milliseconds and megabytes, at least for rates. `None` where none
    /// was set.
    #[must_use]
    pub fn target(self, multiplies_bf16: bool) -> Option<f64> {
        match self {
            Self::PackingSorted | Self::Scaling2 | Self::Scaling4 => None,
            Self::Packing => Some(1.5),
            Self::Bf16 => multiplies_bf16.then_some(1.3),
            _ => Some(1.0),
        }
    }

    /// Ranks of our side.
    #[must_use]
    pub fn ranks(self) -> u32 {
        match self {
            Self::Ddp2F32 | Self::Ddp2Bf16 | Self::Scaling2 => 2,
            Self::Scaling4 => 4,
            _ => 1,
        }
    }

    /// Our processes and those of the other side, of `threads` in all.
    #[must_use]
    pub fn shapes(self, threads: u32) -> (Shape, Shape) {
        let precision = match self {
            Self::StepF32 | Self::Ddp2F32 | Self::MemoryF32 => Precision::F32,
            _ => Precision::Bf16,
        };
        let ranks = self.ranks();
        let each = match self {
            Self::Ddp2F32 | Self::Ddp2Bf16 => 1,
            _ => (threads / ranks).max(1),
        };
        let micro_batch = if self.is_mixed() { MIXED_MICRO_BATCH } else { BATCH.0 / ranks };
        let ours = Shape { ours: true, ranks, threads: each, precision, layout: Layout::Packed, micro_batch };
        let other = match self.rival() {
            Rival::Torch => Shape { ours: false, ..ours },
            Rival::Padded => Shape { layout: Layout::Padded, ..ours },
            Rival::F32 => Shape { precision: Precision::F32, ..ours },
            Rival::OneRank => Shape { ranks: 1, threads, micro_batch: BATCH.0, ..ours },
        };
        (ours, other)
    }

    /// The batch, of tokens below `vocabulary`.
    #[must_use]
    pub fn work(self, scale: Scale, vocabulary: usize) -> Work {
        let mut stream = Seed(0xba7c4).derive("bench").stream();
        let divisor = if scale == Scale::Quick { 8 } else { 1 };
        let lengths: Vec<usize> = if self.is_mixed() {
            // Log-uniform.
            (0..BATCH.1).map(|_| (16.0 * 32f64.powf(stream.random())) as usize / divisor).collect()
        } else {
            vec![128 / divisor; BATCH.0 as usize]
        };
        let mut tokens = |length| (0..length).map(|_| stream.random_range(0..vocabulary.max(1)) as u32).collect();
        let sequences: Vec<Vec<u32>> = lengths.iter().map(|length| tokens(*length)).collect();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let answer = if self == Self::AnswersBf16 { 16 / divisor } else { longest - 1 };
        Work { sequences, answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for row in RowName::ALL {
            assert_eq!(RowName::from_str(row.text(), false), Ok(row));
            assert_eq!(serde_json::to_value(row).unwrap(), row.text());
        }
    }

    #[test]
    fn batches_have_the_sizes_that_their_rows_say_and_are_always_the_same() {
        let work = |row: RowName| row.work(Scale::Full, 49152);
        let step = work(RowName::StepF32);
        assert_eq!((step.tokens(), step.longest(), step.answer), (1024, 128, 127));
        assert_eq!(work(RowName::AnswersBf16).answer, 16);
        assert_eq!(work(RowName::StepF32), work(RowName::Ddp2Bf16));
        let mixed = work(RowName::Packing);
        assert_eq!(mixed.sequences.len(), 32);
        assert!(mixed.sequences.iter().all(|tokens| (16..=512).contains(&tokens.len())));
        assert!((3000..7000).contains(&mixed.tokens()), "{}", mixed.tokens());
        for row in RowName::ALL {
            let work = row.work(Scale::Quick, 50);
            assert!(work.answer > 0 && work.sequences.iter().all(|tokens| tokens.len() > 1), "{row:?}");
            assert!(work.sequences.iter().flatten().all(|token| *token < 50), "{row:?}");
        }
    }

    #[test]
    fn sides_differ_in_what_the_row_is_about_alone() {
        assert_eq!(RowName::Packing.work(Scale::Full, 50), RowName::PackingSorted.work(Scale::Full, 50));
        let (ours, other) = RowName::PackingSorted.shapes(2);
        assert_eq!(Shape { layout: Layout::Padded, ..ours }, other);
        let (ours, other) = RowName::Bf16.shapes(2);
        assert_eq!(Shape { precision: Precision::F32, ..ours }, other);
        let (ours, other) = RowName::Ddp2F32.shapes(2);
        assert_eq!((ours.ranks, ours.threads, ours.micro_batch), (2, 1, 4));
        assert_eq!(Shape { ours: false, ..ours }, other);
        let (ours, other) = RowName::Scaling4.shapes(8);
        assert_eq!((ours.ranks, ours.threads, ours.micro_batch), (4, 2, 2));
        assert_eq!((other.ranks, other.threads, other.micro_batch), (1, 8, 8));
    }

    #[test]
    fn bf16_has_a_target_only_where_the_processor_multiplies_it() {
        assert_eq!((RowName::Bf16.target(true), RowName::Bf16.target(false)), (Some(1.3), None));
        assert_eq!(RowName::StepBf16.target(false), Some(1.0));
    }
}
