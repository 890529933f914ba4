//! What the shell must do after an event, in order. `Persist` comes first: nothing is sent or answered before the
//! decision that allows it is durable.

use crate::fence::Incarnation;
use crate::ids::{EvolutionId, WorkerId};
use crate::session::CoordinatorMessage;

use super::record::Write;

/// One effect, executed by the coordinator's shell.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write all of these in one transaction, durably.
    Persist(Vec<Write>),
    /// Push a message on a worker's stream. If the stream is gone the message is dropped: silence and reconnects repair it.
    Send { worker: WorkerId, message: CoordinatorMessage },
    /// End a worker's stream.
    CloseSession { worker: WorkerId, incarnation: Incarnation, reason: String },
    /// The submission was accepted under this id.
    Submitted(EvolutionId),
    /// What watchers of this evolution see has changed.
    Changed(EvolutionId),
}
