//! The worker service: opens a session on its first message and passes on the rest. One task a session reads it; the
//! stream down is fed by the driver's effects.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use galapagos_domain::fence::Incarnation;
use galapagos_domain::ids::WorkerId;
use galapagos_domain::session::{Registration, WorkerMessage};
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use galapagos_proto::v1::worker_service_server::WorkerService;
use galapagos_telemetry::spawn_task;
use tonic::{Request, Response, Status, Streaming};

use crate::handle::Handle;
use crate::sessions::{self, Ended, Outbox};

/// A stream must begin with its registration within this time.
const REGISTER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Workers {
    handle: Handle,
}

impl Workers {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type SessionStream = BoxStream<'static, Result<v1::CoordinatorMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut inbound = request.into_inner();
        let registration = registration(&mut inbound).await?;
        let worker = registration.worker.clone();
        let (outbox, outgoing, ended) = sessions::open();
        let incarnation = self.handle.register(registration, outbox.clone()).await?;
        tracing::info!(%worker, incarnation = incarnation.0, "session opened");
        let session = Session { handle: self.handle.clone(), worker, incarnation, inbound, outbox };
        // The task ends with its stream and tells the driver; nobody needs to wait for it.
        drop(spawn_task(format!("session-{}", session.worker), session.read(ended)));
        Ok(Response::new(outgoing.map(|item| item.map(Into::into).map_err(Status::from)).boxed()))
    }
}

/// The first message.
async fn registration(inbound: &mut Streaming<v1::WorkerMessage>) -> Result<Registration, Refusal> {
    let first = tokio::time::timeout(REGISTER_WITHIN, inbound.message()).await.map_err(|_elapsed| {
        Refusal::new(Kind::Deadline, format!("no registration within {} s", REGISTER_WITHIN.as_secs()))
    })?;
    let Some(message) = first.map_err(Refusal::from)? else {
        return Err(Refusal::new(Kind::Malformed, "the session ended before its registration"));
    };
    match WorkerMessage::try_from(message)? {
        WorkerMessage::Register(registration) => Ok(registration),
        WorkerMessage::Heartbeat
        | WorkerMessage::JobProgress { .. }
        | WorkerMessage::JobDone { .. }
        | WorkerMessage::JobFailed { .. }
        | WorkerMessage::RankReady { .. }
        | WorkerMessage::RankProgress { .. }
        | WorkerMessage::RankVoted { .. }
        | WorkerMessage::RankFailed { .. } => {
            Err(Refusal::new(Kind::Malformed, "the first message of a session must be `register`"))
        }
    }
}

/// One open session, from the worker's side.
struct Session {
    handle: Handle,
    worker: WorkerId,
    incarnation: Incarnation,
    inbound: Streaming<v1::WorkerMessage>,
    outbox: Outbox,
}

impl Session {
    /// Reads until either side ends the stream, then tells the driver.
    async fn read(mut self, mut ended: Ended) {
        let reason = tokio::select! {
            reason = ended.reason() => reason,
            reason = self.pass_on() => reason,
        };
        tracing::info!(worker = %self.worker, incarnation = self.incarnation.0, %reason, "session closed");
        self.outbox.end(reason);
        if let Err(refusal) = self.handle.closed(self.worker.clone(), self.incarnation).await {
            tracing::debug!(worker = %self.worker, %refusal, "the driver did not hear of a closed session");
        }
    }

    async fn pass_on(&mut self) -> Refusal {
        loop {
            let message = match self.inbound.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return Refusal::new(Kind::Transport, "the worker ended its stream"),
                Err(status) => return status.into(),
            };
            if let Err(refusal) = self.hear(message).await {
                return refusal;
            }
        }
    }

    async fn hear(&self, message: v1::WorkerMessage) -> Result<(), Refusal> {
        let message = WorkerMessage::try_from(message)?;
        if let WorkerMessage::Register(_) = message {
            return Err(Refusal::new(Kind::Malformed, "a session registers once, with its first message"));
        }
        self.handle.said(self.worker.clone(), self.incarnation, message).await
    }
}
