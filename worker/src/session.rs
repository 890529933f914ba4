//! The session with the coordinator. Runs on an OS thread of its own with a runtime of its own, so that heartbeats go out
//! whatever the work does: busy is not dead.
//!
//! One loop owns everything: the line, the desk (slots and outbox) and the orders to the hands. It never gives up: a lost
//! coordinator is dialled again for ever, with growing waits, while the work goes on. Only a refusal that can never
//! become an acceptance ends it.

mod backoff;
mod desk;
mod endpoint;
mod line;
#[cfg(test)]
mod tests;

use std::time::Duration;

use galapagos_domain::ids::WorkerId;
use galapagos_domain::seed::Seed;
use galapagos_domain::session::{PROTOCOL_VERSION, Registration, WorkerMessage};
use galapagos_proto::status::Refusal;
use galapagos_telemetry::{ErrorChain, SpawnError, ThreadHandle, spawn_thread};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

pub use desk::{Assignment, End, Order, WorkEvent};
pub use endpoint::Endpoint;

use backoff::Backoff;
use desk::Desk;
use line::{Line, LineError, LineEvent};

/// From the wish to end until the session ends, whatever is left.
pub const LEAVE_LIMIT: Duration = Duration::from_secs(8);

/// Heartbeats while no coordinator has said how often it wants them.
const IDLE_BEAT: Duration = Duration::from_secs(1);

/// Who registers.
#[derive(Debug, Clone)]
pub struct Identity {
    pub worker: WorkerId,
    /// Drawn once per process.
    pub boot_id: u64,
    pub protocol_version: u32,
    pub slots: u32,
    pub device: String,
}

impl Identity {
    /// A process of that name, with a boot id of its own.
    #[must_use]
    pub fn new(worker: WorkerId, slots: u32) -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library keys its hashers from the operating system's randomness.
        let boot_id = std::hash::RandomState::new().build_hasher().finish();
        Self { worker, boot_id, protocol_version: PROTOCOL_VERSION, slots, device: "cpu".to_owned() }
    }
}

/// Executes orders. Calls must return at once; what comes of them goes into the event queue.
pub trait Hands: Send {
    fn execute(&mut self, order: Order);
}

/// What a session needs.
pub struct Session {
    pub identity: Identity,
    pub endpoint: Endpoint,
    pub hands: Box<dyn Hands>,
    /// What the work says.
    pub events: mpsc::Receiver<WorkEvent>,
    /// Becomes true when the worker is to end.
    pub leave: watch::Receiver<bool>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Why a session ended that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the coordinator refuses this worker, and always will; this worker speaks protocol version {version}")]
    Refused { version: u32, source: Refusal },
    #[error("the session's runtime cannot be built")]
    Runtime { source: std::io::Error },
}

impl Session {
    /// Starts the session's thread. It ends when it is asked to leave, or with a refusal for good.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(self) -> Result<ThreadHandle<Result<(), SessionError>>, SpawnError> {
        spawn_thread("session", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| SessionError::Runtime { source })?;
            runtime.block_on(async { Loop::new(self).run().await })
        })
    }
}

/// The state of the one loop.
struct Loop {
    session: Session,
    desk: Desk,
    line: Line,
    backoff: Backoff,
    beat: Interval,
    /// Logged last, so that a coordinator that is away is one line and not thousands.
    last_trouble: String,
    /// When to end at the latest, once asked to.
    deadline: Option<Instant>,
}

impl Loop {
    fn new(session: Session) -> Self {
        let desk = Desk::new(session.identity.worker.clone(), session.identity.slots);
        let backoff = Backoff::new(Seed(session.identity.boot_id));
        let line = Line::waiting(Duration::ZERO);
        Self { desk, backoff, line, beat: beats(IDLE_BEAT), last_trouble: String::new(), deadline: None, session }
    }

