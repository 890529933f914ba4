//! Why a run log could not be written or continued: what was tried, and on which file.

use std::io;
use std::path::{Path, PathBuf};

/// A run log could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RunLogError {
    #[error("could not {what} {path}", path = .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("could not {what} the table {path}", path = .path.display())]
    Table { what: &'static str, path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{path} is not the table of a run log: {wrong}; move it away, or log to another folder", path = .path.display())]
    Foreign { path: PathBuf, wrong: String },
    #[error("a run log cannot begin at {wall_seconds} s; it must be a finite number of seconds since 1970")]
    Start { wall_seconds: f64 },
    #[error("the record of step {step} cannot be written: {wrong}")]
    Record { step: u64, wrong: String },
}

/// Names what was tried on `path`.
pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunLogError {
    move |source| RunLogError::Io { what, path: path.to_owned(), source }
}
