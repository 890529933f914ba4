//! The hands: start attempts on threads of their own and ranks as processes, stop them, and say what comes of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::RoundId;
use galapagos_domain::job::{FailureClass, JobSpec};
use galapagos_telemetry::{ErrorChain, clock, spawn_thread};
use tokio::sync::mpsc;

use crate::cancel::Cancel;
use crate::failure::{report, transient};
use crate::jobs::meter::{Meter, Reading};
use crate::jobs::{self, Workshop};
use crate::session::{Assignment, End, Hands, Order, WorkEvent};
use crate::slots::Key;
use crate::trainer_proc::{self, Rank, Trainer};

/// Progress goes out at most this often per attempt.
const PROGRESS_EVERY_MS: u64 = 250;

/// Executes orders with a workshop and a trainer.
#[derive(Debug)]
pub struct Crew {
    shop: Workshop,
    trainer: Trainer,
    events: mpsc::Sender<WorkEvent>,
    attempts: BTreeMap<Key, Cancel>,
    ranks: BTreeMap<Key, Rank>,
}

impl Crew {
    /// Says what happens into `events`.
    #[must_use]
    pub fn new(shop: Workshop, trainer: Trainer, events: mpsc::Sender<WorkEvent>) -> Self {
        Self { shop, trainer, events, attempts: BTreeMap::new(), ranks: BTreeMap::new() }
    }

    fn start_attempt(&mut self, key: Key, attempt: u32, job: Box<JobSpec>) {
        let cancel = Cancel::default();
        self.attempts.insert(key, cancel.clone());
        let (shop, events) = (self.shop.clone(), self.events.clone());
        let name = format!("attempt-{}", key.token.0);
        let started = spawn_thread(name, move || {
            let span = tracing::info_span!("attempt", job = %job.id, attempt, token = %key.token);
            let _entered = span.entered();
            let end = work(&shop, &job, cancel, key.token, &events);
            // Without a reader the worker is ending, and nobody waits for this.
            drop(events.blocking_send(WorkEvent::Ended { key, end }));
        });
        if let Err(error) = started {
            self.say_ended(key, End::Failed(report(FailureClass::Transient, &error)));
        }
    }

    fn train(&mut self, key: Key, rendezvous: String) {
        let heard = self.ranks.get(&key).is_some_and(|rank| rank.train(rendezvous));
        if !heard {
            tracing::warn!("{key} has ended before it was told to train; its end is reported");
        }
    }

    fn stop(&mut self, key: Key, reason: String) {
        tracing::info!("stopping {key}: {reason}");
        if let Some(cancel) = self.attempts.remove(&key) {
            cancel.raise();
        }
        if let Some(rank) = self.ranks.remove(&key) {
            // Dropping the handle kills as well; a process that is gone has said so itself.
            let _killed = rank.kill(reason);
        }
    }

    fn drop_states(&self, round: RoundId, before: Option<u64>) {
        let store = self.shop.store.clone();
        let dropping = async move {
            match store.drop_states(&round, before).await {
                Ok(dropped) => tracing::debug!(round = %round, dropped, "dropped states of the round"),
                Err(error) => tracing::warn!(
                    round = %round,
                    "cannot drop states of the round, which nobody needs; they cost space: {}", ErrorChain::new(&error)
                ),
            }
        };
        let _runtime = self.shop.runtime.enter();
        drop(galapagos_telemetry::spawn_task("drop-states", dropping));
    }

    /// Says it from a thread that may wait: orders are executed by the reader of the events.
    fn say_ended(&self, key: Key, end: End) {
        let events = self.events.clone();
        let say = async move { drop(events.send(WorkEvent::Ended { key, end }).await) };
        let _runtime = self.shop.runtime.enter();
        drop(galapagos_telemetry::spawn_task("say-ended", say));
    }
}

impl Hands for Crew {
    fn execute(&mut self, order: Order) {
        match order {
            Order::Start { key, work: Assignment::Attempt { attempt, job } } => self.start_attempt(key, attempt, job),
            Order::Start { key, work: Assignment::Rank(spec) } => {
                let _runtime = self.shop.runtime.enter();
                let rank = trainer_proc::start(&self.trainer, spec, self.events.clone());
                self.ranks.retain(|_, rank| !rank.is_gone());
                self.ranks.insert(key, rank);
            }
            Order::Stop { key, reason } => self.stop(key, reason),
            Order::Train { key, rendezvous } => self.train(key, rendezvous),
            Order::DropStates { round, before } => self.drop_states(round, before),
        }
    }
}

fn work(shop: &Workshop, job: &JobSpec, cancel: Cancel, token: FencingToken, events: &mpsc::Sender<WorkEvent>) -> End {
    let started = clock::monotonic_ms();
    let meter = Meter::new(cancel.clone(), listener(token, events.clone()));
    let ended = catch_unwind(AssertUnwindSafe(|| jobs::run(shop, job, &meter)));
    let elapsed_ms = clock::monotonic_ms().saturating_sub(started);
    let (kind, tokens) = (job.kind.name(), meter.tokens());
    match ended {
        Ok(Ok(output)) => {
            tracing::info!(kind, elapsed_ms, tokens, "attempt done");
            End::Done(output)
        }
        Ok(Err(error)) if error.is_cancelled() && cancel.is_raised() => {
            tracing::info!(kind, elapsed_ms, tokens, "attempt cancelled");
            End::Stopped { round: None }
        }
        Ok(Err(error)) => {
            tracing::warn!(kind, elapsed_ms, class = ?error.class(), "attempt failed: {}", ErrorChain::new(&error));
            End::Failed(report(error.class(), &error))
        }
        Err(_panic) => {
            End::Failed(transient(format!("the attempt of {} panicked; the worker's log says where", job.id)))
        }
    }
}

/// Sends progress now and then. What finds no room is out of date before there is.
fn listener(token: FencingToken, events: mpsc::Sender<WorkEvent>) -> Arc<dyn Fn(Reading) + Send + Sync> {
    let last = AtomicU64::new(0);
    Arc::new(move |reading| {
        let now = clock::monotonic_ms();
        let due = last.load(Ordering::Relaxed) + PROGRESS_EVERY_MS;
        if now >= due || reading.done == reading.total {
            last.store(now, Ordering::Relaxed);
            let Reading { done, total, tokens } = reading;
            drop(events.try_send(WorkEvent::Progress { token, done, total, tokens }));
        }
    })
}
