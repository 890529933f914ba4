//! What ends a command, and the exit code that scripts rely on.

use std::path::PathBuf;
use std::process::ExitCode;

use galapagos_domain::cluster::view::Status;
use galapagos_proto::status::{Kind, Refusal};

use crate::local::{FolderError, ProcessError};

/// Exit codes: a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Cancelled = 3,
    Refused = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Status> for Exit {
    /// The exit code of a command that saw an evolution to this status.
    fn from(status: Status) -> Self {
        match status {
            Status::Done | Status::Running | Status::Paused => Self::Done,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// A failed command. Display says what was tried; `source` has the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot write to standard output")]
    Output { source: std::io::Error },
    #[error("cannot start the asynchronous runtime")]
    Runtime { source: std::io::Error },
    /// Diagnostics of a recipe or experiment file, rendered with line and column.
    #[error("{diagnostics}")]
    Recipe { diagnostics: String },
    #[error("{message}")]
    Usage { message: String },
    #[error("{message}")]
    Refused { message: String },
    #[error("{message}")]
    Failed { message: String },
    #[error("cannot use the run folder")]
    Folder { source: FolderError },
    #[error("the local cluster cannot go on")]
    Process { source: ProcessError },
    #[error("cannot reach the coordinator")]
    Connect { source: galapagos_proto::client::ConnectError },
    #[error("the coordinator refused to {what}")]
    Call { what: &'static str, source: Refusal },
    #[error("the coordinator's answer cannot be read")]
    Answer { source: galapagos_proto::convert::ConvertError },
    #[error("the coordinator failed")]
    Coordinator { source: galapagos_coordinator::Error },
    #[error("cannot use the artifact store")]
    Artifact { source: Box<galapagos_artifacts::Error> },
    #[error("cannot start `{}`", path.display())]
    Exec { path: PathBuf, source: std::io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

impl Error {
    /// The exit code for this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Recipe { .. } => Exit::Usage,
            Self::Refused { .. } | Self::Folder { source: FolderError::InUse { .. } } => Exit::Refused,
            Self::Call { source, .. } => match source.kind {
                Kind::Invalid | Kind::NotFound | Kind::Malformed => Exit::Usage,
                Kind::Conflict | Kind::Fenced | Kind::WrongVersion => Exit::Refused,
                Kind::Busy | Kind::Deadline | Kind::SlowReader | Kind::Stopping | Kind::Transport | Kind::Internal => {
                    Exit::Failed
                }
            },
            Self::Coordinator { source } => coordinator_exit(source),
            Self::Process { source } if source.is_refusal() => Exit::Refused,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Output { .. }
            | Self::Runtime { .. }
            | Self::Failed { .. }
            | Self::Folder { .. }
            | Self::Process { .. }
            | Self::Connect { .. }
            | Self::Answer { .. }
            | Self::Artifact { .. }
            | Self::Exec { .. }
            | Self::Json { .. } => Exit::Failed,
        }
    }
}

/// A coordinator that refuses its store or its port will refuse again: a supervisor must not restart it.
fn coordinator_exit(error: &galapagos_coordinator::Error) -> Exit {
    use galapagos_coordinator::Error as E;
    match error {
        E::PortInUse { .. } | E::Listen { .. } | E::Open { .. } | E::Record { .. } | E::Load { .. } => Exit::Refused,
        E::Persist { .. }
        | E::Encode { .. }
        | E::Announce { .. }
        | E::Grpc { .. }
        | E::Reflection { .. }
        | E::Http { .. }
        | E::Task { .. } => Exit::Failed,
    }
}
