//! Counts of what the state holds, for the metrics: one pass, no decisions.

use std::collections::BTreeMap;

use galapagos_domain::cluster::job::JobState;
use galapagos_domain::cluster::round::RoundState;
use galapagos_domain::cluster::training::TrainingView;
use galapagos_domain::cluster::worker_view::Liveness;
use galapagos_domain::cluster::{ClusterState, Job, Round};
use galapagos_domain::time::Timestamp;

/// How many of what.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Census {
    /// By kind and state.
    pub jobs: BTreeMap<(&'static str, &'static str), i64>,
    /// By state.
    pub rounds: BTreeMap<&'static str, i64>,
    /// By liveness.
    pub workers: BTreeMap<&'static str, i64>,
    /// Attempts in force.
    pub leases: i64,
    /// Attempts and round tries that were lost or failed.
    pub retries: i64,
    /// Tries of rounds that failed.
    pub failed_tries: u64,
    /// Tries of rounds that lost a worker or a rank.
    pub lost_tries: u64,
    /// Rounds under way.
    pub training: Vec<TrainingView>,
}

impl Census {
    pub(crate) fn of(state: &ClusterState, now: Timestamp) -> Self {
        let mut census = Self { training: state.training(), ..Self::default() };
        for job in state.jobs() {
            census.count_job(job);
        }
        for round in state.rounds() {
            census.count_round(round);
        }
        for worker in state.workers(now) {
            let liveness = match worker.liveness {
                Liveness::Present => "present",
                Liveness::Away => "away",
                Liveness::Lost => "lost",
            };
            *census.workers.entry(liveness).or_default() += 1;
        }
        census
    }

    fn count_job(&mut self, job: &Job) {
        let state = match job.state {
            JobState::Waiting(_) => "waiting",
            JobState::Leased(_) => "leased",
            JobState::Done(_) => "done",
            JobState::Failed(_) => "failed",
            JobState::Revoked(_) => "revoked",
        };
        *self.jobs.entry((job.spec.kind.name(), state)).or_default() += 1;
        self.leases += i64::from(job.lease().is_some());
        self.retries += repeats(job.failures.len(), job.losses);
    }

    fn count_round(&mut self, round: &Round) {
        let state = match round.state {
            RoundState::Waiting => "waiting",
            RoundState::Preparing(_) => "preparing",
            RoundState::Running(_) => "running",
            RoundState::Committed(_) => "committed",
            RoundState::Failed(_) => "failed",
            RoundState::Revoked(_) => "revoked",
        };
        *self.rounds.entry(state).or_default() += 1;
        self.retries += repeats(round.failures.len(), round.losses);
        self.failed_tries += round.failures.len() as u64;
        self.lost_tries += u64::from(round.losses);
    }
}

fn repeats(failures: usize, losses: u32) -> i64 {
    i64::try_from(failures).unwrap_or(i64::MAX).saturating_add(losses.into())
}
