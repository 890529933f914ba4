//! What each event does. `admit` holds every reason to refuse one and changes nothing; after it, an event cannot fail.

mod admit;
mod commit;
mod ending;
mod place;
mod ranks;
mod report;
mod request;
mod session;
mod settle;
mod tick;

use super::turn::Turn;
use super::{Action, ClusterState, Event, Rejection};
use crate::fence::FencingToken;
use crate::ids::WorkerId;
use crate::session::{CoordinatorMessage, WorkerMessage};
use crate::time::Timestamp;

pub(super) fn apply(state: &mut ClusterState, now: Timestamp, event: Event) -> Result<Vec<Action>, Rejection> {
    admit::admit(state, &event)?;
    let mut turn = Turn::begin(state, now);
    match event {
        Event::Submitted { recipe, seed } => turn.submitted(*recipe, seed),
        Event::CancelRequested(id) => turn.cancel(&id),
        Event::PauseRequested(id) => turn.pause(&id),
        Event::ResumeRequested(id) => turn.resume(&id),
        Event::Registered(registration) => turn.registered(&registration),
        Event::Said { worker, incarnation: _, message } => turn.said(&worker, message),
        Event::SessionClosed { worker, incarnation: _ } => turn.session_closed(&worker),
        Event::Tick => turn.tick(),
    }
    turn.place_work();
    Ok(turn.finish())
}

impl Turn<'_> {
    /// Every message is a sign of life. Reports are acknowledged whether current or stale, so that nobody waits on one.
    fn said(&mut self, worker: &WorkerId, message: WorkerMessage) {
        let now = self.now;
        self.state.roster.hear(worker, now);
        match message {
            // Refused at the door: a registration opens a session and never comes within one.
            WorkerMessage::Register(_) | WorkerMessage::Heartbeat => {}
            WorkerMessage::JobProgress { token, done, total, tokens } => {
                self.job_progress(worker, token, super::lease::JobProgress { done, total, tokens });
            }
            WorkerMessage::JobDone { token, output } => {
                self.job_done(worker, token, output);
                self.acknowledge(worker, token, None);
            }
            WorkerMessage::JobFailed { token, failure } => {
                self.job_failed(worker, token, failure);
                self.acknowledge(worker, token, None);
            }
            WorkerMessage::RankReady { round: _, token, rank, rendezvous } => {
                self.rank_ready(worker, (token, rank), rendezvous);
                self.acknowledge(worker, token, Some(rank));
            }
            WorkerMessage::RankProgress { round: _, token, rank, progress } => {
                self.rank_progress(worker, (token, rank), progress);
            }
            WorkerMessage::RankVoted { round: _, token, rank, vote } => {
                self.rank_voted(worker, (token, rank), vote);
                self.acknowledge(worker, token, Some(rank));
            }
            WorkerMessage::RankFailed { round: _, token, rank, failure } => {
                self.rank_failed(worker, (token, rank), failure);
                self.acknowledge(worker, token, Some(rank));
            }
        }
    }

    fn acknowledge(&mut self, worker: &WorkerId, token: FencingToken, rank: Option<u32>) {
        self.send(worker, CoordinatorMessage::Acknowledge { token, rank });
    }
}
