//! The line to the coordinator: waiting to dial, dialling, or open. One at a time, and always exactly one of the three.
//!
//! Dialling ends with the coordinator's `Registered`; whoever answers but does not register us within
//! [`REGISTRATION_LIMIT`] counts as broken.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use galapagos_domain::session::{CoordinatorMessage, Registration, WorkerMessage};
use galapagos_proto::announce::AnnounceError;
use galapagos_proto::client::{self, ConnectError};
use galapagos_proto::convert::ConvertError;
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::endpoint::Endpoint;

/// Messages on their way up; a full queue means that the coordinator does not read.
const QUEUE: usize = 64;

/// From the open stream to `Registered`.
const REGISTRATION_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("cannot find the coordinator")]
    Announce(#[source] AnnounceError),
    #[error("cannot connect to the coordinator")]
    Connect(#[source] ConnectError),
    #[error("the coordinator ended the session")]
    Ended(#[source] Refusal),
    #[error("the coordinator closed the session")]
    Closed,
    #[error("the coordinator did not answer the registration within {} s", REGISTRATION_LIMIT.as_secs())]
    Silent,
    #[error("the coordinator sent a message that this worker cannot read")]
    Unreadable(#[source] ConvertError),
    #[error("the coordinator's first message was not `Registered`")]
    NotRegistered,
}

impl LineError {
    /// The refusal after which trying again is useless: the coordinator will never take this process.
    pub(super) fn final_refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Ended(refusal) => match refusal.kind {
                Kind::WrongVersion | Kind::Fenced | Kind::Invalid => Some(refusal),
                Kind::NotFound
                | Kind::Conflict
                | Kind::Malformed
                | Kind::Busy
                | Kind::Deadline
                | Kind::SlowReader
                | Kind::Stopping
                | Kind::Transport
                | Kind::Internal => None,
            },
            Self::Announce(_)
            | Self::Connect(_)
            | Self::Closed
            | Self::Silent
            | Self::Unreadable(_)
            | Self::NotRegistered => None,
        }
    }
}

/// An open session.
pub(super) struct Link {
    up: mpsc::Sender<v1::WorkerMessage>,
    down: Streaming<v1::CoordinatorMessage>,
    /// Say something at least this often.
    pub(super) heartbeat: Duration,
    /// Grows each time a process of this worker's name starts anew.
    pub(super) incarnation: u64,
}

impl Link {
    /// Hands a message to the stream if there is room; false if not, or if the stream is broken, which
    /// [`Line::next`] then says.
    pub(super) fn try_send(&self, message: WorkerMessage) -> bool {
        self.up.try_send(message.into()).is_ok()
    }
}

/// What happens on the line.
pub(super) enum LineEvent {
    /// The wait is over: dial.
    Dial,
    /// Dialling ended well.
    Opened(Box<Link>),
    Message(CoordinatorMessage),
    Broken(LineError),
}

/// See the head of this file.
pub(super) enum Line {
    Waiting(Instant),
    Dialling(Pin<Box<dyn Future<Output = Result<Link, LineError>> + Send>>),
    Open(Box<Link>),
}

impl Line {
    /// Not to be dialled before `wait` is over.
    pub(super) fn waiting(wait: Duration) -> Self {
        Self::Waiting(Instant::now() + wait)
    }

    /// Starts to dial.
    pub(super) fn dialling(endpoint: Endpoint, registration: Registration) -> Self {
        Self::Dialling(Box::pin(open(endpoint, registration)))
    }

    /// The open session.
    pub(super) fn link(&self) -> Option<&Link> {
        match self {
            Self::Open(link) => Some(link),
            Self::Waiting(_) | Self::Dialling(_) => None,
        }
    }

    /// What happens next. Dropping the future loses nothing: it may be raced against other events.
    pub(super) async fn next(&mut self) -> LineEvent {
        match self {
            Self::Waiting(until) => {
                sleep_until(*until).await;
                LineEvent::Dial
            }
            Self::Dialling(dialling) => match dialling.await {
                Ok(link) => LineEvent::Opened(Box::new(link)),
                Err(error) => LineEvent::Broken(error),
            },
            Self::Open(link) => match read(&mut link.down).await {
                Ok(message) => LineEvent::Message(message),
                Err(error) => LineEvent::Broken(error),
            },
        }
    }
}

async fn open(endpoint: Endpoint, registration: Registration) -> Result<Link, LineError> {
    let address = endpoint.resolve().map_err(LineError::Announce)?;
    let channel = client::connect_session(&address).await.map_err(LineError::Connect)?;
    let (up, queue) = mpsc::channel(QUEUE);
    // The queue is new and has room: this cannot fail.
    drop(up.try_send(WorkerMessage::Register(registration).into()));
    let registered = async {
        let response = client::worker(channel).session(ReceiverStream::new(queue)).await;
        let mut down = response.map_err(|status| LineError::Ended(status.into()))?.into_inner();
        match read(&mut down).await? {
            CoordinatorMessage::Registered { incarnation, heartbeat_ms, leader_epoch: _ } => {
                Ok(Link { up, down, heartbeat: Duration::from_millis(heartbeat_ms.max(2)), incarnation: incarnation.0 })
            }
            CoordinatorMessage::Lease { .. }
            | CoordinatorMessage::Revoke { .. }
            | CoordinatorMessage::PrepareRank(_)
            | CoordinatorMessage::StartRank { .. }
            | CoordinatorMessage::KillRanks { .. }
            | CoordinatorMessage::DropStates { .. }
            | CoordinatorMessage::Acknowledge { .. } => Err(LineError::NotRegistered),
        }
    };
    timeout(REGISTRATION_LIMIT, registered).await.unwrap_or(Err(LineError::Silent))
}

async fn read(down: &mut Streaming<v1::CoordinatorMessage>) -> Result<CoordinatorMessage, LineError> {
    match down.message().await {
        Ok(Some(message)) => CoordinatorMessage::try_from(message).map_err(LineError::Unreadable),
        Ok(None) => Err(LineError::Closed),
        Err(status) => Err(LineError::Ended(status.into())),
    }
}
