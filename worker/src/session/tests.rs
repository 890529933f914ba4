//! Whole sessions against a coordinator that is played by the test, over real gRPC on loopback.

mod coordinator;

use std::sync::mpsc as std_mpsc;

use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::{EvolutionId, JobId};
use galapagos_domain::job::{JobKind, JobOutput, JobSpec};
use galapagos_domain::recipe::Base;
use galapagos_domain::session::{CoordinatorMessage, PROTOCOL_VERSION};
use galapagos_proto::announce::{ANNOUNCE_VERSION, Announcement};
use galapagos_proto::status::Kind;

use super::*;
use crate::slots::Key;
use coordinator::FakeCoordinator;

/// Hands that put every order where the test finds it.
struct Recorder(std_mpsc::SyncSender<Order>);

impl Hands for Recorder {
    fn execute(&mut self, order: Order) {
        self.0.send(order).unwrap();
    }
}

struct Worker {
    orders: std_mpsc::Receiver<Order>,
    events: mpsc::Sender<WorkEvent>,
    leave: watch::Sender<bool>,
    thread: ThreadHandle<Result<(), SessionError>>,
}

fn start(endpoint: Endpoint) -> Worker {
    let (order, orders) = std_mpsc::sync_channel(16);
    let (events, inbox) = mpsc::channel(16);
    let (leave, asked) = watch::channel(false);
    let identity = Identity::new(WorkerId::new("w1").unwrap(), 1);
    let hands = Box::new(Recorder(order));
    let thread = Session { identity, endpoint, hands, events: inbox, leave: asked }.start().unwrap();
    Worker { orders, events, leave, thread }
}

impl Worker {
    fn order(&self) -> Order {
        self.orders.recv_timeout(Duration::from_secs(20)).expect("an order in time")
    }

    async fn say(&self, event: WorkEvent) {
        self.events.send(event).await.unwrap();
    }

    /// Joins off the test's runtime, which the fake coordinator needs.
    async fn end(self) -> Result<(), SessionError> {
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap()
    }
}

fn fixed(coordinator: &FakeCoordinator) -> Endpoint {
    coordinator.address.to_string().parse().unwrap()
}

fn lease(token: u64) -> CoordinatorMessage {
    let job = JobSpec {
        id: JobId::new("e/base/base/0").unwrap(),
        evolution: EvolutionId::new("e").unwrap(),
        seed: Seed(1),
        time_limit_ms: 1000,
        kind: JobKind::Base(Base::Model("m".to_owned())),
    };
    CoordinatorMessage::Lease { token: FencingToken(token), attempt: 1, job: Box::new(job) }
}

fn done(token: u64) -> WorkEvent {
    let output = JobOutput::Bout { pairs: Vec::new(), tokens: token };
    WorkEvent::Ended { key: Key::attempt(FencingToken(token)), end: End::Done(output) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_registers_and_beats_while_its_hands_are_stuck() {
    let mut coordinator = FakeCoordinator::start().await;
    let worker = start(fixed(&coordinator));
    let mut session = coordinator.session().await;
    assert_eq!((session.registration.worker.as_str(), session.registration.slots), ("w1", 1));
    assert!(session.registration.held.is_empty());
    session.say(lease(1)).await;
    assert!(matches!(worker.order(), Order::Start { .. }));
    // The attempt never ends; the session must go on beating.
    for _ in 0..5 {
        assert_eq!(session.heard().await, WorkerMessage::Heartbeat);
    }
    worker.leave.send_replace(true);
    assert!(matches!(worker.order(), Order::Stop { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unacknowledged_report_is_sent_again_after_a_reconnect_and_an_acknowledged_one_is_not() {
    let mut coordinator = FakeCoordinator::start().await;
    let worker = start(fixed(&coordinator));
    let mut session = coordinator.session().await;
    let boot_id = session.registration.boot_id;
    session.say(lease(7)).await;
    worker.order();
    worker.say(done(7)).await;
    let report = session.report().await;
    assert!(matches!(&report, WorkerMessage::JobDone { token: FencingToken(7), .. }), "{report:?}");
    session.break_off(Kind::Stopping).await;

    let mut session = coordinator.session().await;
    assert_eq!((session.registration.boot_id, session.registration.held.as_slice()), (boot_id, &[FencingToken(7)][..]));
    assert_eq!(session.report().await, report);
    session.say(CoordinatorMessage::Acknowledge { token: FencingToken(7), rank: None }).await;
    // The worker handles messages in order: once this lease became an order, the acknowledgement was handled, too.
    session.say(lease(8)).await;
    worker.order();
    session.break_off(Kind::Stopping).await;

    let session = coordinator.session().await;
    assert_eq!(session.registration.held, [FencingToken(8)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_ends_while_nobody_listens_is_reported_to_the_next_coordinator_at_its_new_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coordinator.json");
    let announce = |coordinator: &FakeCoordinator| {
        let addr = coordinator.address;
        Announcement { version: ANNOUNCE_VERSION, addr, http: addr, pid: 1, leader_epoch: 1 }.write(&file).unwrap();
    };
    let mut first = FakeCoordinator::start().await;
    announce(&first);
    let worker = start(Endpoint::Announced(file.clone()));
    let session = first.session().await;
    session.say(lease(3)).await;
    worker.order();
    drop(session);
    first.stop().await;
    worker.say(done(3)).await;

    let mut second = FakeCoordinator::start().await;
    announce(&second);
    let mut session = second.session().await;
    assert_eq!(session.registration.held, [FencingToken(3)]);
    assert!(matches!(session.report().await, WorkerMessage::JobDone { token: FencingToken(3), .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_version_is_refused_for_good() {
    for kind in [Kind::WrongVersion, Kind::Fenced] {
        let coordinator = FakeCoordinator::refusing(kind).await;
        let error = start(fixed(&coordinator)).end().await.unwrap_err();
        let SessionError::Refused { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind, kind);
        assert!(error.to_string().contains(&format!("protocol version {PROTOCOL_VERSION}")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_gives_the_attempt_back_and_ends_once_that_is_acknowledged() {
    let mut coordinator = FakeCoordinator::start().await;
    let worker = start(fixed(&coordinator));
    let mut session = coordinator.session().await;
    session.say(lease(1)).await;
    worker.order();
    worker.leave.send_replace(true);
    let Order::Stop { key, .. } = worker.order() else { panic!() };
    worker.say(WorkEvent::Ended { key, end: End::Stopped { round: None } }).await;
    assert!(matches!(session.report().await, WorkerMessage::JobFailed { token: FencingToken(1), .. }));
    session.say(CoordinatorMessage::Acknowledge { token: FencingToken(1), rank: None }).await;
    worker.end().await.unwrap();
}
