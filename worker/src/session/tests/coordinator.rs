//! A coordinator played by a test: hands over each session that a worker opens, or refuses all of them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use galapagos_domain::fence::{Incarnation, LeaderEpoch};
use galapagos_domain::session::{CoordinatorMessage, Registration, WorkerMessage};
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use galapagos_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use galapagos_telemetry::{TaskHandle, spawn_task};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How often workers are asked to beat.
const HEARTBEAT_MS: u64 = 50;

const LIMIT: Duration = Duration::from_secs(20);

type Down = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

pub(super) struct FakeCoordinator {
    pub(super) address: SocketAddr,
    sessions: mpsc::Receiver<FakeSession>,
    stop: oneshot::Sender<()>,
    server: TaskHandle<()>,
}

/// The coordinator's end of one session.
pub(super) struct FakeSession {
    pub(super) registration: Registration,
    up: Streaming<v1::WorkerMessage>,
    down: Down,
}

impl FakeCoordinator {
    pub(super) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(super) async fn refusing(kind: Kind) -> Self {
        Self::serve(Some(kind)).await
    }

    async fn serve(refuse: Option<Kind>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, sessions) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel();
        let service = WorkerServiceServer::new(Service { opened, refuse });
        let server = spawn_task("fake-coordinator", async move {
            let incoming = TcpListenerStream::new(listener);
            let stopped = async { drop(stopped.await) };
            let serve = tonic::transport::Server::builder().add_service(service);
            serve.serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
        });
        Self { address, sessions, stop, server }
    }

    /// The next session that a worker opens.
    pub(super) async fn session(&mut self) -> FakeSession {
        timeout(LIMIT, self.sessions.recv()).await.expect("a session in time").unwrap()
    }

    /// Ends the server; its sessions must have been dropped.
    pub(super) async fn stop(self) {
        drop(self.stop);
        timeout(LIMIT, self.server).await.expect("an end in time").unwrap();
    }
}

impl FakeSession {
    pub(super) async fn say(&self, message: CoordinatorMessage) {
        self.down.send(Ok(message.into())).await.unwrap();
    }

    /// The next message of the worker.
    pub(super) async fn heard(&mut self) -> WorkerMessage {
        let message = timeout(LIMIT, self.up.message()).await.expect("a message in time").unwrap();
        message.expect("an open stream").try_into().unwrap()
    }

    /// The next message that is no heartbeat.
    pub(super) async fn report(&mut self) -> WorkerMessage {
        loop {
            match self.heard().await {
                WorkerMessage::Heartbeat => {}
                message => return message,
            }
        }
    }

    pub(super) async fn break_off(self, kind: Kind) {
        self.down.send(Err(Refusal::new(kind, "the test breaks off").into())).await.unwrap();
    }
}

struct Service {
    opened: mpsc::Sender<FakeSession>,
    refuse: Option<Kind>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type SessionStream = Pin<Box<ReceiverStream<Result<v1::CoordinatorMessage, Status>>>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut up = request.into_inner();
        let first = up.message().await?.ok_or_else(|| Status::cancelled("no first message"))?;
        let Ok(WorkerMessage::Register(registration)) = WorkerMessage::try_from(first) else {
            return Err(Status::invalid_argument("the first message is no registration"));
        };
        if let Some(kind) = self.refuse {
            return Err(Refusal::new(kind, "this coordinator speaks protocol version 2").into());
        }
        let (down, stream) = mpsc::channel(16);
        let registered = CoordinatorMessage::Registered {
            incarnation: Incarnation(1),
            leader_epoch: LeaderEpoch(1),
            heartbeat_ms: HEARTBEAT_MS,
        };
        down.send(Ok(registered.into())).await.unwrap();
        self.opened.send(FakeSession { registration, up, down }).await.unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
