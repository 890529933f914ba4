//! A coordinator in this process on free ports, and a worker that speaks the session by hand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use galapagos_coordinator::{Config, Error, run};
use galapagos_domain::fence::FencingToken;
use galapagos_domain::session::{CoordinatorMessage, PROTOCOL_VERSION, Registration, WorkerMessage};
use galapagos_proto::announce::Announcement;
use galapagos_proto::client::{self, Address};
use galapagos_proto::status::Refusal;
use galapagos_proto::v1;
use galapagos_proto::v1::admin_service_client::AdminServiceClient;
use galapagos_telemetry::{TaskHandle, spawn_task};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

pub const RECIPE: &str = include_str!("../../../recipes/tests/micro.yaml");

/// Nothing here takes long; waiting for longer is a failure.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A running coordinator.
pub struct Coordinator {
    pub announced: Announcement,
    stop: oneshot::Sender<()>,
    task: TaskHandle<Result<(), Error>>,
}

pub fn config(folder: &Path) -> Config {
    Config { announce: Some(announce_file(folder)), ..Config::new(folder.join("store")) }
}

pub fn announce_file(folder: &Path) -> PathBuf {
    folder.join("coordinator.json")
}

impl Coordinator {
    /// Starts one with its store and announce file in `folder`; returns once it serves.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, config(folder)).await
    }

    /// As [`Self::start`], with other settings than [`config`] gives.
    pub async fn start_with(folder: &Path, config: Config) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = spawn_task("coordinator", async move {
            run(config, async move {
                let _ = stopped.await;
            })
            .await
        });
        let started = Instant::now();
        let announced = loop {
            if let Ok(announced) = Announcement::read(&announce_file(folder)) {
                break announced;
            }
            assert!(!task.is_finished(), "the coordinator ended: {:?}", task.await);
            assert!(started.elapsed() < DEADLINE, "the coordinator did not announce itself");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { announced, stop, task }
    }

    pub async fn admin(&self) -> AdminServiceClient<Channel> {
        client::admin(client::connect(&Address::from(self.announced.addr)).await.unwrap())
    }

    /// An orderly end.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.expect("the coordinator stops in time").unwrap()
    }
}

pub fn registration(worker: &str) -> Registration {
    Registration {
        worker: worker.parse().unwrap(),
        boot_id: 7,
        protocol_version: PROTOCOL_VERSION,
        slots: 1,
        device: "cpu".to_owned(),
        held: vec![],
    }
}

/// One session of a worker.
pub struct Worker {
    up: mpsc::Sender<v1::WorkerMessage>,
    down: tonic::Streaming<v1::CoordinatorMessage>,
}

impl Worker {
    /// Opens a session; the refusal if the coordinator wants none.
    pub async fn open(coordinator: &Coordinator, registration: Registration) -> Result<Self, Refusal> {
        let channel = client::connect_session(&Address::from(coordinator.announced.addr)).await.unwrap();
        let (up, messages) = mpsc::channel(16);
        up.send(WorkerMessage::Register(registration).into()).await.unwrap();
        let down = client::worker(channel).session(ReceiverStream::new(messages)).await?.into_inner();
        Ok(Self { up, down })
    }

    pub async fn say(&self, message: WorkerMessage) {
        self.up.send(message.into()).await.unwrap();
    }

    pub async fn hear(&mut self) -> Result<CoordinatorMessage, Refusal> {
        let message = timeout(DEADLINE, self.down.message()).await.expect("a message in time")?;
        Ok(message.expect("the session goes on").try_into().unwrap())
    }

    /// The next lease; whatever comes before it is passed over.
    pub async fn lease(&mut self) -> (FencingToken, galapagos_domain::job::JobSpec) {
        loop {
            if let CoordinatorMessage::Lease { token, job, .. } = self.hear().await.unwrap() {
                return (token, *job);
            }
        }
    }
}
