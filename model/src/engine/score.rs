//! A score in the making: which rows of a sequence are read, and what was read so far.

use super::event::SampleError;
use super::ids::RequestId;
use super::request::{Masks, Read, ScoreRequest};

/// One score request.
#[derive(Debug)]
pub(super) struct Score {
    pub(super) request: RequestId,
    /// Positions whose rows are read, ascending; as often as they are read.
    rows: Vec<usize>,
    /// The token whose log-probability is read, for each of them; empty if values are.
    targets: Vec<u32>,
    /// Numbers read at each of them.
    width: usize,
    /// Under which the row is read, if there are any.
    pub(super) masks: Option<Masks>,
    /// Row by row.
    pub(super) values: Vec<f32>,
}

impl Score {
    /// Of a model with that many labels.
    pub(super) fn new(request: RequestId, asked: &ScoreRequest, labels: usize) -> Self {
        let targets = match asked.read {
            Read::LogProbs { from } => asked.tokens[from..].to_vec(),
            Read::Next { ref tokens } => tokens.clone(),
            Read::Values { .. } | Read::Masked(_) => Vec::new(),
        };
        let (rows, width, masks) = (asked.rows(), asked.width(labels), asked.masks());
        Self { request, rows, targets, width, masks, values: Vec::new() }
    }

    /// Begins again.
    pub(super) fn restart(&mut self) {
        self.values.clear();
    }

    /// Positions in `start..end` that are to be read, each with the token whose log-probability it is, if one is.
    pub(super) fn reads(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, Option<u32>)> + '_ {
        let unread = self.read()..self.rows.len();
        let rows = unread.map(|index| (self.rows[index], self.targets.get(index).copied()));
        rows.skip_while(move |(row, _)| *row < start).take_while(move |(row, _)| *row < end)
    }

    /// Adds what was read next.
    pub(super) fn push(&mut self, value: f32) -> Result<(), SampleError> {
        if !value.is_finite() {
            let position = self.rows.get(self.read()).copied().unwrap_or(0);
            return Err(SampleError::NotFinite { position, value });
        }
        self.values.push(value);
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.read() == self.rows.len()
    }

    /// Rows that were read, all of them wholly but the one that is being read.
    fn read(&self) -> usize {
        self.values.len() / self.width
    }
}