    async fn run(mut self) -> Result<(), SessionError> {
        loop {
            tokio::select! {
                event = self.line.next() => self.on_line(event)?,
                Some(event) = self.session.events.recv() => self.on_work(event),
                _ = self.beat.tick() => self.on_beat(),
                () = asked(&mut self.session.leave), if self.deadline.is_none() => self.on_leave(),
                () = sleep_until(self.deadline.unwrap_or_else(Instant::now)), if self.deadline.is_some() => {
                    tracing::warn!("not everything could be given back within {} s", LEAVE_LIMIT.as_secs());
                    return Ok(());
                }
            }
            self.send_reports();
            if self.deadline.is_some() && self.may_end() {
                return Ok(());
            }
        }
    }

    /// Nothing runs, and nobody is there to take the reports that are left, or none are left.
    fn may_end(&self) -> bool {
        self.desk.is_clear() || (self.desk.is_idle() && self.line.link().is_none())
    }

    fn on_line(&mut self, event: LineEvent) -> Result<(), SessionError> {
        match event {
            LineEvent::Dial => self.line = Line::dialling(self.session.endpoint.clone(), self.registration()),
            LineEvent::Opened(link) => {
                tracing::info!(worker = %self.session.identity.worker, incarnation = link.incarnation, "registered");
                self.last_trouble.clear();
                self.backoff.reset();
                self.desk.outbox().reconnected();
                self.beat = beats(link.heartbeat / 2);
                self.line = Line::Open(link);
            }
            LineEvent::Message(message) => {
                let orders = self.desk.told(message);
                self.execute(orders);
            }
            LineEvent::Broken(error) => {
                if let Some(refusal) = error.final_refusal() {
                    let version = self.session.identity.protocol_version;
                    return Err(SessionError::Refused { version, source: refusal.clone() });
                }
                self.on_broken(&error);
            }
        }
        Ok(())
    }

    fn on_broken(&mut self, error: &LineError) {
        let wait = Duration::from_millis(self.backoff.next_ms());
        let trouble = ErrorChain::new(error).to_string();
        if trouble != self.last_trouble {
            tracing::warn!("{trouble}; trying again until it works");
            self.last_trouble = trouble;
        }
        self.line = Line::waiting(wait);
    }

    fn on_work(&mut self, event: WorkEvent) {
        let (orders, progress) = self.desk.happened(event);
        self.execute(orders);
        if let (Some(progress), Some(link)) = (progress, self.line.link()) {
            // Progress that finds no room is out of date before there is.
            let _sent = link.try_send(progress);
        }
    }

    fn on_beat(&mut self) {
        if let Some(link) = self.line.link() {
            // A queue without room holds enough signs of life.
            let _sent = link.try_send(WorkerMessage::Heartbeat);
        }
    }

    fn on_leave(&mut self) {
        tracing::info!("leaving: attempts are given back, ranks are killed");
        self.deadline = Some(Instant::now() + LEAVE_LIMIT);
        let orders = self.desk.leave("the worker is being stopped");
        self.execute(orders);
    }

    fn send_reports(&mut self) {
        let Some(link) = self.line.link() else { return };
        while let Some(report) = self.desk.outbox().next().cloned() {
            if !link.try_send(report) {
                break;
            }
            self.desk.outbox().sent();
        }
    }

    fn execute(&mut self, orders: Vec<Order>) {
        for order in orders {
            self.session.hands.execute(order);
        }
    }

    fn registration(&self) -> Registration {
        let identity = self.session.identity.clone();
        Registration {
            worker: identity.worker,
            boot_id: identity.boot_id,
            protocol_version: identity.protocol_version,
            slots: identity.slots,
            device: identity.device,
            held: self.desk.held(),
        }
    }
}

/// Waits until the worker is to end. A dropped sender means that, too.
async fn asked(leave: &mut watch::Receiver<bool>) {
    drop(leave.wait_for(|leave| *leave).await);
}

fn beats(period: Duration) -> Interval {
    let mut beats = interval(period.max(Duration::from_millis(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
