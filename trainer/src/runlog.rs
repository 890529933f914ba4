//! What a training run writes for people: its values at each optimiser step, as TensorBoard event files and as one
//! Parquet table.
//!
//! A folder holds one run, however often it is stopped and continued:
//!
//! - `events.out.tfevents.SECONDS.galapagos`, event files: complete after each record, so that a live TensorBoard shows it.
//!   Values are f32 there, which is all that TensorBoard has.
//! - `steps.parquet`, the table: columns `step` (uint64) and `wall_seconds` (float64), then one float64 column for each
//!   value's name, null where a step had no such value. Rewritten now and then, at [`RunLog::flush`] and at the end.
//!
//! Values that are not finite are written as they are. Steps come in order; a record at a step that is already there
//! means that the run went back to an earlier checkpoint: see [`RunLog::append`]. One process writes to a folder at a
//! time: rank 0. Nothing here reads a clock or decides what is worth writing.

mod error;
mod events;
mod messages;
mod table;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub use error::RunLogError;
use events::EventFile;
use table::Table;

/// The values of one optimiser step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// The optimiser step, counted over the whole run.
    pub step: u64,
    /// Seconds since 1970 when the step was done.
    pub wall_seconds: f64,
    /// Values with their names, such as `loss` or `time/forward`; TensorBoard groups names by what stands before the
    /// slash.
    pub values: Vec<(Cow<'static, str>, f64)>,
}

impl StepRecord {
    fn check(&self) -> Result<(), RunLogError> {
        let refused = |wrong: String| Err(RunLogError::Record { step: self.step, wrong });
        if i64::try_from(self.step).is_err() {
            return refused("its number is beyond the largest of an event file".to_owned());
        }
        if !self.wall_seconds.is_finite() {
            return refused(format!("its wall time is {}; it must be finite", self.wall_seconds));
        }
        let mut names = BTreeSet::from(table::KEYS);
        for (name, _) in &self.values {
            if name.is_empty() {
                return refused("a value has no name".to_owned());
            }
            if !names.insert(name) {
                return refused(format!("the value name `{name}` is taken; names must differ"));
            }
        }
        Ok(())
    }
}

/// Rows after which the table is rewritten, if they are more than a quarter of it: so its rewrites cost a fixed part of
/// a run.
const REWRITE_ROWS: usize = 64;

/// The log of one run, open for writing.
#[derive(Debug)]
pub struct RunLog {
    folder: PathBuf,
    events: EventFile,
    table: Table,
    /// Rows that the table's file does not have.
    unsaved: usize,
}

impl RunLog {
    /// Opens the log in `folder`, which is made if it is missing, and begins a new event file whose name carries
    /// `first_wall_seconds` (since 1970), or a later second if that is not after the event files already there. Records
    /// that an earlier process wrote to the table are read and kept.
    ///
    /// # Errors
    /// [`RunLogError`] with the path, if the folder cannot be used or its table is not one of this kind.
    pub fn create(folder: &Path, first_wall_seconds: f64) -> Result<Self, RunLogError> {
        if !first_wall_seconds.is_finite() {
            return Err(RunLogError::Start { wall_seconds: first_wall_seconds });
        }
        fs::create_dir_all(folder).map_err(error::io("make the folder", folder))?;
        let table = Table::open(folder)?;
        let events = EventFile::create(folder, first_wall_seconds)?;
        Ok(Self { folder: folder.to_owned(), events, table, unsaved: 0 })
    }

    /// Writes one record.
    ///
    /// If the log already has steps at or after `record.step`, they are stale: the run was continued from an earlier
    /// checkpoint. The table drops them. Event files are never rewritten: the record begins a new one (unless that of
    /// this process is still empty), whose first event is a session start at that step, and TensorBoard, which reads a
    /// run's files in the order of their names, then drops what it read of later steps.
    ///
    /// # Errors
    /// [`RunLogError::Record`] if a name is empty, taken twice or that of a key column, or the time is not finite:
    /// nothing is then written. Else [`RunLogError`] with the path of the file that could not be written.
    pub fn append(&mut self, record: &StepRecord) -> Result<(), RunLogError> {
        record.check()?;
        let stale = self.table.last_step().is_some_and(|last| record.step <= last);
        if stale {
            self.table.truncate(record.step);
            if self.events.has_records() {
                self.events = EventFile::create(&self.folder, record.wall_seconds)?;
            }
            self.events.restart(record)?;
        }
        self.events.write(record)?;
        self.table.push(record);
        self.unsaved += 1;
        if stale || self.unsaved >= REWRITE_ROWS.max(self.table.rows() / 4) { self.flush() } else { Ok(()) }
    }

    /// Brings the table's file up to date. To be called beside each checkpoint of a run: a run that is continued from
    /// there then finds all rows before it, whatever happened to the process.
    ///
    /// # Errors
    /// [`RunLogError`] with the path; the file is then as it was.
    pub fn flush(&mut self) -> Result<(), RunLogError> {
        if self.unsaved > 0 {
            self.table.save()?;
            self.unsaved = 0;
        }
        Ok(())
    }

    /// Writes what is left. Without it the table's file may miss the rows since the last [`RunLog::flush`].
    ///
    /// # Errors
    /// [`RunLogError`] with the path.
    pub fn finish(mut self) -> Result<(), RunLogError> {
        self.flush()?;
        self.events.close()
    }
}

#[cfg(test)]
mod tests;
