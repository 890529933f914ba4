//! Trajectory files in bounded memory: rows go out in row groups as they fill, and come in a few at a time.
//!
//! Where a row group ends depends on the rows alone, so equal rows give equal bytes, and the same bytes as [`super::encode`] gives.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use galapagos_domain::trajectory::Trajectory;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Cause, from_batch, to_batch};
use crate::Error;

/// A row group ends with the row that brings it to so many bytes, as [`weight`] counts them.
const GROUP_BYTES: usize = 8 << 20;
/// Rows that are read at once.
const READ_ROWS: usize = 128;

/// Writes rows as one file.
#[derive(Debug)]
pub struct Writer<W: Write + Send> {
    file: ArrowWriter<W>,
    waiting: Vec<Trajectory>,
    bytes: usize,
    rows: u64,
}

impl<W: Write + Send> Writer<W> {
    /// A file without rows.
    ///
    /// # Errors
    /// [`Error::Table`] if `to` cannot be written.
    pub fn new(to: W) -> Result<Self, Error> {
        let file = failed("encode", || {
            let schema = to_batch(&[])?.schema();
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_created_by("galapagos".to_owned())
                .build();
            Ok(ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties))?)
        })?;
        Ok(Self { file, waiting: Vec::new(), bytes: 0, rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::Table`] if the file cannot be written.
    pub fn push(&mut self, row: Trajectory) -> Result<(), Error> {
        self.bytes += weight(&row);
        self.rows += 1;
        self.waiting.push(row);
        if self.bytes < GROUP_BYTES { Ok(()) } else { self.flush() }
    }

    /// Ends the file; what it was written to, and the number of its rows.
    ///
    /// # Errors
    /// [`Error::Table`] if the file cannot be written.
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        self.flush()?;
        let rows = self.rows;
        failed("encode", || Ok((self.file.into_inner()?, rows)))
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        failed("encode", || {
            self.file.write(&to_batch(&rows)?)?;
            Ok(self.file.flush()?)
        })
    }
}

/// Bytes of a row, about: what it takes unpacked in a file.
#[must_use]
pub fn weight(row: &Trajectory) -> usize {
    let tokens = row.prompt_tokens.len() + row.completion_tokens.len() + row.log_probs.len();
    let texts = row.completion.len() + row.verdict.reason.len() + row.task.len();
    let scores: usize = row.scores.iter().map(|score| score.by.len() + 8).sum();
    256 + 4 * tokens + texts + scores + 24 * row.credit.spans.len()
}

/// The rows of a file, in order.
#[derive(Debug)]
pub struct Reader {
    batches: ParquetRecordBatchReader,
    /// Last row first.
    read: Vec<Trajectory>,
}

impl Reader {
    /// Opens a file made by a [`Writer`] or by [`super::encode`].
    ///
    /// # Errors
    /// [`Error::Table`] if it is no such file.
    pub fn open(file: File) -> Result<Self, Error> {
        let batches = failed("decode", || {
            Ok(ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(READ_ROWS).build()?)
        })?;
        Ok(Self { batches, read: Vec::new() })
    }

    fn fill(&mut self) -> Result<bool, Cause> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        from_batch(&batch?, &mut self.read)?;
        self.read.reverse();
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<Trajectory, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.read.pop() {
                return Some(Ok(row));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(source) => return Some(Err(Error::Table { what: "decode", source })),
            }
        }
    }
}

fn failed<T>(what: &'static str, work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Error> {
    work().map_err(|source| Error::Table { what, source })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::super::tests::row;
    use super::*;
    use galapagos_domain::trajectory::Outcome;

    fn rows(count: u32) -> Vec<Trajectory> {
        (0..count).map(|sample| row(sample % 40, Outcome::Pass)).collect()
    }

    #[test]
    fn a_file_of_several_groups_holds_the_rows_in_order_and_is_the_one_that_encode_gives() {
        let long = Trajectory { prompt_tokens: (0..100_000).collect(), ..row(3, Outcome::Fail) };
        let rows: Vec<_> = rows(300).into_iter().chain(vec![long; 50]).chain(rows(7)).collect();
        let mut writer = Writer::new(Vec::new()).unwrap();
        rows.iter().for_each(|row| writer.push(row.clone()).unwrap());
        let (bytes, count) = writer.finish().unwrap();
        assert_eq!(count, rows.len() as u64);
        assert_eq!(super::super::encode(&rows).unwrap(), bytes);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().unwrap()).unwrap();
        assert_eq!(builder.metadata().num_row_groups(), 3, "50 rows of 0.4 MB in groups of 8 MB");
        let back: Result<Vec<_>, _> = Reader::open(file).unwrap().collect();
        assert_eq!(back.unwrap(), rows);
    }
}
