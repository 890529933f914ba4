//! How an evolution ends before its time: nothing of it waits or runs afterwards, and its slots are free at once.

use crate::cluster::evolution::{Evolution, StepRun};
use crate::cluster::job::Revocation;
use crate::cluster::turn::Turn;
use crate::cluster::view::Status;
use crate::ids::{EvolutionId, JobId};
use crate::session::CoordinatorMessage;

impl Turn<'_> {
    /// The evolution cannot go on; `chain` says why, outermost cause first.
    pub(super) fn fail_evolution(&mut self, id: &EvolutionId, chain: Vec<String>) {
        let running = self.state.evolutions.get(id).and_then(Evolution::running_step).map(StepRun::path);
        let head = running.map(|path| format!("recipe step {path} failed"));
        self.end_failed(id, head.into_iter().chain(chain).collect());
    }

    pub(super) fn end_failed(&mut self, id: &EvolutionId, chain: Vec<String>) {
        self.end_evolution(id, Status::Failed, "the evolution failed");
        if let Some(evolution) = self.evolution(id) {
            evolution.failure = chain;
        }
    }

    /// Ends an evolution before its time: nothing of it waits or runs afterwards.
    pub(super) fn end_evolution(&mut self, id: &EvolutionId, status: Status, reason: &str) {
        let work = self.state.evolutions.get(id).and_then(Evolution::running_step).map(|run| run.work.clone());
        if let Some(work) = work {
            self.revoke_jobs(work.jobs(), reason);
            if let Some(round) = work.round() {
                self.end_try(round, reason);
                self.drop_states(round);
                if let Some(round) = self.round(round) {
                    round.revoke(reason);
                }
            }
        }
        self.set_status(id, status);
    }

    pub(super) fn revoke_jobs(&mut self, jobs: &[JobId], reason: &str) {
        for id in jobs {
            let over = self.state.jobs.get(id).is_none_or(|job| job.waiting().is_none() && job.lease().is_none());
            if over {
                continue;
            }
            let Some(Revocation::Revoked(Some(lease))) = self.job(id).map(|job| job.revoke(reason)) else { continue };
            self.state.leases.end(lease.token);
            let reason = reason.to_owned();
            self.send(&lease.worker, CoordinatorMessage::Revoke { token: lease.token, reason });
        }
    }

    pub(super) fn set_status(&mut self, id: &EvolutionId, status: Status) {
        if let Some(evolution) = self.evolution(id) {
            evolution.status = status;
        }
    }
}
