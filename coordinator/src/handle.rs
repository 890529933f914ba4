//! How everybody talks to the driver. Hides the channel: a call has a deadline, and a person's call is refused as busy
//! when too much waits already, while a worker's message waits (its stream then pushes back).

use std::time::Duration;

use galapagos_domain::cluster::{ClusterState, Event, EvolutionView, Rejection};
use galapagos_domain::fence::Incarnation;
use galapagos_domain::ids::{EvolutionId, WorkerId};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::seed::Seed;
use galapagos_domain::session::{Registration, WorkerMessage};
use galapagos_domain::time::Timestamp;
use galapagos_proto::status::{Kind, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::sessions::Outbox;

/// Calls that may wait for the driver.
const MAILBOX: usize = 1024;

/// A call that is not answered for so long is given up; it may still happen.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Where an answer goes. Nobody may be waiting for it any more.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A look at the state that decides nothing; it answers by itself.
pub(crate) type Look = Box<dyn FnOnce(&ClusterState, Timestamp) + Send>;

/// What the driver is asked.
pub(crate) enum Command {
    Submit { recipe: Box<Recipe>, seed: Seed, reply: Reply<EvolutionId> },
    Apply { event: Event, reply: Reply<()> },
    Register { registration: Registration, outbox: Outbox, reply: Reply<Incarnation> },
    Look(Look),
}

/// Talks to the driver; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    mailbox: mpsc::Sender<Command>,
    deadline: Duration,
}

/// A handle and the mailbox that its driver reads.
pub(crate) fn open() -> (Handle, mpsc::Receiver<Command>) {
    open_with(MAILBOX, CALL_DEADLINE)
}

fn open_with(capacity: usize, deadline: Duration) -> (Handle, mpsc::Receiver<Command>) {
    let (mailbox, commands) = mpsc::channel(capacity);
    (Handle { mailbox, deadline }, commands)
}

pub(crate) fn unknown_evolution(id: &EvolutionId) -> Refusal {
    Refusal::from(Rejection {
        kind: galapagos_domain::cluster::RejectionKind::NotFound,
        message: format!("there is no evolution `{id}`; `galapagos list` shows those there are"),
    })
}

impl Handle {
    /// Submits a checked recipe; durable once answered.
    pub(crate) async fn submit(&self, recipe: Recipe, seed: Seed) -> Result<EvolutionId, Refusal> {
        self.ask(|reply| Command::Submit { recipe: Box::new(recipe), seed, reply }).await
    }

    /// Cancels, pauses or resumes.
    pub(crate) async fn steer(&self, event: Event) -> Result<(), Refusal> {
        self.ask(|reply| Command::Apply { event, reply }).await
    }

    /// Looks at the state.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ClusterState, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(|reply| {
            Command::Look(Box::new(move |state, now| {
                let _ = reply.send(Ok(look(state, now)));
            }))
        })
        .await
    }

    /// A snapshot of one evolution, if there is one.
    pub(crate) async fn view(&self, id: &EvolutionId) -> Result<Option<EvolutionView>, Refusal> {
        let id = id.clone();
        self.look(move |state, now| state.view(now, &id)).await
    }

    /// Opens a worker's session.
    pub(crate) async fn register(&self, registration: Registration, outbox: Outbox) -> Result<Incarnation, Refusal> {
        self.ask_patiently(|reply| Command::Register { registration, outbox, reply }).await
    }

    /// Passes on what a registered worker says.
    pub(crate) async fn said(
        &self,
        worker: WorkerId,
        incarnation: Incarnation,
        message: WorkerMessage,
    ) -> Result<(), Refusal> {
        let event = Event::Said { worker, incarnation, message };
        self.ask_patiently(|reply| Command::Apply { event, reply }).await
    }

    /// Tells that a worker's stream ended.
    pub(crate) async fn closed(&self, worker: WorkerId, incarnation: Incarnation) -> Result<(), Refusal> {
        let event = Event::SessionClosed { worker, incarnation };
        self.ask_patiently(|reply| Command::Apply { event, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Refusal::new(Kind::Busy, format!("{MAILBOX} calls are waiting already; try again in a moment"))
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        self.answer(answer, Instant::now() + self.deadline).await
    }

    async fn ask_patiently<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.deadline;
        match timeout_at(deadline, self.mailbox.send(command(reply))).await {
            Ok(Ok(())) => self.answer(answer, deadline).await,
            Ok(Err(_closed)) => Err(stopping()),
            Err(_elapsed) => Err(self.late()),
        }
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T, Refusal>>, deadline: Instant) -> Result<T, Refusal> {
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => Err(stopping()),
            Err(_elapsed) => Err(self.late()),
        }
    }

    fn late(&self) -> Refusal {
        let waited = self.deadline.as_millis();
        Refusal::new(Kind::Deadline, format!("the coordinator did not answer within {waited} ms; is its disk slow?"))
    }
}

fn stopping() -> Refusal {
    Refusal::new(Kind::Stopping, "the coordinator stops; try again when another runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_mailbox_is_busy_for_people_and_a_wait_for_workers() {
        let (handle, _commands) = open_with(1, Duration::from_millis(20));
        handle.mailbox.try_send(Command::Look(Box::new(|_, _| {}))).unwrap();
        assert_eq!(handle.look(|_, _| ()).await.unwrap_err().kind, Kind::Busy);
        let closed = handle.closed("w1".parse().unwrap(), Incarnation(1)).await;
        assert_eq!(closed.unwrap_err().kind, Kind::Deadline);
    }

    #[tokio::test]
    async fn no_driver_means_stopping_whether_before_or_after_the_question() {
        let (handle, mut commands) = open();
        let asked = handle.look(|_, _| ());
        let (answer, _command_dropped) = tokio::join!(asked, async { drop(commands.recv().await) });
        assert_eq!(answer.unwrap_err().kind, Kind::Stopping);
        drop(commands);
        assert_eq!(handle.look(|_, _| ()).await.unwrap_err().kind, Kind::Stopping);
    }
}
