//! Why a job is where it is.

use super::{Explanation, Subject, span};
use crate::cluster::ClusterState;
use crate::cluster::job::{Job, JobState};
use crate::time::Timestamp;

impl ClusterState {
    pub(super) fn explain_job(&self, now: Timestamp, job: &Job) -> Explanation {
        let mut facts: Vec<String> = job
            .failures
            .iter()
            .map(|failed| {
                format!("attempt {} on worker {} failed: {}", failed.attempt, failed.worker, failed.chain.join(": "))
            })
            .collect();
        if job.losses > 0 {
            facts.push(format!("{} attempts lost their worker", job.losses));
        }
        let waiting = match &job.state {
            JobState::Waiting(_) => {
                self.evolutions.get(&job.spec.evolution).map(|evolution| self.job_waits(now, evolution))
            }
            JobState::Leased(_) | JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => None,
        };
        let (waits_for, culprit, helps) = waiting.map_or((None, None, None), |w| (Some(w.what), w.culprit, w.helps));
        Explanation {
            id: job.spec.id.to_string(),
            subject: Subject::Job,
            state: self.job_state(now, job),
            facts,
            waits_for,
            culprit,
            helps,
        }
    }

    fn job_state(&self, now: Timestamp, job: &Job) -> String {
        let kind = job.spec.kind.name();
        match &job.state {
            JobState::Waiting(_) => format!("{kind}, waiting after {} attempts", job.attempts),
            JobState::Leased(leased) => {
                let lease = self.leases.attempt(leased.token);
                let since = lease.map_or_else(String::new, |lease| format!(" for {}", span(now.since(lease.since))));
                let said = lease.and_then(|lease| lease.progress);
                let said = said.map_or_else(String::new, |said| format!(", {} of {} done", said.done, said.total));
                format!("{kind}, attempt {} on worker {}{since}{said}", leased.attempt, leased.worker)
            }
            JobState::Done(done) => format!("{kind}, done by attempt {} (token {})", job.attempts, done.token),
            JobState::Failed(failed) => format!("{kind}, failed: {}", failed.chain.join(": ")),
            JobState::Revoked(revoked) => format!("{kind}, revoked: {}", revoked.reason),
        }
    }
}
