//! Canaries: answers that are known to be right or wrong, asked among the real ones. A verifier that passes a wrong one, or fails too
//! many right ones, is suspended for the rest of the job, and what it said since it was last seen to be right becomes suspect; so does
//! what searches found that went by it.
//!
//! Pure, and without regard to time: all verdicts of a job stand in one order (tasks as in the job; within a task its trajectories as
//! the extractor gives them, each followed by its canaries), and only that order says what "since" and "the rest" are. Which canaries a
//! task has depends on its seed alone, but for those with which the first tasks of a job begin.

use std::collections::VecDeque;
use std::sync::Arc;

use galapagos_domain::recipe::search::{Canaries, Search};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Tested, Verdict};
use rand::RngExt;

use crate::verify::known;

/// Who is asked about known answers.
#[derive(Debug, Clone)]
pub(super) struct Examinees {
    /// The recipe's verifiers, and behind them those that only the searches ask.
    pub(super) all: Vec<Arc<Verifier>>,
    /// How many are the recipe's.
    verify: usize,
    /// Of each, whether searches go by what it says.
    leads: Vec<bool>,
}

impl Examinees {
    pub(super) fn of(verify: &[Verifier], search: &Search) -> Self {
        let mut all: Vec<Arc<Verifier>> = verify.iter().cloned().map(Arc::new).collect();
        for asked in search.verifiers().filter(|asked| asked.knows_answers()) {
            if !all.iter().any(|known| **known == *asked) {
                all.push(Arc::new(asked.clone()));
            }
        }
        let leads = all.iter().map(|known| search.verifiers().any(|asked| *asked == **known)).collect();
        Self { all, verify: verify.len(), leads }
    }

    /// The recipe's verifiers.
    pub(super) fn verify(&self) -> &[Arc<Verifier>] {
        &self.all[..self.verify]
    }

    /// What they are called in messages; those that only the searches ask are said to be so.
    fn names(&self) -> Vec<String> {
        let searches = self.all[self.verify..].iter().map(|asked| format!("{} (search)", asked.name()));
        names(self.verify()).into_iter().chain(searches).collect()
    }
}

/// A known answer that a verifier is to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canary {
    /// Its place among the examinees.
    pub(super) verifier: usize,
    /// Trajectories of its task that stand before it.
    pub(super) after: usize,
    pub(super) right: bool,
    /// For whoever makes the answer, and for a verifier that draws.
    pub(super) seed: Seed,
}

impl Canary {
    /// The known answer to a task that expects `expected`, where `truth` decides on answers; `None` if there is none of its kind. A
    /// wrong one is made of the right one alone, so that it does not depend on the other tasks of the job.
    pub(super) fn answer(self, expected: &str, truth: &dyn Fn(&str) -> Outcome) -> Option<String> {
        let pair = known::pair(&[expected], 0, self.seed, &|_, answer| truth(answer))?;
        Some(if self.right { pair.right } else { pair.wrong })
    }

    /// The same where answers are programs: `completion` is what the task gives as right. `None` if it gives none.
    pub(super) fn program(self, completion: &str) -> Option<String> {
        match self.right {
            true => Some(completion.to_owned()).filter(|completion| !completion.trim().is_empty()),
            false => {
                let drawn = self.seed.derive("program").stream().random_range(0..known::WRONG_PROGRAMS.len());
                Some(known::WRONG_PROGRAMS[drawn].to_owned())
            }
        }
    }
}

/// A canary with what was said of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sung {
    pub(super) canary: Canary,
    pub(super) answer: String,
    pub(super) verdict: Verdict,
}

/// What was said about one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Said {
    /// The task, for messages.
    pub(super) task: String,
    /// Of each trajectory, by each verifier.
    pub(super) verdicts: Vec<Vec<Verdict>>,
    /// In the order of [`plan`].
    pub(super) canaries: Vec<Sung>,
    /// Why nothing is believed of its search, by trajectory: one that led it is suspended.
    pub(super) misled: Vec<Option<String>>,
    /// The same of its tree, which is as its last trajectory.
    pub(super) misled_tree: Option<String>,
}

/// The canaries of the task at `place` of its job, which has so many trajectories; in order.
pub(super) fn plan(
    canaries: &Canaries,
    asked: &[Arc<Verifier>],
    (place, seed): (usize, Seed),
    trajectories: usize,
) -> Vec<Canary> {
    let tested: Vec<usize> = (0..asked.len()).filter(|verifier| asked[*verifier].knows_answers()).collect();
    let mut planned = Vec::new();
    if place < canaries.floor as usize {
        for verifier in &tested {
            for right in [false, true] {
                let asked = if right { canaries.right > 0.0 } else { canaries.right < 1.0 };
                let seed = seed.derive(&format!("canary/first/{verifier}/{right}"));
                planned.extend(asked.then_some(Canary { verifier: *verifier, after: 0, right, seed }));
            }
        }
    }
    for after in 1..=trajectories {
        for verifier in &tested {
            let seed = seed.derive(&format!("canary/{after}/{verifier}"));
            let mut rng = seed.stream();
            let (drawn, side): (f64, f64) = (rng.random(), rng.random());
            if drawn < canaries.rate {
                planned.push(Canary { verifier: *verifier, after, right: side < canaries.right, seed });
            }
        }
    }
    planned
}

/// What verifiers are called in messages: as in the recipe, with their place where a word stands there twice.
pub(super) fn names(verify: &[Arc<Verifier>]) -> Vec<String> {
    let twice = |name: &str| verify.iter().filter(|verifier| verifier.name() == name).count() > 1;
    let name = |(place, verifier): (usize, &Arc<Verifier>)| match verifier.name() {
        name if twice(name) => format!("{name}[{place}]"),
        name => name.to_owned(),
    };
    verify.iter().enumerate().map(name).collect()
}

