//! The driver: one task owns the cluster's state and reads the clock. It takes what waits in the mailbox as one turn:
//! applies every event, makes all decisions durable in one commit, and only then sends, tells and answers. If the commit
//! fails it stops: nothing of the turn was sent or acknowledged, and the next coordinator starts from what is durable.

use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::cluster::{Action, ClusterState, Event, Rejection, Write};
use galapagos_domain::fence::Incarnation;
use galapagos_domain::ids::{EvolutionId, WorkerId};
use galapagos_domain::session::{CoordinatorMessage, Registration};
use galapagos_domain::time::Timestamp;
use galapagos_proto::status::{Kind, Refusal};
use galapagos_telemetry::clock;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::effects::Effects;
use crate::error::Error;
use crate::handle::{Command, Look, Reply};
use crate::metrics::Metrics;
use crate::sessions::Outbox;
use crate::stop::Stop;

/// How often the state hears that time passed.
const TICK: Duration = Duration::from_millis(250);

/// Most commands of one turn: bounds how long the first waits for the last.
const TURN: usize = 64;

/// Owns the state.
pub(crate) struct Driver<E> {
    state: ClusterState,
    effects: E,
    mailbox: mpsc::Receiver<Command>,
    metrics: Arc<Metrics>,
}

/// What a turn does once its decisions are durable, in order.
enum After {
    Attach { worker: WorkerId, incarnation: Incarnation, outbox: Outbox },
    Send { worker: WorkerId, message: CoordinatorMessage },
    Close { worker: WorkerId, incarnation: Incarnation, reason: String },
    Changed(EvolutionId),
    Answer(Box<dyn FnOnce() + Send>),
    Look(Look),
}

/// Decisions that are not durable yet, and what waits for that.
#[derive(Default)]
struct Turn {
    writes: Vec<Write>,
    after: Vec<After>,
}

impl<E: Effects> Driver<E> {
    pub(crate) fn new(
        state: ClusterState,
        effects: E,
        mailbox: mpsc::Receiver<Command>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { state, effects, mailbox, metrics }
    }

    /// Executes `first`, the actions that loading the state asked for, then serves the mailbox until `stop`.
    ///
    /// # Errors
    /// If a decision cannot be made durable.
    pub(crate) async fn run(mut self, first: Vec<Action>, mut stop: Stop) -> Result<(), Error> {
        let mut turn = Turn::default();
        turn.take(first);
        self.finish(turn).await?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut turn = Turn::default();
            tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                _ = ticks.tick() => self.tick(&mut turn),
                command = self.mailbox.recv() => match command {
                    Some(command) => self.begin(command, &mut turn),
                    None => return Ok(()),
                },
            }
            for _ in 1..TURN {
                let Ok(command) = self.mailbox.try_recv() else { break };
                self.begin(command, &mut turn);
            }
            self.finish(turn).await?;
        }
    }

    fn tick(&mut self, turn: &mut Turn) {
        match self.apply(Event::Tick) {
            Ok(actions) => turn.take(actions),
            Err(rejection) => tracing::error!(%rejection, "time was refused"),
        }
    }

    fn begin(&mut self, command: Command, turn: &mut Turn) {
        match command {
            Command::Submit { recipe, seed, reply } => {
                let result = self.apply(Event::Submitted { recipe, seed });
                turn.take_answering(result, reply, |actions| {
                    actions.iter().find_map(|action| match action {
                        Action::Submitted(id) => Some(id.clone()),
                        Action::Persist(_) | Action::Send { .. } | Action::CloseSession { .. } | Action::Changed(_) => {
                            None
                        }
                    })
                });
            }
            Command::Apply { event, reply } => {
                let result = self.apply(event);
                turn.take_answering(result, reply, |_| Some(()));
            }
            Command::Register { registration, outbox, reply } => self.register(registration, outbox, reply, turn),
            Command::Look(look) => turn.after.push(After::Look(look)),
        }
    }

    fn register(&mut self, registration: Registration, outbox: Outbox, reply: Reply<Incarnation>, turn: &mut Turn) {
        let worker = registration.worker.clone();
        let result = self.apply(Event::Registered(registration));
        let incarnation = result.as_ref().ok().and_then(|actions| registered(&worker, actions));
        if let Some(incarnation) = incarnation {
            // Before the actions: the first message down is among them.
            turn.after.push(After::Attach { worker, incarnation, outbox });
        }
        turn.take_answering(result, reply, |_| incarnation);
    }

    fn apply(&mut self, event: Event) -> Result<Vec<Action>, Rejection> {
        let timer = self.metrics.apply_timer();
        let result = self.state.apply(now(), event);
        timer.observe();
        result
    }

    /// Makes the turn durable, then does the rest of it.
    async fn finish(&mut self, turn: Turn) -> Result<(), Error> {
        if !turn.writes.is_empty() {
            self.effects.persist(turn.writes).await?;
        }
        for after in turn.after {
            match after {
                After::Attach { worker, incarnation, outbox } => self.effects.attach(worker, incarnation, outbox),
                After::Send { worker, message } => self.effects.send(&worker, message),
                After::Close { worker, incarnation, reason } => self.effects.close(&worker, incarnation, reason),
                After::Changed(evolution) => self.effects.changed(&evolution),
                After::Answer(answer) => answer(),
                After::Look(look) => look(&self.state, now()),
            }
        }
        Ok(())
    }
}

impl Turn {
    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(writes) => self.writes.extend(writes),
                Action::Send { worker, message } => self.after.push(After::Send { worker, message }),
                Action::CloseSession { worker, incarnation, reason } => {
                    self.after.push(After::Close { worker, incarnation, reason });
                }
                Action::Changed(evolution) => self.after.push(After::Changed(evolution)),
                Action::Submitted(evolution) => tracing::info!(%evolution, "submitted"),
            }
        }
    }

    /// Takes the actions and answers with what `of` finds among them, or with the rejection.
    fn take_answering<T: Send + 'static>(
        &mut self,
        result: Result<Vec<Action>, Rejection>,
        reply: Reply<T>,
        of: impl FnOnce(&[Action]) -> Option<T>,
    ) {
        let answer = match result {
            Ok(actions) => {
                let answer = of(&actions).ok_or_else(|| Refusal::new(Kind::Internal, "accepted without an answer"));
                self.take(actions);
                answer
            }
            Err(rejection) => Err(rejection.into()),
        };
        self.after.push(After::Answer(Box::new(move || {
            let _ = reply.send(answer);
        })));
    }
}

/// The incarnation that a registration was given.
fn registered(worker: &WorkerId, actions: &[Action]) -> Option<Incarnation> {
    actions.iter().find_map(|action| match action {
        Action::Send { worker: to, message: CoordinatorMessage::Registered { incarnation, .. } } if to == worker => {
            Some(*incarnation)
        }
        Action::Send { .. }
        | Action::Persist(_)
        | Action::CloseSession { .. }
        | Action::Submitted(_)
        | Action::Changed(_) => None,
    })
}

/// The present moment of the coordinator's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(clock::monotonic_ms())
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
