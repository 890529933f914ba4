//! The order of a turn: durable first, then said; and nothing said when it cannot be made durable.

use std::sync::Mutex;

use futures::StreamExt;
use galapagos_domain::cluster::Limits;
use galapagos_domain::fence::LeaderEpoch;
use galapagos_domain::recipe::Recipe;
use galapagos_domain::seed::Seed;
use galapagos_domain::session::PROTOCOL_VERSION;
use galapagos_telemetry::{TaskHandle, spawn_task};

use super::*;
use crate::effects::World;
use crate::handle::{self, Handle};
use crate::sessions;
use crate::stop::{self, Stopper};
use crate::store::MetaStore;
use crate::store::memory::MemoryStore;
use crate::watch::Watchers;

const RECIPE: &str = include_str!("../../recipes/tests/micro.yaml");

fn recipe() -> Recipe {
    Recipe::parse("micro.yaml", RECIPE, &|file| Err(format!("no {file}"))).unwrap()
}

fn registration(worker: &str) -> Registration {
    Registration {
        worker: worker.parse().unwrap(),
        boot_id: 1,
        protocol_version: PROTOCOL_VERSION,
        slots: 1,
        device: "cpu".to_owned(),
        held: vec![],
    }
}

/// What the driver did, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// Writes down every effect.
struct Recorder(Log);

impl Recorder {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Effects for Recorder {
    async fn persist(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        // Gives every other task its chance to see what must not be seen yet.
        tokio::task::yield_now().await;
        for Write::Put(record) in writes {
            self.note(format!("persist {}", record.key()));
        }
        Ok(())
    }
    fn attach(&mut self, worker: WorkerId, incarnation: Incarnation, _outbox: Outbox) {
        self.note(format!("attach {worker} {}", incarnation.0));
    }
    fn send(&mut self, worker: &WorkerId, message: CoordinatorMessage) {
        let message = match message {
            CoordinatorMessage::Registered { .. } => "registered".to_owned(),
            CoordinatorMessage::Lease { job, .. } => format!("lease {}", job.id),
            CoordinatorMessage::Revoke { .. }
            | CoordinatorMessage::PrepareRank(_)
            | CoordinatorMessage::StartRank { .. }
            | CoordinatorMessage::KillRanks { .. }
            | CoordinatorMessage::DropStates { .. }
            | CoordinatorMessage::Acknowledge { .. } => "other".to_owned(),
        };
        self.note(format!("send {worker} {message}"));
    }
    fn close(&mut self, worker: &WorkerId, incarnation: Incarnation, _reason: String) {
        self.note(format!("close {worker} {}", incarnation.0));
    }
    fn changed(&mut self, evolution: &EvolutionId) {
        self.note(format!("changed {evolution}"));
    }
}

struct Running {
    handle: Handle,
    stopper: Stopper,
    task: TaskHandle<Result<(), Error>>,
}

fn drive<E: Effects + 'static>(effects: E) -> Running {
    let term = LeaderEpoch(1);
    let (state, first) = ClusterState::load([], term, now(), Limits::default()).unwrap();
    let (handle, mailbox) = handle::open();
    let (stopper, stop) = stop::signal();
    let driver = Driver::new(state, effects, mailbox, Arc::new(Metrics::new(term)));
    Running { handle, stopper, task: spawn_task("driver", driver.run(first, stop)) }
}

fn place(log: &[String], what: &str) -> usize {
    log.iter().position(|entry| entry == what).unwrap_or_else(|| panic!("no `{what}` in {log:#?}"))
}

#[tokio::test]
async fn a_lease_is_durable_before_it_is_sent_and_follows_the_greeting() {
    let log = Log::default();
    let running = drive(Recorder(Arc::clone(&log)));
    let id = running.handle.submit(recipe(), Seed(1)).await.unwrap();
    assert_eq!(id.as_str(), "micro-1");
    // An answer means that the decision is durable.
    place(&log.lock().unwrap(), "persist evolution/micro-1");
    let (outbox, _outgoing, _ended) = sessions::open();
    let incarnation = running.handle.register(registration("w1"), outbox).await.unwrap();
    assert_eq!(incarnation, Incarnation(1));
    running.stopper.stop();
    running.task.await.unwrap().unwrap();

    let log = log.lock().unwrap();
    let sent = log.iter().position(|entry| entry.starts_with("send w1 lease ")).expect("the base job is leased");
    let job = log[sent].strip_prefix("send w1 lease ").unwrap();
    let last_written = log.iter().rposition(|entry| *entry == format!("persist job/{job}")).unwrap();
    assert!(last_written < place(&log, "attach w1 1"), "{log:#?}");
    assert!(place(&log, "attach w1 1") < place(&log, "send w1 registered"), "{log:#?}");
    assert!(place(&log, "send w1 registered") < sent, "{log:#?}");
}

#[tokio::test]
async fn a_failed_commit_stops_the_driver_and_nothing_is_sent_or_answered() {
    let store = Arc::new(MemoryStore::default());
    let term = store.start_term().await.unwrap();
    let metrics = Arc::new(Metrics::new(term));
    let kept: Arc<dyn MetaStore> = Arc::<MemoryStore>::clone(&store);
    let running = drive(World::new(kept, term, Watchers::default(), metrics));
    running.handle.submit(recipe(), Seed(1)).await.unwrap();
    let before = store.load().await.unwrap();
    assert!(before.iter().any(|entry| entry.key == "evolution/micro-1"));
    store.fill();

    let (outbox, mut outgoing, _ended) = sessions::open();
    let refused = running.handle.register(registration("w1"), outbox).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Stopping);
    // The greeting and the lease were decided and must not come; the stream just ends.
    assert_eq!(outgoing.next().await.unwrap().unwrap_err().kind, Kind::Stopping);
    let error = running.task.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Persist { .. }), "{error}");
    assert_eq!(store.load().await.unwrap(), before);
}

#[tokio::test]
async fn a_refused_registration_attaches_no_stream() {
    let log = Log::default();
    let running = drive(Recorder(Arc::clone(&log)));
    let (outbox, _outgoing, _ended) = sessions::open();
    let wrong = Registration { protocol_version: PROTOCOL_VERSION + 1, ..registration("w1") };
    assert_eq!(running.handle.register(wrong, outbox).await.unwrap_err().kind, Kind::WrongVersion);
    running.stopper.stop();
    running.task.await.unwrap().unwrap();
    assert!(!log.lock().unwrap().iter().any(|entry| entry.starts_with("attach")));
}
