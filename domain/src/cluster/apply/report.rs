//! Reports about jobs. The job itself checks the token; a stale report changes nothing.

use crate::cluster::job::Consequence;
use crate::cluster::lease::{AttemptLease, JobProgress};
use crate::cluster::outcome;
use crate::cluster::turn::Turn;
use crate::fence::FencingToken;
use crate::ids::{EvolutionId, WorkerId};
use crate::job::{FailureClass, JobFailure, JobOutput};

impl Turn<'_> {
    /// The attempt in force under `token`, if it is this worker's.
    fn attempt_of(&self, worker: &WorkerId, token: FencingToken) -> Option<AttemptLease> {
        self.state.leases.attempt(token).filter(|lease| lease.worker == *worker).cloned()
    }

    pub(super) fn job_progress(&mut self, worker: &WorkerId, token: FencingToken, progress: JobProgress) {
        let lease = self.state.leases.attempt_mut(token).filter(|lease| lease.worker == *worker);
        if let Some(lease) = lease {
            lease.progress = Some(progress);
            let evolution = lease.evolution.clone();
            self.show(&evolution);
        }
    }

    pub(super) fn job_done(&mut self, worker: &WorkerId, token: FencingToken, output: JobOutput) {
        let Some(lease) = self.attempt_of(worker, token) else { return };
        let Some(job) = self.job(&lease.job) else { return };
        if let Some(misfit) = outcome::misfit(&job.spec.kind, &output) {
            let chain = vec![format!("worker {worker} reported a result that does not fit the job"), misfit];
            self.attempt_failed(&lease, token, JobFailure { class: FailureClass::Transient, chain });
        } else if job.accept(token, output) {
            self.state.leases.end(token);
            self.go_on(&lease.evolution);
        }
    }

    pub(super) fn job_failed(&mut self, worker: &WorkerId, token: FencingToken, failure: JobFailure) {
        if let Some(lease) = self.attempt_of(worker, token) {
            self.attempt_failed(&lease, token, failure);
        }
    }

    pub(super) fn attempt_failed(&mut self, lease: &AttemptLease, token: FencingToken, failure: JobFailure) {
        let limits = self.state.limits.clone();
        let consequence = self.job(&lease.job).map_or(Consequence::Stale, |job| job.fail(token, failure, &limits));
        self.after_attempt(&lease.evolution, token, consequence);
    }

    pub(super) fn attempt_lost(&mut self, lease: &AttemptLease, token: FencingToken, why: &str) {
        let limits = self.state.limits.clone();
        let consequence = self.job(&lease.job).map_or(Consequence::Stale, |job| job.lose(token, why, &limits));
        self.after_attempt(&lease.evolution, token, consequence);
    }

    fn after_attempt(&mut self, evolution: &EvolutionId, token: FencingToken, consequence: Consequence) {
        match consequence {
            Consequence::Stale => {}
            Consequence::Retry => {
                self.state.leases.end(token);
                self.count_retry(evolution);
            }
            Consequence::GiveUp(chain) => {
                self.state.leases.end(token);
                self.fail_evolution(evolution, chain);
            }
        }
    }

    pub(super) fn count_retry(&mut self, evolution: &EvolutionId) {
        if let Some(evolution) = self.evolution(evolution) {
            evolution.retries += 1;
        }
    }
}
