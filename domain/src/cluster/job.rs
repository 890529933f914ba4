//! A job under way: which attempt holds it, what earlier attempts met, how it ended. The fencing token is checked here,
//! at the write, so that a late or doubled report cannot change a job.
//!
//! ```text
//!             lease              accept
//!   Waiting ─────────▶ Leased ───────────▶ Done
//!      ▲                 │ │
//!      └── fail, lose ───┘ └── fail, lose beyond the budget ──▶ Failed
//!   Waiting, Leased ── revoke ──▶ Revoked
//! ```

use serde::{Deserialize, Serialize};

use super::Limits;
use crate::fence::FencingToken;
use crate::ids::WorkerId;
use crate::job::{FailureClass, JobFailure, JobOutput, JobSpec};

/// One job and its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub spec: JobSpec,
    /// Leases granted so far; the number of the latest attempt.
    pub attempts: u32,
    /// Attempts that reported a failure or ran out of time.
    pub failures: Vec<FailedAttempt>,
    /// Attempts whose worker was lost or forgot them.
    pub losses: u32,
    pub state: JobState,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Waiting(Waiting),
    Leased(Leased),
    Done(Done),
    Failed(Failed),
    Revoked(Revoked),
}

/// Waits for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// The worker of the last failed attempt; another one is preferred.
    pub avoid: Option<WorkerId>,
}

/// One worker may run one attempt, as long as it is heard from and the time limit is not reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    pub token: FencingToken,
    pub worker: WorkerId,
    pub attempt: u32,
}

/// Ended with a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The attempt whose result was applied.
    pub token: FencingToken,
    pub output: JobOutput,
}

/// Ended without a result; its evolution failed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Outermost cause first.
    pub chain: Vec<String>,
}

/// Not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    pub reason: String,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    pub attempt: u32,
    pub worker: WorkerId,
    pub chain: Vec<String>,
}

/// What follows a failed or lost attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// The token is not the current one: nothing changed.
    Stale,
    /// The job waits for another attempt.
    Retry,
    /// The job ended; the chain says why, outermost cause first.
    GiveUp(Vec<String>),
}

impl Job {
    /// A job that nobody has tried.
    #[must_use]
    pub fn new(spec: JobSpec) -> Self {
        Self { spec, attempts: 0, failures: Vec::new(), losses: 0, state: JobState::Waiting(Waiting::default()) }
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Leased> {
        match &self.state {
            JobState::Leased(leased) => Some(leased),
            JobState::Waiting(_) | JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => None,
        }
    }

    /// What an ended job brought.
    #[must_use]
    pub fn output(&self) -> Option<&JobOutput> {
        match &self.state {
            JobState::Done(done) => Some(&done.output),
            JobState::Waiting(_) | JobState::Leased(_) | JobState::Failed(_) | JobState::Revoked(_) => None,
        }
    }

    /// The wish of a job that waits for a slot.
    #[must_use]
    pub fn waiting(&self) -> Option<&Waiting> {
        match &self.state {
            JobState::Waiting(waiting) => Some(waiting),
            JobState::Leased(_) | JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => None,
        }
    }

    /// `Waiting -> Leased`; returns the attempt's number, or `None` when the job does not wait.
    pub(super) fn grant(&mut self, worker: WorkerId, token: FencingToken) -> Option<u32> {
        self.waiting()?;
        self.attempts += 1;
        self.state = JobState::Leased(Leased { token, worker, attempt: self.attempts });
        Some(self.attempts)
    }

    /// `Leased -> Done` if `token` is the current one; says whether it was.
    pub(super) fn accept(&mut self, token: FencingToken, output: JobOutput) -> bool {
        let current = self.lease().is_some_and(|leased| leased.token == token);
        if current {
            self.state = JobState::Done(Done { token, output });
        }
        current
    }

    /// `Leased -> Waiting | Failed` after a reported failure: an invalid input is final, anything else is tried again
    /// until `limits.attempt_budget` failures.
    pub(super) fn fail(&mut self, token: FencingToken, failure: JobFailure, limits: &Limits) -> Consequence {
        let Some(leased) = self.lease().filter(|leased| leased.token == token).cloned() else {
            return Consequence::Stale;
        };
        let head = match failure.class {
            FailureClass::Invalid => Some(format!("job {} cannot be done (attempt {})", self.spec.id, leased.attempt)),
            FailureClass::Transient => None,
            FailureClass::Lost => return self.lose(token, &failure.chain.join(": "), limits),
        };
        self.failures.push(FailedAttempt {
            attempt: leased.attempt,
            worker: leased.worker.clone(),
            chain: failure.chain.clone(),
        });
        let head = head.or_else(|| {
            let spent = self.failures.len() >= limits.attempt_budget as usize;
            spent.then(|| {
                format!("job {} failed {} times, last on worker {}", self.spec.id, self.failures.len(), leased.worker)
            })
        });
        self.retry_or_fail(leased.worker, head, failure.chain)
    }

    /// `Leased -> Waiting | Failed` when the attempt's worker is gone: tried again until `limits.loss_budget` losses.
    pub(super) fn lose(&mut self, token: FencingToken, why: &str, limits: &Limits) -> Consequence {
        let Some(leased) = self.lease().filter(|leased| leased.token == token).cloned() else {
            return Consequence::Stale;
        };
        self.losses += 1;
        let spent = self.losses > limits.loss_budget;
        let head = spent.then(|| format!("job {} lost its worker {} times", self.spec.id, self.losses));
        self.retry_or_fail(leased.worker, head, vec![why.to_owned()])
    }

    fn retry_or_fail(&mut self, worker: WorkerId, head: Option<String>, causes: Vec<String>) -> Consequence {
        let Some(head) = head else {
            self.state = JobState::Waiting(Waiting { avoid: Some(worker) });
            return Consequence::Retry;
        };
        let chain: Vec<String> = std::iter::once(head).chain(causes).collect();
        self.state = JobState::Failed(Failed { chain: chain.clone() });
        Consequence::GiveUp(chain)
    }

    /// `Waiting | Leased -> Revoked`; an ended job stays as it is. Returns the lease that its worker must give up.
    pub(super) fn revoke(&mut self, reason: &str) -> Revocation {
        let lease = match &self.state {
            JobState::Waiting(_) => None,
            JobState::Leased(leased) => Some(leased.clone()),
            JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => return Revocation::AlreadyEnded,
        };
        self.state = JobState::Revoked(Revoked { reason: reason.to_owned() });
        Revocation::Revoked(lease)
    }
}

/// What revoking a job did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Revocation {
    AlreadyEnded,
    /// With the lease that was in force.
    Revoked(Option<Leased>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, EvolutionId, JobId};
    use crate::job::JobKind;
    use crate::recipe::Base;
    use crate::seed::Seed;

