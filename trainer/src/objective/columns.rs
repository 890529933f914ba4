//! The numbers of a micro-batch's marks as tensors, and what was said of them before it is learned from.

use tch::{Device, TchError, Tensor};

use crate::data::batch::MicroBatch;

/// What is known of a micro-batch before it is learned from; each `[marks]` but where said, and there where a loss asks for it.
#[derive(Debug, Default)]
pub struct Notes {
    /// Log-probabilities under the reference.
    pub reference: Option<Tensor>,
    /// Log-probabilities under the round's start.
    pub proximal: Option<Tensor>,
    /// The critic's values, or those at the start of the critic in training.
    pub old_values: Option<Tensor>,
    /// Advantages or returns that were made of them, in place of the marks' values.
    pub values: Option<Tensor>,
    /// The target network's Q-values `[marks, actions]`.
    pub target_q: Option<Tensor>,
    /// The reference point of judged records, a scalar over the whole batch `[]`.
    pub point: Option<Tensor>,
}

/// Columns of marks `[marks]`, of sequences and of pairs.
#[derive(Debug)]
pub struct Columns {
    /// 64-bit integers.
    pub targets: Tensor,
    pub values: Tensor,
    pub weights: Tensor,
    pub behaviour: Tensor,
    pub extra: Tensor,
    /// 1 for marks of the first learned part of their record, else 0.
    pub first_turn: Tensor,
    /// The sequence of each mark; 64-bit integers.
    pub segment: Tensor,
    pub sequence_weights: Tensor,
    pub sequence_values: Tensor,
    /// 1 for marks whose recorded log-probability is that of the engine for the round's start.
    pub sampled_by_start: Tensor,
    /// Sequences of pairs, 64-bit integers; weight and margin of each pair.
    pub chosen: Tensor,
    pub rejected: Tensor,
    pub pair_weights: Tensor,
    pub pair_margins: Tensor,
    /// 1 for the last mark of its sequence, else 0.
    pub last: Tensor,
    pub sequences: i64,
    pub marks: i64,
    pub notes: Notes,
}

impl Columns {
    /// The columns of a micro-batch, on `device`.
    ///
    /// # Errors
    /// Without memory.
    pub fn new(batch: &MicroBatch, notes: Notes, device: Device) -> Result<Self, TchError> {
        let floats = |values: Vec<f32>| Tensor::f_from_slice(&values)?.f_to_device(device);
        let ints = |values: Vec<i64>| Tensor::f_from_slice(&values)?.f_to_device(device);
        let marks = || batch.marks.iter();
        let segment: Vec<i64> = batch.mark_sequences.iter().map(|sequence| i64::from(*sequence)).collect();
        let ours = batch.mark_sequences.iter().map(|sequence| f32::from(batch.sampled_by_start[*sequence as usize]));
        let next = batch.mark_sequences.iter().skip(1).map(Some).chain([None]);
        let last = batch.mark_sequences.iter().zip(next).map(|(own, next)| f32::from(next != Some(own)));
        let pairs = || batch.pairs.iter();
        Ok(Self {
            targets: ints(marks().map(|mark| i64::from(mark.target)).collect())?,
            values: match &notes.values {
                Some(values) => values.shallow_clone(),
                None => floats(marks().map(|mark| mark.value).collect())?,
            },
            weights: floats(marks().map(|mark| mark.weight).collect())?,
            behaviour: floats(marks().map(|mark| mark.behaviour).collect())?,
            extra: floats(marks().map(|mark| mark.extra).collect())?,
            first_turn: floats(marks().map(|mark| f32::from(mark.first_turn)).collect())?,
            sampled_by_start: floats(ours.collect())?,
            last: floats(last.collect())?,
            segment: ints(segment)?,
            sequence_weights: floats(batch.sequence_weights.clone())?,
            sequence_values: floats(batch.sequence_values.clone())?,
            chosen: ints(pairs().map(|pair| i64::from(pair.chosen)).collect())?,
            rejected: ints(pairs().map(|pair| i64::from(pair.rejected)).collect())?,
            pair_weights: floats(pairs().map(|pair| pair.weight).collect())?,
            pair_margins: floats(pairs().map(|pair| pair.margin).collect())?,
            sequences: batch.lengths.len() as i64,
            marks: batch.marks.len() as i64,
            notes,
        })
    }

    /// The columns of some of the marks alone, for losses of single tokens.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn part(&self, start: i64, length: i64) -> Result<Self, TchError> {
        let part = |column: &Tensor| column.f_narrow(0, start, length);
        let noted = |note: &Option<Tensor>| note.as_ref().map(part).transpose();
        let notes = Notes {
            reference: noted(&self.notes.reference)?,
            proximal: noted(&self.notes.proximal)?,
            old_values: noted(&self.notes.old_values)?,
            values: noted(&self.notes.values)?,
            target_q: noted(&self.notes.target_q)?,
            point: self.notes.point.as_ref().map(Tensor::shallow_clone),
        };
        Ok(Self {
            targets: part(&self.targets)?,
            values: part(&self.values)?,
            weights: part(&self.weights)?,
            behaviour: part(&self.behaviour)?,
            extra: part(&self.extra)?,
            first_turn: part(&self.first_turn)?,
            segment: part(&self.segment)?,
            sampled_by_start: part(&self.sampled_by_start)?,
            last: part(&self.last)?,
            sequence_weights: self.sequence_weights.shallow_clone(),
            sequence_values: self.sequence_values.shallow_clone(),
            chosen: self.chosen.shallow_clone(),
            rejected: self.rejected.shallow_clone(),
            pair_weights: self.pair_weights.shallow_clone(),
            pair_margins: self.pair_margins.shallow_clone(),
            sequences: self.sequences,
            marks: length,
            notes,
        })
    }

    /// A note that must be there.
    pub(super) fn need<'a>(&self, note: &'a Option<Tensor>, what: &str) -> Result<&'a Tensor, TchError> {
        note.as_ref().ok_or_else(|| TchError::Shape(format!("the micro-batch has no {what}")))
    }
}
