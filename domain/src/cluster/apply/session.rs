//! Workers come, go and come back. A returning process keeps what it says it holds; a new process holds nothing; a worker
//! that is silent for too long is lost. Whatever is not held any more is tried anew.

use std::collections::BTreeSet;

use crate::cluster::Action;
use crate::cluster::lease::Lease;
use crate::cluster::roster::{Presence, Return};
use crate::cluster::round::RoundState;
use crate::cluster::turn::Turn;
use crate::fence::FencingToken;
use crate::ids::WorkerId;
use crate::session::{CoordinatorMessage, Registration};

impl Turn<'_> {
    /// The newest registration of a name wins: a restarted worker must not wait for its former session to be missed.
    pub(super) fn registered(&mut self, registration: &Registration) {
        let worker = &registration.worker;
        self.close_session(worker, "a newer session registered under this worker's name");
        let now = self.now;
        let returned = self.state.roster.register(registration, now);
        self.worker_written(worker);
        self.show_all();
        self.greet(worker);
        let assigned = self.state.leases.of_worker(worker);
        let held: BTreeSet<FencingToken> = registration.held.iter().copied().collect();
        let (kept, why): (BTreeSet<_>, _) = match returned {
            Return::Restarted => (BTreeSet::new(), format!("worker {worker} restarted")),
            Return::Reconnected => {
                (assigned.intersection(&held).copied().collect(), format!("worker {worker} came back without it"))
            }
        };
        for token in assigned.difference(&kept) {
            self.lose(*token, &why);
        }
        for token in held.difference(&kept) {
            self.disown(worker, *token);
        }
        for token in kept {
            self.restart_ranks(worker, token);
        }
    }

    fn greet(&mut self, worker: &WorkerId) {
        if let Some(known) = self.state.roster.get(worker).map(|worker| &worker.known) {
            let message = CoordinatorMessage::Registered {
                incarnation: known.incarnation,
                leader_epoch: self.state.leader_epoch,
                heartbeat_ms: self.state.limits.heartbeat_ms,
            };
            self.send(worker, message);
        }
    }

    /// Tells a worker to stop what it holds under a token that is not its own any more.
    fn disown(&mut self, worker: &WorkerId, token: FencingToken) {
        let reason = "this attempt was given up while the worker was away".to_owned();
        let round = self.state.rounds.values().find(|round| round.knows(token)).map(|round| round.spec.id.clone());
        let message = match round {
            Some(round) => CoordinatorMessage::KillRanks { round, token, reason },
            None => CoordinatorMessage::Revoke { token, reason },
        };
        self.send(worker, message);
    }

    /// The order to start may have been lost with the former session; a rank that trains already ignores it.
    fn restart_ranks(&mut self, worker: &WorkerId, token: FencingToken) {
        let Some(lease) = self.state.leases.round_try(token) else { return };
        let Some(round) = self.state.rounds.get(&lease.round) else { return };
        let running = match &round.state {
            RoundState::Running(running) => running.clone(),
            RoundState::Waiting
            | RoundState::Preparing(_)
            | RoundState::Committed(_)
            | RoundState::Failed(_)
            | RoundState::Revoked(_) => return,
        };
        let id = round.spec.id.clone();
        for (rank, holder) in (0u32..).zip(&running.table.workers) {
            if holder == worker && !running.votes.contains_key(&rank) {
                let rendezvous = running.rendezvous.clone();
                self.send(worker, CoordinatorMessage::StartRank { round: id.clone(), token, rank, rendezvous });
            }
        }
    }

    pub(super) fn session_closed(&mut self, worker: &WorkerId) {
        let since = self.now;
        self.state.roster.set(worker, Presence::Away { since });
        self.show_all();
    }

    /// Gives a worker up and takes back all it held.
    pub(super) fn worker_lost(&mut self, worker: &WorkerId, why: &str) {
        self.close_session(worker, why);
        self.state.roster.set(worker, Presence::Lost);
        self.show_all();
        for token in self.state.leases.of_worker(worker) {
            self.lose(token, why);
        }
    }

    fn close_session(&mut self, worker: &WorkerId, reason: &str) {
        let Some(known) = self.state.roster.get(worker).filter(|worker| worker.is_present()) else { return };
        let incarnation = known.known.incarnation;
        self.act(Action::CloseSession { worker: worker.clone(), incarnation, reason: reason.to_owned() });
    }

    /// What was leased under `token` goes back, because its worker is gone or forgot it.
    fn lose(&mut self, token: FencingToken, why: &str) {
        match self.state.leases.get(token).cloned() {
            Some(Lease::Attempt(attempt)) => self.attempt_lost(&attempt, token, why),
            Some(Lease::Try(round_try)) => self.try_lost(&round_try.round, why),
            None => {}
        }
    }
}
