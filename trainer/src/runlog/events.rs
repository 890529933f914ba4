//! One event file: its name and what is appended to it. Each record is one write, so that a reader never has to wait
//! for more of it than a moment; a reader that finds half a frame tries again later.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StepRecord;
use super::error::{RunLogError, io};
use super::messages::{Event, FILE_VERSION, START, SessionLog, Summary, Value, What, frame};

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".galapagos";

/// An event file open for appending.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
    has_records: bool,
}

impl EventFile {
    /// A new file in `folder`, named after all event files of ours that are there.
    pub(super) fn create(folder: &Path, wall_seconds: f64) -> Result<Self, RunLogError> {
        let latest = latest_seconds(folder)?;
        // Ten digits, so that names sort as numbers do; a time before 1970 counts as 0.
        let seconds = (wall_seconds as u64).max(latest.map_or(0, |latest| latest.saturating_add(1)));
        let path = folder.join(format!("{PREFIX}{seconds:010}{SUFFIX}"));
        let file = File::create_new(&path).map_err(io("make", &path))?;
        let mut events = Self { path, file, has_records: false };
        let what = Some(What::FileVersion(FILE_VERSION.to_owned()));
        events.append(&Event { wall_time: wall_seconds, step: 0, what })?;
        Ok(events)
    }

    /// Whether a record was written to this file.
    pub(super) fn has_records(&self) -> bool {
        self.has_records
    }

    /// Says that what earlier files hold of the record's step and later ones is void.
    pub(super) fn restart(&mut self, record: &StepRecord) -> Result<(), RunLogError> {
        self.append(&event(record, What::SessionLog(SessionLog { status: START })))
    }

    pub(super) fn write(&mut self, record: &StepRecord) -> Result<(), RunLogError> {
        // TensorBoard's scalars are f32; a value beyond their range is shown as infinite.
        let value =
            |(name, value): &(Cow<str>, f64)| Value { tag: name.to_string(), simple_value: Some(*value as f32) };
        self.has_records = true;
        self.append(&event(record, What::Summary(Summary { values: record.values.iter().map(value).collect() })))
    }

    /// Waits until the disk has it all.
    pub(super) fn close(self) -> Result<(), RunLogError> {
        self.file.sync_all().map_err(io("write", &self.path))
    }

    fn append(&mut self, event: &Event) -> Result<(), RunLogError> {
        self.file.write_all(&frame(event)).map_err(io("write", &self.path))
    }
}

fn event(record: &StepRecord, what: What) -> Event {
    // The record was checked to fit.
    let step = i64::try_from(record.step).unwrap_or(i64::MAX);
    Event { wall_time: record.wall_seconds, step, what: Some(what) }
}

fn latest_seconds(folder: &Path) -> Result<Option<u64>, RunLogError> {
    let mut latest = None;
    for entry in fs::read_dir(folder).map_err(io("list", folder))? {
        let name = entry.map_err(io("list", folder))?.file_name();
        let seconds =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse::<u64>().ok());
        latest = latest.max(seconds);
    }
    Ok(latest)
}
