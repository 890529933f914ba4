//! Checks that take a while (code of models in the sandbox), on threads of their own, so that neither the engine nor a search
//! without checks waits for them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_telemetry::{ErrorChain, SpawnError, spawn_thread};

use super::referee::{Check, Steps};
use crate::code::Code;
use crate::sandbox::check::{Budget, StepEnd, steps};
use crate::sandbox::{Pool, SandboxError};
use crate::verify::programs;

/// Checks at a time.
const THREADS: usize = 2;

/// Checks that may wait to be taken, and verdicts likewise.
const WAITING: usize = 1024;

/// See the head of this file. Threads end with the last check.
pub(super) struct Checker {
    asked: SyncSender<(u64, Check)>,
    given: Receiver<(u64, Verdict)>,
    /// Checks that found no room.
    waiting: VecDeque<(u64, Check)>,
    under_way: usize,
}

impl Checker {
    /// Threads that check by `code`.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub(super) fn start(code: &Arc<Code>) -> Result<Self, SpawnError> {
        let (asked, jobs) = sync_channel::<(u64, Check)>(WAITING);
        let (give, given) = sync_channel(WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..THREADS {
            let (jobs, give, code) = (Arc::clone(&jobs), give.clone(), Arc::clone(code));
            let serve = move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((id, check)) = job else { return };
                    if give.send((id, judge(&code, &check))).is_err() {
                        return;
                    }
                }
            };
            drop(spawn_thread("checker", serve)?);
        }
        Ok(Self { asked, given, waiting: VecDeque::new(), under_way: 0 })
    }

    /// Hands a check in.
    pub(super) fn ask(&mut self, id: u64, check: Check) {
        self.under_way += 1;
        self.waiting.push_back((id, check));
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            if let Err(full) = self.asked.try_send(next) {
                let (std::sync::mpsc::TrySendError::Full(back) | std::sync::mpsc::TrySendError::Disconnected(back)) =
                    full;
                self.waiting.push_front(back);
                return;
            }
        }
    }

    /// Whether a verdict is still to come.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// The next verdict, if one comes in time. Only to be called while it is busy.
    pub(super) fn next(&mut self, within: Duration) -> Option<(u64, Verdict)> {
        self.hand_over();
        match self.given.recv_timeout(within) {
            Ok(given) => {
                self.under_way -= 1;
                Some(given)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

fn judge(code: &Code, check: &Check) -> Verdict {
    match check {
        Check::Steps(steps) => decide(code, steps),
        Check::Program(tested) => programs::decide(code, tested),
    }
}

/// The verdict on the last step. What went wrong with the sandbox, and a step that ran out of time, is said as it is: it is no fault of
/// the step, and whoever asked may ask again.
fn decide(code: &Code, check: &Steps) -> Verdict {
    let verdict = match code.pool() {
        Ok(pool) => run(&pool, check),
        Err(error) => Verdict::new(Outcome::Error, error.to_string()),
    };
    verdict.by(BY)
}

const BY: &str = "step_executor/1";

fn run(pool: &Pool, check: &Steps) -> Verdict {
    let each_ms = u64::from(check.seconds) * 1000;
    let budget = Budget { each_ms, wall_ms: each_ms * check.steps.len().max(1) as u64 };
    let ends: Result<Vec<StepEnd>, SandboxError> = steps(pool, &check.steps, budget);
    match ends {
        Err(error) => Verdict::new(Outcome::Error, ErrorChain::new(&error).to_string()),
        Ok(ends) => match ends.last() {
            Some(StepEnd::Ran) if ends.len() == check.steps.len() => Verdict::pass("all steps ran"),
            Some(StepEnd::Raised(why)) => Verdict::fail(format!("step {} raised {why}", ends.len())),
            Some(StepEnd::TimedOut) => {
                Verdict::new(Outcome::Timeout, format!("step {} took more than {} s", ends.len(), check.seconds))
            }
            Some(StepEnd::Ran) | None => Verdict::new(Outcome::Error, "the sandbox lost a step"),
        },
    }
}
