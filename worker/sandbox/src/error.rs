//! Why the sandbox itself could not do its work. None of these says anything about the program that was to run.

use std::io;
use std::path::PathBuf;

use crate::layer::BelowFloor;
use crate::runtime::PythonError;

/// The sandbox failed; whoever asked must not take it for a verdict.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(transparent)]
    BelowFloor(#[from] BelowFloor),
    #[error("cannot start the sandbox's launcher {}; it belongs beside this executable", launcher.display())]
    Launcher { launcher: PathBuf, source: io::Error },
    #[error("the sandbox could not be put up: cannot {doing}: {reason}")]
    PutUp { doing: String, reason: String },
    #[error("the sandbox's launcher did not {what} within {limit_ms} ms")]
    Slow { what: &'static str, limit_ms: u64 },
    #[error("the sandbox could not {doing}")]
    System { doing: &'static str, source: io::Error },
    #[error("the Python that was asked for cannot be used")]
    Python { source: PythonError },
    #[error("there is no Python to run code of models with: {said}")]
    NoPython { said: String },
    #[error("the sandbox's harness answered wrongly: {what}")]
    Harness { what: String },
    #[error("the sandbox's pool has no thread")]
    Thread { source: galapagos_telemetry::SpawnError },
    #[error("a check asks for what it cannot check: {what}")]
    Check { what: String },
}

/// Names what the system refused.
pub(crate) trait While<T> {
    fn to(self, doing: &'static str) -> Result<T, SandboxError>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn to(self, doing: &'static str) -> Result<T, SandboxError> {
        self.map_err(|error| SandboxError::System { doing, source: error.into() })
    }
}