    fn job() -> Job {
        Job::new(JobSpec {
            id: JobId::new("a-1/base/base/0").unwrap(),
            evolution: EvolutionId::new("a-1").unwrap(),
            seed: Seed(1),
            time_limit_ms: 1,
            kind: JobKind::Base(Base::Model("none".to_owned())),
        })
    }

    fn output() -> JobOutput {
        JobOutput::Base { checkpoint: Digest::of(b"c"), weights: Digest::of(b"w"), source: "none".to_owned() }
    }

    fn worker() -> WorkerId {
        WorkerId::new("w1").unwrap()
    }

    fn transient() -> JobFailure {
        JobFailure { class: FailureClass::Transient, chain: vec!["out of memory".to_owned()] }
    }

    #[test]
    fn a_stale_token_changes_nothing() {
        let (mut job, limits) = (job(), Limits::default());
        job.grant(worker(), FencingToken(1));
        assert_eq!(job.lose(FencingToken(1), "gone", &limits), Consequence::Retry);
        assert_eq!(job.grant(worker(), FencingToken(2)), Some(2));
        let before = job.clone();
        assert!(!job.accept(FencingToken(1), output()));
        assert_eq!(job.fail(FencingToken(1), transient(), &limits), Consequence::Stale);
        assert_eq!(job.lose(FencingToken(1), "gone", &limits), Consequence::Stale);
        assert_eq!(job, before);
        assert!(job.accept(FencingToken(2), output()));
        assert!(!job.accept(FencingToken(2), output()), "a result is applied once");
        assert_eq!(job.revoke("late"), Revocation::AlreadyEnded);
    }

    #[test]
    fn failures_and_losses_have_budgets_of_their_own() {
        let limits = Limits { attempt_budget: 2, loss_budget: 1, ..Limits::default() };
        let mut failing = job();
        failing.grant(worker(), FencingToken(1));
        assert_eq!(failing.lose(FencingToken(1), "gone", &limits), Consequence::Retry);
        failing.grant(worker(), FencingToken(2));
        assert_eq!(failing.fail(FencingToken(2), transient(), &limits), Consequence::Retry);
        assert_eq!(failing.waiting().unwrap().avoid, Some(worker()));
        failing.grant(worker(), FencingToken(3));
        let chain =
            vec!["job a-1/base/base/0 failed 2 times, last on worker w1".to_owned(), "out of memory".to_owned()];
        assert_eq!(failing.fail(FencingToken(3), transient(), &limits), Consequence::GiveUp(chain));
        let mut losing = job();
        losing.grant(worker(), FencingToken(4));
        assert_eq!(losing.lose(FencingToken(4), "gone", &limits), Consequence::Retry);
        losing.grant(worker(), FencingToken(5));
        assert!(matches!(losing.lose(FencingToken(5), "gone", &limits), Consequence::GiveUp(_)));
    }
}
