//! What a rank learns from: trajectories become records, records become sequences, sequences become batches.
//!
//! Pure: no tensors, no files, no randomness but the seed given. Every rank holds all records and computes the same batches;
//! [`shard`] then takes a rank's part. The order depends on the round's seed alone, never on the world size.

mod error;
mod pack;
mod record;
pub mod shard;

pub use error::DataError;
pub use record::Record;

use galapagos_domain::recipe::train::{Loss, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;

/// One thing to be predicted: the hidden state at `position` of a sequence against `target`, a token id (nll) or a
/// label, 1 for pass and 0 for fail (pointwise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub position: usize,
    pub target: u32,
}

/// One row of a forward pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    pub tokens: Vec<u32>,
    /// In order of position, at least one.
    pub marks: Vec<Mark>,
}

/// What the model can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest sequence.
    pub positions: usize,
    /// Token ids are below this.
    pub vocabulary: usize,
}

/// All records of a round, ready to be laid out data epoch by data epoch.
#[derive(Debug)]
pub struct Dataset {
    records: Vec<Record>,
    left_out: u64,
    pack: usize,
    batch: usize,
    data_epochs: u32,
}

impl Dataset {
    /// Takes every trajectory that `train.loss` can use and checks it against the model's limits.
    ///
    /// # Errors
    /// [`DataError`] says which setting or which record is at fault; an empty result is an error too.
    pub fn new(trajectories: &[Trajectory], train: &Train, limits: Limits) -> Result<Self, DataError> {
        let positive = [
            ("batch", train.batch),
            ("micro_batch", train.micro_batch),
            ("pack", train.pack),
            ("data_epochs", train.data_epochs),
        ];
        if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(DataError::Zero { field });
        }
        if train.pack != 1 && matches!(train.loss, Loss::Pointwise(_)) {
            return Err(DataError::PointwisePack { pack: train.pack });
        }
        let records: Vec<Record> = trajectories
            .iter()
            .filter_map(|trajectory| Record::new(trajectory, train).transpose())
            .collect::<Result<_, _>>()?;
        if records.is_empty() {
            return Err(DataError::Empty { records_in: trajectories.len(), loss: train.loss });
        }
        let pack = train.pack as usize;
        record::check_tokens(&records, limits.vocabulary)?;
        pack::check_longest(&records, pack, limits.positions)?;
        Ok(Self {
            left_out: (trajectories.len() - records.len()) as u64,
            records,
            pack,
            batch: train.batch as usize,
            data_epochs: train.data_epochs,
        })
    }

    /// Records whose verdict the loss cannot use.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Records in use.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Optimiser steps of the whole round.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let sequences = pack::sequence_count(&self.records, self.pack);
        sequences.div_ceil(self.batch) as u64 * u64::from(self.data_epochs)
    }

    /// The global batches of the round in order: one for each optimiser step. Each data epoch uses every record exactly
    /// once, in an order of its own; its last batch may be smaller.
    pub fn batches(&self, seed: Seed) -> impl Iterator<Item = Vec<Sequence>> {
        (0..self.data_epochs).flat_map(move |number| {
            let sequences = self.data_epoch(seed, number);
            sequences.chunks(self.batch).map(<[Sequence]>::to_vec).collect::<Vec<_>>()
        })
    }

    fn data_epoch(&self, seed: Seed, number: u32) -> Vec<Sequence> {
        pack::sequences(&self.records, self.pack, seed.derive(&format!("data-epoch/{number}")))
    }
}

#[cfg(test)]
mod tests;
