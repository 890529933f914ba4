//! What can happen to a cluster. Each variant is one message of a person, a worker or the clock.

use crate::fence::Incarnation;
use crate::ids::{EvolutionId, WorkerId};
use crate::recipe::Recipe;
use crate::seed::Seed;
use crate::session::{Registration, WorkerMessage};

/// One input of [`super::ClusterState::apply`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A person submits a recipe that has been parsed and validated.
    Submitted {
        recipe: Box<Recipe>,
        seed: Seed,
    },
    /// No new work; running attempts are revoked; the evolution ends as cancelled.
    CancelRequested(EvolutionId),
    /// No new work until resumed; running attempts finish.
    PauseRequested(EvolutionId),
    ResumeRequested(EvolutionId),
    /// A worker's session opened.
    Registered(Registration),
    /// A registered worker said something. `Registration` never comes this way.
    Said {
        worker: WorkerId,
        incarnation: Incarnation,
        message: WorkerMessage,
    },
    /// A worker's stream ended. It may come back: leases stay until their deadline of silence.
    SessionClosed {
        worker: WorkerId,
        incarnation: Incarnation,
    },
    /// Time passed; sent at least every second.
    Tick,
}
