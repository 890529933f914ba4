//! Deadlines: silent workers, attempts beyond their time limit, ranks that do not get ready or stall.

use crate::cluster::lease::{AttemptLease, Lease, TryLease};
use crate::cluster::round::RoundState;
use crate::cluster::turn::Turn;
use crate::cluster::view::Status;
use crate::fence::FencingToken;
use crate::ids::{EvolutionId, RoundId};
use crate::job::{FailureClass, JobFailure};
use crate::session::CoordinatorMessage;

/// Time spent is written at least so often: so much of it may be missing after a coordinator was killed.
const BOOK_EVERY_MS: u64 = 5_000;

/// A try that missed a deadline.
struct Overdue {
    round: RoundId,
    rank: u32,
    reason: String,
}

impl Turn<'_> {
    pub(super) fn tick(&mut self) {
        let silence_limit_ms = self.state.limits.silence_limit_ms;
        for worker in self.state.roster.silent(self.now, silence_limit_ms) {
            self.worker_lost(&worker, &format!("worker {worker} was silent for more than {silence_limit_ms} ms"));
        }
        for (token, attempt) in self.overdue_attempts() {
            self.time_out(token, &attempt);
        }
        for overdue in self.overdue_tries() {
            let failure = JobFailure { class: FailureClass::Transient, chain: vec![overdue.reason] };
            self.try_failed(&overdue.round, Some(overdue.rank), failure);
        }
        self.book_time();
    }

    fn overdue_attempts(&self) -> Vec<(FencingToken, AttemptLease)> {
        let limit = |attempt: &AttemptLease| self.state.jobs.get(&attempt.job).map_or(0, |job| job.spec.time_limit_ms);
        let overdue = self.state.leases.iter().filter_map(|(token, lease)| match lease {
            Lease::Attempt(attempt) if self.now.since(attempt.since) > limit(attempt) => Some((token, attempt.clone())),
            Lease::Attempt(_) | Lease::Try(_) => None,
        });
        overdue.collect()
    }

    fn time_out(&mut self, token: FencingToken, attempt: &AttemptLease) {
        let reason =
            format!("ran on worker {} for {} ms, beyond its time limit", attempt.worker, self.now.since(attempt.since));
        self.send(&attempt.worker, CoordinatorMessage::Revoke { token, reason: reason.clone() });
        self.attempt_failed(attempt, token, JobFailure { class: FailureClass::Transient, chain: vec![reason] });
    }

    fn overdue_tries(&self) -> Vec<Overdue> {
        let tries = self.state.leases.iter().filter_map(|(_, lease)| match lease {
            Lease::Try(round_try) => self.overdue(round_try),
            Lease::Attempt(_) => None,
        });
        tries.collect()
    }

    fn overdue(&self, round_try: &TryLease) -> Option<Overdue> {
        let round = self.state.rounds.get(&round_try.round)?;
        let ranks = || (0u32..).zip(&round_try.ranks);
        let (rank, reason) = match &round.state {
            RoundState::Preparing(preparing) => {
                let limit = self.state.limits.start_limit_ms;
                let late = self.now.since(round_try.since) > limit;
                let (rank, lease) = ranks().find(|(rank, _)| late && !preparing.ready.contains(rank))?;
                (rank, format!("rank {rank} on worker {} was not ready within {limit} ms", lease.worker))
            }
            RoundState::Running(running) => {
                let limit = round.spec.stall_limit_ms;
                let stalled = |heard| self.now.since(heard) > limit;
                let silent = ranks().filter(|(rank, lease)| !running.votes.contains_key(rank) && stalled(lease.heard));
                // In a collective all ranks stop together; the one that stopped first is the likely cause.
                let (rank, lease) = silent.min_by_key(|(rank, lease)| (lease.heard, *rank))?;
                (rank, format!("rank {rank} on worker {} made no progress for {limit} ms", lease.worker))
            }
            RoundState::Waiting | RoundState::Committed(_) | RoundState::Failed(_) | RoundState::Revoked(_) => {
                return None;
            }
        };
        Some(Overdue { round: round.spec.id.clone(), rank, reason })
    }

    fn book_time(&mut self) {
        let due =
            |id: &EvolutionId| self.state.booked.get(id).is_none_or(|booked| self.now.since(*booked) >= BOOK_EVERY_MS);
        let running = self.state.evolutions.values().filter(|evolution| evolution.status == Status::Running);
        let due: Vec<EvolutionId> = running.map(|evolution| evolution.id.clone()).filter(due).collect();
        for id in due {
            self.evolution(&id);
        }
    }
}