/// Reads the canaries of a whole job, and makes suspect what they say is not to be believed. How each tested verifier did.
pub(super) fn settle(canaries: &Canaries, examinees: &Examinees, job: &mut [Said]) -> Vec<Tested> {
    let names = examinees.names();
    for said in &mut *job {
        said.misled = vec![None; said.verdicts.len()];
    }
    let tested = (0..names.len()).filter(|verifier| examinees.all[*verifier].knows_answers());
    let settle = |verifier: usize| {
        let (mut tested, since) = examine(canaries, (verifier, &names[verifier]), job);
        if let Some(since) = since {
            let reason =
                format!("`{}` is suspended: {}", names[verifier], tested.reason.as_deref().unwrap_or_default());
            tested.marked += mark(job, (verifier, since), &reason);
            if examinees.leads[verifier] {
                tested.misled +=
                    mislead(job, since, &format!("the search went by a verifier that is not believed; {reason}"));
            }
        }
        tested
    };
    tested.map(settle).collect()
}

/// How a verifier did on the canaries of a job, and the first trajectory from which on nothing that it says is believed.
fn examine(canaries: &Canaries, (verifier, name): (usize, &str), job: &[Said]) -> (Tested, Option<usize>) {
    let mut seen = Seen { tested: Tested { verifier: name.to_owned(), ..Tested::default() }, ..Seen::default() };
    for said in job {
        let mut sung = said.canaries.iter().filter(|sung| sung.canary.verifier == verifier).peekable();
        for after in 0..=said.verdicts.len() {
            seen.trajectories += usize::from(after > 0);
            while let Some(sung) = sung.next_if(|sung| sung.canary.after == after) {
                seen.hear(canaries, &said.task, sung);
            }
        }
    }
    (seen.tested, seen.suspended)
}

/// Makes suspect what a verifier decided from trajectory `since` on; how many verdicts.
fn mark(job: &mut [Said], (verifier, since): (usize, usize), reason: &str) -> u64 {
    let mut marked = 0;
    for verdicts in job.iter_mut().flat_map(|said| &mut said.verdicts).skip(since) {
        let Some(verdict) = verdicts.get_mut(verifier).filter(|verdict| verdict.outcome.is_decided()) else {
            continue;
        };
        let (by, cost) = (std::mem::take(&mut verdict.verifier), verdict.cost);
        *verdict = Verdict { cost, ..Verdict::new(Outcome::Suspect, reason.to_owned()).by(by) };
        marked += 1;
    }
    marked
}

/// Notes that the searches of trajectory `since` and of all behind it are not believed; how many trajectories.
fn mislead(job: &mut [Said], since: usize, reason: &str) -> u64 {
    let (mut start, mut misled) = (0, 0);
    for said in job {
        let end = start + said.misled.len();
        for (place, of) in (start..).zip(&mut said.misled) {
            if place >= since {
                of.get_or_insert_with(|| reason.to_owned());
                misled += 1;
            }
        }
        if end > since || start >= since {
            said.misled_tree.get_or_insert_with(|| reason.to_owned());
        }
        start = end;
    }
    misled
}

/// What was seen of one verifier so far.
#[derive(Default)]
struct Seen {
    tested: Tested,
    /// Trajectories so far.
    trajectories: usize,
    /// Trajectories that stood before the last wrong answer that it failed, and the last right one that it passed.
    failed_wrong: usize,
    passed_right: usize,
    /// The last right answers: whether it passed them, and `passed_right` of before.
    window: VecDeque<(bool, usize)>,
    /// The first trajectory whose verdict is not believed.
    suspended: Option<usize>,
}

impl Seen {
    fn hear(&mut self, canaries: &Canaries, task: &str, sung: &Sung) {
        let (right, answer) = (sung.canary.right, &sung.answer);
        let passed = match sung.verdict.outcome {
            Outcome::Pass => true,
            Outcome::Fail => false,
            Outcome::Error | Outcome::Timeout | Outcome::Suspect => {
                self.tested.undecided += 1;
                return;
            }
        };
        if right {
            self.tested.right += 1;
            self.tested.failed_right += u64::from(!passed);
            self.window.push_back((passed, self.passed_right));
            if self.window.len() > canaries.window as usize {
                self.window.pop_front();
            }
        } else {
            self.tested.wrong += 1;
            self.tested.passed_wrong += u64::from(passed);
        }
        match (right, passed) {
            (false, false) => self.failed_wrong = self.trajectories,
            (true, true) => self.passed_right = self.trajectories,
            (false, true) => {
                let reason = format!("it passed {answer:?} as the answer to {task}, which is known to be wrong");
                self.suspend(self.failed_wrong, reason);
            }
            (true, false) => {
                let failed = || self.window.iter().filter(|(passed, _)| !passed);
                let count = failed().count();
                if count as f64 > canaries.tolerance * f64::from(canaries.window) {
                    let since = failed().map(|(_, since)| *since).min().unwrap_or(0);
                    let of = self.window.len();
                    let reason =
                        format!("it failed {count} of {of} answers that are known to be right, the last to {task}");
                    self.suspend(since, reason);
                }
            }
        }
    }

    fn suspend(&mut self, since: usize, reason: String) {
        if self.suspended.is_none() {
            self.suspended = Some(since);
            self.tested.suspended = 1;
            self.tested.reason = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests;
