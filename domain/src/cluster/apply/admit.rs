//! The door: every reason to refuse an event, read off the state without changing it.

use crate::cluster::evolution::Evolution;
use crate::cluster::view::Status;
use crate::cluster::{ClusterState, Event, Rejection, RejectionKind};
use crate::fence::Incarnation;
use crate::ids::{EvolutionId, WorkerId};
use crate::session::{PROTOCOL_VERSION, Registration, WorkerMessage};

pub(super) fn admit(state: &ClusterState, event: &Event) -> Result<(), Rejection> {
    match event {
        Event::Submitted { recipe, seed: _ } => state.next_id(&recipe.name).map(drop),
        Event::CancelRequested(id) => open(state, id, "cancelled").map(drop),
        Event::PauseRequested(id) => match open(state, id, "paused")?.status {
            Status::Paused => refuse(RejectionKind::Conflict, format!("evolution `{id}` is paused already")),
            Status::Running | Status::Done | Status::Failed | Status::Cancelled => Ok(()),
        },
        Event::ResumeRequested(id) => match open(state, id, "resumed")?.status {
            Status::Running => refuse(RejectionKind::Conflict, format!("evolution `{id}` is not paused: it runs")),
            Status::Paused | Status::Done | Status::Failed | Status::Cancelled => Ok(()),
        },
        Event::Registered(registration) => registration_is_sound(registration),
        Event::Said { worker, incarnation, message } => {
            in_session(state, worker, *incarnation)?;
            match message {
                WorkerMessage::Register(_) => refuse(
                    RejectionKind::Invalid,
                    format!("worker `{worker}` registered within a session: a registration opens a new one"),
                ),
                WorkerMessage::Heartbeat
                | WorkerMessage::JobProgress { .. }
                | WorkerMessage::JobDone { .. }
                | WorkerMessage::JobFailed { .. }
                | WorkerMessage::RankReady { .. }
                | WorkerMessage::RankProgress { .. }
                | WorkerMessage::RankVoted { .. }
                | WorkerMessage::RankFailed { .. } => Ok(()),
            }
        }
        Event::SessionClosed { worker, incarnation } => in_session(state, worker, *incarnation),
        Event::Tick => Ok(()),
    }
}

fn refuse<T>(kind: RejectionKind, message: String) -> Result<T, Rejection> {
    Err(Rejection { kind, message })
}

/// An evolution that has not ended.
fn open<'a>(state: &'a ClusterState, id: &EvolutionId, done: &str) -> Result<&'a Evolution, Rejection> {
    let Some(evolution) = state.evolutions.get(id) else {
        return refuse(RejectionKind::NotFound, format!("there is no evolution `{id}`; `galapagos list` shows all"));
    };
    match evolution.status {
        Status::Running | Status::Paused => Ok(evolution),
        Status::Done | Status::Failed | Status::Cancelled => {
            let status = format!("{:?}", evolution.status).to_lowercase();
            refuse(RejectionKind::Conflict, format!("evolution `{id}` cannot be {done}: it has ended ({status})"))
        }
    }
}

fn registration_is_sound(registration: &Registration) -> Result<(), Rejection> {
    let Registration { worker, protocol_version: theirs, slots, .. } = registration;
    if *theirs != PROTOCOL_VERSION {
        return refuse(
            RejectionKind::WrongVersion,
            format!(
                "worker `{worker}` speaks session protocol {theirs}, this coordinator speaks {PROTOCOL_VERSION}: \
                 run both from one release"
            ),
        );
    }
    if *slots == 0 {
        return refuse(RejectionKind::Invalid, format!("worker `{worker}` offers 0 slots: it must offer at least 1"));
    }
    Ok(())
}

/// The session in force of a worker that is present.
fn in_session(state: &ClusterState, worker: &WorkerId, incarnation: Incarnation) -> Result<(), Rejection> {
    let Some(known) = state.roster.get(worker) else {
        return refuse(RejectionKind::Fenced, format!("worker `{worker}` is not registered: it must register first"));
    };
    let current = known.known.incarnation;
    if current != incarnation {
        return refuse(
            RejectionKind::Fenced,
            format!("incarnation {} of worker `{worker}` is over; {} is current", incarnation.0, current.0),
        );
    }
    if !known.is_present() {
        return refuse(
            RejectionKind::Fenced,
            format!("the session of incarnation {} of worker `{worker}` has ended: it must register again", current.0),
        );
    }
    Ok(())
}
