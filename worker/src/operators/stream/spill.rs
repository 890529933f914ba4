//! Numbered records in nameless scratch files, and in memory as long as they are few.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write};

use galapagos_artifacts::trajectories::weight;
use galapagos_domain::trajectory::Trajectory;

use super::Limits;
use crate::operators::error::OperatorError;

/// Bytes between a file and a record.
const BUFFER: usize = 64 << 10;

/// A record with its place.
pub(super) type Numbered = (u64, Trajectory);

/// Records on their way into a file.
#[derive(Debug)]
pub(super) struct Spill<'a> {
    limits: Limits<'a>,
    file: BufWriter<File>,
    /// Bytes of the records in it, as files count them.
    pub bytes: u64,
}

impl<'a> Spill<'a> {
    pub(super) fn new(limits: Limits<'a>) -> Result<Self, OperatorError> {
        let file = tempfile::tempfile_in(limits.scratch).map_err(OperatorError::Scratch)?;
        Ok(Self { limits, file: BufWriter::with_capacity(BUFFER, file), bytes: 0 })
    }

    pub(super) fn push(&mut self, number: u64, record: &Trajectory) -> Result<(), OperatorError> {
        self.limits.go_on()?;
        let bytes = postcard::to_stdvec(&(number, record)).map_err(OperatorError::Spill)?;
        let length = (bytes.len() as u64).to_le_bytes();
        self.bytes += weight(record) as u64;
        self.file.write_all(&length).and_then(|()| self.file.write_all(&bytes)).map_err(OperatorError::Scratch)
    }

    /// The records, in the order in which they came.
    pub(super) fn read(self) -> Result<Spilled<'a>, OperatorError> {
        let failed = OperatorError::Scratch;
        let mut file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        Ok(Spilled { limits: self.limits, file: BufReader::with_capacity(BUFFER, file), record: Vec::new() })
    }
}

/// Records on their way out of a file.
#[derive(Debug)]
pub(super) struct Spilled<'a> {
    limits: Limits<'a>,
    file: BufReader<File>,
    record: Vec<u8>,
}

impl Spilled<'_> {
    fn read(&mut self) -> Result<Option<Numbered>, OperatorError> {
        self.limits.go_on()?;
        let mut length = [0; 8];
        match self.file.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(OperatorError::Scratch)?,
        }
        self.record.resize(usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX), 0);
        self.file.read_exact(&mut self.record).map_err(OperatorError::Scratch)?;
        postcard::from_bytes(&self.record).map(Some).map_err(OperatorError::Spill)
    }
}

impl Iterator for Spilled<'_> {
    type Item = Result<Numbered, OperatorError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Records that stay in memory until they are too many.
#[derive(Debug)]
pub(super) struct Held<'a> {
    limits: Limits<'a>,
    rows: Vec<Numbered>,
    bytes: u64,
    spill: Option<Spill<'a>>,
}

impl<'a> Held<'a> {
    pub(super) fn new(limits: Limits<'a>) -> Self {
        Self { limits, rows: Vec::new(), bytes: 0, spill: None }
    }

    pub(super) fn push(&mut self, number: u64, record: Trajectory) -> Result<(), OperatorError> {
        if let Some(spill) = &mut self.spill {
            return spill.push(number, &record);
        }
        self.bytes += weight(&record) as u64;
        self.rows.push((number, record));
        if self.bytes > self.limits.held_bytes {
            let mut spill = Spill::new(self.limits)?;
            self.rows.drain(..).try_for_each(|(number, record)| spill.push(number, &record))?;
            self.rows = Vec::new();
            self.spill = Some(spill);
        }
        Ok(())
    }

    /// The records if they are still in memory.
    pub(super) fn few(self) -> Result<Vec<Numbered>, Spill<'a>> {
        match self.spill {
            None => Ok(self.rows),
            Some(spill) => Err(spill),
        }
    }

    pub(super) fn again(self) -> Result<Box<dyn Iterator<Item = Result<Numbered, OperatorError>> + 'a>, OperatorError> {
        Ok(match self.few() {
            Ok(rows) => Box::new(rows.into_iter().map(Ok)),
            Err(spill) => Box::new(spill.read()?),
        })
    }
}
