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
    let names = names(&examinees.all);
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
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Arc<Verifier>> {
        let verify: Vec<Verifier> = serde_json::from_str(text).unwrap();
        verify.into_iter().map(Arc::new).collect()
    }

    const SAMPLES: &str = r#"{"sample_k": {"n": 2}}"#;

    fn examinees(verify: &str, search: &str) -> Examinees {
        let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap();
        Examinees::of(&verify, &serde_json::from_str(search).unwrap())
    }

    /// A job of one task a letter: `p` and `f` are trajectories with a pass or a fail, `W` and `R` known answers that the verifier gets
    /// right, `w` and `r` those that it gets wrong, `?` a known answer on which it decides nothing, `|` the next task.
    fn job(text: &str) -> Vec<Said> {
        let mut job = vec![Said { task: "t/0".to_owned(), ..Said::default() }];
        for letter in text.chars() {
            let number = job.len();
            let said = job.last_mut().unwrap();
            let mut sing = |right, outcome| {
                let canary = Canary { verifier: 0, after: said.verdicts.len(), right, seed: Seed(0) };
                said.canaries.push(Sung { canary, answer: "7".to_owned(), verdict: Verdict::new(outcome, "") });
            };
            match letter {
                'W' => sing(false, Outcome::Fail),
                'w' => sing(false, Outcome::Pass),
                'R' => sing(true, Outcome::Pass),
                'r' => sing(true, Outcome::Fail),
                '?' => sing(false, Outcome::Timeout),
                'p' => said.verdicts.push(vec![Verdict::pass("").scored(0.5)]),
                'f' => said.verdicts.push(vec![Verdict::fail("")]),
                'e' => said.verdicts.push(vec![Verdict::new(Outcome::Error, "")]),
                _ => job.push(Said { task: format!("t/{number}"), ..Said::default() }),
            }
        }
        job
    }

    /// The verdicts after settling, `s` for what became suspect, and how the verifier did.
    fn settled(text: &str) -> (String, Tested) {
        let mut job = job(text);
        let canaries = Canaries { window: 5, ..Canaries::at(0.5) };
        let tested = settle(&canaries, &examinees(r#"["rule"]"#, SAMPLES), &mut job).remove(0);
        let letter = |verdict: &Verdict| match (verdict.outcome, verdict.score) {
            (Outcome::Pass, _) => 'p',
            (Outcome::Fail, _) => 'f',
            (Outcome::Error, _) => 'e',
            (Outcome::Suspect, None) => 's',
            other => panic!("{other:?}"),
        };
        (job.iter().flat_map(|said| &said.verdicts).flatten().map(letter).collect(), tested)
    }

    #[test]
    fn a_passed_wrong_answer_makes_suspect_what_was_said_since_the_last_one_that_was_failed() {
        let (verdicts, tested) = settled("pWf|ppRw|fp");
        assert_eq!(verdicts, "psssss");
        assert_eq!((tested.wrong, tested.passed_wrong, tested.right, tested.suspended, tested.marked), (2, 1, 1, 1, 5));
        let reason = "it passed \"7\" as the answer to t/1, which is known to be wrong";
        assert_eq!(tested.reason.as_deref(), Some(reason));
        // Nothing was seen of it before: all of the job.
        assert_eq!(settled("pf|pw").0, "sss");
        assert_eq!(settled("wpf").0, "ss");
        // A right answer that it passes says nothing of how it does on wrong ones.
        assert_eq!(settled("pRpw").0, "ss");
        // What was not decided stays what it is.
        assert_eq!(settled("epw").0, "es");
    }

    #[test]
    fn what_a_suspended_verifier_led_is_misled_with_its_tree() {
        let led = r#"{"best_of_n": {"propose": {"n": 2}, "by": [{"verifier": {"numeric": {}}}, {"verifier": "rule"}, {"verifier": "self_log_prob"}]}}"#;
        let of = examinees(r#"["rule", {"regex": {"pattern": "."}}]"#, led);
        let names: Vec<_> = names(&of.all);
        assert_eq!(
            (names.as_slice(), &of.leads),
            (&["rule", "regex", "numeric"].map(str::to_owned)[..], &vec![true, false, true])
        );
        // The third of them, which only the search asks: it says nothing of trajectories itself.
        let misled = |text: &str| {
            let mut job = job(text);
            for said in &mut job {
                said.canaries.iter_mut().for_each(|sung| sung.canary.verifier = 2);
            }
            let tested = settle(&Canaries::at(0.5), &of, &mut job);
            let letter = |misled: &Option<String>| if misled.is_some() { 's' } else { '-' };
            let of_task = |said: &Said| {
                let letters: String = said.misled.iter().map(letter).collect();
                format!("{letters}{}", if said.misled_tree.is_some() { "!" } else { "" })
            };
            assert!(job.iter().flat_map(|said| &said.verdicts).flatten().all(|verdict| verdict.outcome.is_decided()));
            (job.iter().map(of_task).collect::<Vec<_>>().join(" "), tested[1].misled)
        };
        assert_eq!(misled("ppWp|p|pw|"), ("--s! s! s! !".to_owned(), 3));
        assert_eq!(misled("ppW|p|pw"), ("-- s! s!".to_owned(), 2), "the tree of the first is believed");
        assert_eq!(misled("ppW|p|p"), ("-- - -".to_owned(), 0));
        let mut job = job("pw");
        job[0].canaries[0].canary.verifier = 2;
        settle(&Canaries::at(0.5), &of, &mut job);
        let reason = job[0].misled[0].as_deref().unwrap();
        assert!(
            reason.starts_with("the search went by a verifier that is not believed; `numeric` is suspended: it passed"),
            "{reason}"
        );
    }

    #[test]
    fn known_programs_are_what_the_task_gives_and_those_that_end_before_tests() {
        let canary = |right, seed| Canary { verifier: 0, after: 1, right, seed: Seed(seed) };
        assert_eq!(canary(true, 1).program("def f(): return 1\n").as_deref(), Some("def f(): return 1\n"));
        assert_eq!(canary(true, 1).program(" \n"), None, "the task gives none");
        let mut wrong: Vec<_> = (0..40).filter_map(|seed| canary(false, seed).program("")).collect();
        wrong.sort_unstable();
        wrong.dedup();
        assert_eq!(wrong.len(), known::WRONG_PROGRAMS.len());
    }

    #[test]
    fn right_answers_may_be_failed_within_the_tolerance() {
        // A fifth of 5: one of any five.
        assert_eq!(settled("pRprpRp|RpRpRprp").0, "pppppppp");
        // From the one passed before the first of those that were failed.
        let (verdicts, tested) = settled("pRpRp|rpRpp|rp");
        assert_eq!(verdicts, "ppsssss");
        assert_eq!((tested.failed_right, tested.marked), (2, 5));
        let reason = "it failed 2 of 5 answers that are known to be right, the last to t/2";
        assert_eq!(tested.reason.as_deref(), Some(reason));
    }

    #[test]
    fn what_a_canary_does_not_decide_is_neither_right_nor_wrong() {
        let (verdicts, tested) = settled("p?p?f?");
        assert_eq!((verdicts.as_str(), tested.undecided, tested.suspended), ("ppf", 3, 0));
        assert_eq!(settled("pWp?pw").0, "pss");
    }

    #[test]
    fn the_same_seed_gives_the_same_canaries_at_about_the_rate_and_floors_are_for_the_first_tasks() {
        let verify = rules(r#"["rule", "self_log_prob", {"numeric": {}}]"#);
        let canaries = Canaries { right: 0.25, ..Canaries::at(0.1) };
        let of = |place, seed| plan(&canaries, &verify, (place, Seed(seed)), 2000);
        assert_eq!(of(1, 9), of(1, 9));
        assert_ne!(of(1, 9), of(1, 8));
        let first = of(0, 9);
        assert_eq!(first[4..], of(1, 9), "the job's place changes only what the first tasks begin with");
        let begin: Vec<_> = first[..4].iter().map(|c| (c.verifier, c.after, c.right)).collect();
        assert_eq!(begin, [(0, 0, false), (0, 0, true), (2, 0, false), (2, 0, true)]);
        let rest = of(1, 9);
        // 4000 questions: 400 canaries, a quarter of them right; deviations 19 and 8.7.
        let right = rest.iter().filter(|canary| canary.right).count();
        assert!((340..460).contains(&rest.len()) && (65..135).contains(&right), "{} {right}", rest.len());
        assert!(rest.is_sorted_by_key(|canary| (canary.after, canary.verifier)));
        let wrong_only = Canaries { right: 0.0, ..canaries };
        assert!(plan(&wrong_only, &verify, (0, Seed(9)), 100).iter().all(|canary| !canary.right));
    }

    #[test]
    fn an_answer_is_right_or_wrong_by_the_rule_and_missing_where_the_rule_knows_none() {
        let canary = |right, seed| Canary { verifier: 0, after: 1, right, seed: Seed(seed) };
        let exact = |answer: &str| if answer == "1234" { Outcome::Pass } else { Outcome::Fail };
        assert_eq!(canary(true, 1).answer("1234", &exact).as_deref(), Some("1234"));
        let wrong: Vec<_> = (0..20).filter_map(|seed| canary(false, seed).answer("1234", &exact)).collect();
        assert!(wrong.len() == 20 && wrong.iter().all(|wrong| wrong != "1234"), "{wrong:?}");
        assert!(wrong.iter().any(|other| *other != wrong[0]), "not always the same: {wrong:?}");
        assert_eq!(canary(false, 1).answer("1234", &|_| Outcome::Pass), None, "everything is right");
        assert_eq!(canary(true, 1).answer("1234", &|_| Outcome::Error), None, "nothing is known");
    }

    #[test]
    fn verifiers_of_the_same_word_are_told_apart() {
        assert_eq!(names(&rules(r#"["rule", {"numeric": {}}]"#)), ["rule", "numeric"]);
        assert_eq!(
            names(&rules(r#"[{"numeric": {}}, "rule", {"numeric": {}}]"#)),
            ["numeric[0]", "rule", "numeric[2]"]
        );
    }
}
