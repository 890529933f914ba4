//! Which step is the first that is wrong, by a verifier that judges what was written up to a step: every step is asked about, or one after
//! the other up to the first that is wrong, or the middle of what is left, again and again.

use std::sync::Arc;

use galapagos_domain::recipe::verify::{FirstError, Sweep, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::inquiry::{Call, Inquiry, OfCritic, OfShare, Reply, Turn};
use crate::search::referee::{Need, Referee};
use crate::search::strategy::Question;
use crate::search::tree::{Path, Tree};

const BY: &str = "first_error";

/// See the head of this file.
pub(in crate::search) struct Locate {
    first: FirstError,
    place: usize,
    /// The answer up to each step, the whole one last.
    prefixes: Vec<Question>,
    /// What is known of each.
    said: Vec<Option<Verdict>>,
    /// Steps that are being asked about, with the number of replies that each waits for.
    open: Vec<(usize, Box<dyn Inquiry>, usize)>,
    /// Of a bisection: the answer is right up to `right` steps and wrong at `wrong`.
    right: usize,
    wrong: usize,
}

impl Locate {
    pub(in crate::search) fn new(first: &FirstError, place: usize, prefixes: Vec<Question>) -> Self {
        let (said, wrong) = (vec![None; prefixes.len()], prefixes.len());
        Self { first: first.clone(), place, prefixes, said, open: Vec::new(), right: 0, wrong }
    }

    /// Begins to ask about these steps, counted from 0.
    fn open(&mut self, referee: &Referee<'_>, steps: impl IntoIterator<Item = usize>) {
        for step in steps {
            match begin(referee, self.place, &self.prefixes[step]) {
                Ok(inquiry) => self.open.push((step, inquiry, 0)),
                Err(verdict) => self.said[step] = Some(verdict),
            }
        }
    }

    /// Takes the replies to those that are open; what they ask next.
    fn hear(&mut self, referee: &Referee<'_>, replies: Vec<Reply>) -> Vec<Call> {
        let (mut replies, mut calls) = (replies.into_iter(), Vec::new());
        for (step, mut inquiry, waits) in std::mem::take(&mut self.open) {
            match inquiry.next(referee, replies.by_ref().take(waits).collect()) {
                Turn::Ask(asked) => {
                    let waits = asked.len();
                    calls.extend(asked);
                    self.open.push((step, inquiry, waits));
                }
                Turn::Done(verdicts) => self.said[step] = verdicts.into_iter().next(),
            }
        }
        calls
    }

    /// Whether the answer is right up to a step; the verdict if that is not known.
    fn is_right(&self, step: usize) -> Result<bool, Verdict> {
        let none = || Verdict::new(Outcome::Error, "nothing was said");
        let verdict = self.said[step].clone().unwrap_or_else(none);
        if !verdict.outcome.is_decided() {
            let reason = format!("step {} of {}: {}", step + 1, self.said.len(), verdict.reason);
            return Err(Verdict { reason, score: None, confidence: None, ..verdict });
        }
        let plain = if verdict.outcome == Outcome::Pass { 1.0 } else { 0.0 };
        Ok(verdict.score.map_or(plain, f64::from) >= self.first.below)
    }

    /// The next step to ask about, or the verdict.
    fn bisect(&mut self) -> Result<usize, Verdict> {
        let last = self.prefixes.len() - 1;
        if self.said[last].is_none() {
            return Ok(last);
        }
        if self.is_right(last)? {
            return Err(self.found(None));
        }
        loop {
            if self.wrong - self.right <= 1 {
                return Err(self.found(Some(self.right)));
            }
            let middle = usize::midpoint(self.right, self.wrong);
            if self.said[middle - 1].is_none() {
                return Ok(middle - 1);
            }
            if self.is_right(middle - 1)? { self.right = middle } else { self.wrong = middle }
        }
    }

    /// The next step to ask about, or the verdict.
    fn walk(&self) -> Result<usize, Verdict> {
        for step in 0..self.prefixes.len() {
            if self.said[step].is_none() {
                return Ok(step);
            }
            if !self.is_right(step)? {
                return Err(self.found(Some(step)));
            }
        }
        Err(self.found(None))
    }

    fn scan(&self) -> Verdict {
        for step in 0..self.prefixes.len() {
            match self.is_right(step) {
                Ok(true) => {}
                Ok(false) => return self.found(Some(step)),
                Err(verdict) => return verdict,
            }
        }
        self.found(None)
    }

    fn found(&self, wrong: Option<usize>) -> Verdict {
        let steps = self.prefixes.len();
        match wrong {
            None => Verdict::pass(format!("none of {steps} steps is wrong")).scored(1.0),
            Some(step) => {
                let said = self.said[step].as_ref();
                let score = said.and_then(|verdict| verdict.score).map(|score| format!(": {score:.3}"));
                let why = said.map(|verdict| verdict.reason.as_str()).unwrap_or_default();
                let reason = format!(
                    "step {} of {steps} is the first that is wrong{} ({why})",
                    step + 1,
                    score.unwrap_or_default()
                );
                Verdict::fail(reason).scored(step as f32 / steps as f32)
            }
        }
    }

    fn done(&self, verdict: Verdict) -> Turn {
        let cost = self.said.iter().flatten().map(|verdict| verdict.cost).sum();
        Turn::done(Verdict { cost, ..verdict.by(format!("{BY}/1.{}", self.first.by.name())) })
    }
}

impl Inquiry for Locate {
    fn next(&mut self, referee: &Referee<'_>, replies: Vec<Reply>) -> Turn {
        if self.prefixes.is_empty() {
            return self.done(Verdict::new(Outcome::Error, "the answer has no step"));
        }
        let calls = self.hear(referee, replies);
        if !calls.is_empty() {
            return Turn::Ask(calls);
        }
        match self.first.how {
            Sweep::Scan => {
                let unasked = (0..self.said.len()).filter(|step| self.said[*step].is_none()).collect::<Vec<_>>();
                self.open(referee, unasked);
                let calls = self.hear(referee, Vec::new());
                if calls.is_empty() { self.done(self.scan()) } else { Turn::Ask(calls) }
            }
            Sweep::Bisect | Sweep::Walk => loop {
                let next = if self.first.how == Sweep::Walk { self.walk() } else { self.bisect() };
                match next {
                    Err(verdict) => return self.done(verdict),
                    Ok(step) => {
                        self.open(referee, [step]);
                        let calls = self.hear(referee, Vec::new());
                        if !calls.is_empty() {
                            return Turn::Ask(calls);
                        }
                        // Decided at once, or never to be.
                        let none = || Verdict::new(Outcome::Error, "nothing was said");
                        self.said[step].get_or_insert_with(none);
                    }
                }
            },
        }
    }
}

/// How a prefix is asked about; the verdict if nothing need be asked.
fn begin(referee: &Referee<'_>, place: usize, question: &Question) -> Result<Box<dyn Inquiry>, Verdict> {
    // A whole answer has no continuations, and needs none.
    if question.answered && matches!(*question.verifier, Verifier::McRollout(_)) {
        return Err(referee.share_of_whole(place, question));
    }
    match referee.needs(place, question, None) {
        Need::Decided(verdict) => Err(verdict),
        Need::Number { critic, tokens, model, pass_at } => {
            Ok(Box::new(OfCritic { critic, tokens, model, word: question.verifier.name(), pass_at }))
        }
        Need::Answers(draw, _) => Ok(Box::new(OfShare { place, question: question.clone(), draw: Some(draw) })),
        Need::Inquire(inquiry) => Ok(inquiry),
        Need::Check(_) | Need::Group | Need::Later | Need::Spread { .. } | Need::Parts(_) => {
            let reason = format!("`{}` gives no score to what was written up to a step", question.verifier.name());
            Err(Verdict::new(Outcome::Error, reason))
        }
    }
}

/// The question up to each step. An answer in one piece has its lines as steps, where only its text is read.
pub(in crate::search) fn prefixes(question: &Question, by: &Verifier, tree: &Tree) -> Vec<Question> {
    let known = question.path.nodes.iter().filter(|node| (node.0 as usize) < tree.len());
    let sampled: Vec<_> = known.copied().filter(|node| tree[*node].piece.part.is_sampled()).collect();
    let mut paths: Vec<Path> = sampled.iter().map(|node| tree.path(*node)).collect();
    if let ([whole], true) = (&paths[..], by.is_judge())
        && whole.turns.is_empty()
    {
        let lines: Vec<&str> = whole.answer.split_inclusive('\n').filter(|line| !line.trim().is_empty()).collect();
        let upto = |count: usize| Path {
            answer: lines[..count].concat(),
            steps: lines[..count].iter().map(ToString::to_string).collect(),
            ..whole.clone()
        };
        paths = (1..=lines.len()).map(upto).collect();
    }
    let (last, by) = (paths.len(), Arc::new(by.clone()));
    let prefix = |(number, path): (usize, Path)| Question {
        verifier: Arc::clone(&by),
        path,
        answered: question.answered && number + 1 == last,
        seed: question.seed.derive(&format!("step/{number}")),
    };
    paths.into_iter().enumerate().map(prefix).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use galapagos_domain::seed::Seed;
    use galapagos_domain::task::{Family, TaskRule};
    use proptest::prelude::*;

    use super::super::Court;
    use super::*;
    use crate::jobs::tasks::Tasks;
    use crate::verify::Panel;

    /// Steps in order, each judged by rules on what stands there so far.
    fn located(how: &str, by: &str, steps: &[&str]) -> Verdict {
        let first: FirstError = serde_json::from_str(&format!(r#"{{"by": {by}, "how": "{how}"}}"#)).unwrap();
        let verifier = Arc::new((*first.by).clone());
        let prefix = |count: usize| Question {
            verifier: Arc::clone(&verifier),
            path: Path {
                nodes: Vec::new(),
                tokens: Vec::new(),
                log_probs: Vec::new(),
                sampled: Vec::new(),
                text: String::new(),
                steps: steps[..count].iter().map(ToString::to_string).collect(),
                answer: steps[..count].concat(),
                turns: Vec::new(),
            },
            answered: count == steps.len(),
            seed: Seed(1),
        };
        let tasks = Tasks {
            set: "digits".parse().unwrap(),
            rule: TaskRule::Family(Family::SortThreeDigits),
            prefix: Vec::new(),
            items: Vec::new(),
            terminator: Some('\n'),
            stop: Vec::new(),
            max_tokens: 4,
            known: Vec::new(),
            known_seed: Seed(1),
            stage: None,
        };
        let (critics, court) = (BTreeMap::new(), Court::default());
        let referee = Referee { tasks: &tasks, critics: &critics, rule: Panel::rule(), court: &court };
        let mut locate = Locate::new(&first, 0, (1..=steps.len()).map(prefix).collect());
        match locate.next(&referee, Vec::new()) {
            Turn::Done(verdicts) => verdicts.into_iter().next().unwrap(),
            Turn::Ask(calls) => panic!("{calls:?}"),
        }
    }

    #[test]
    fn the_first_wrong_step_is_named_and_what_is_not_known_is_an_error() {
        let by = r#"{"rules": [{"id": "no-x", "must": {"not": {"contain": "x"}}}]}"#;
        for how in ["scan", "bisect", "walk"] {
            let wrong = located(how, by, &["a", "b", "x", "c"]);
            assert_eq!((wrong.outcome, wrong.score), (Outcome::Fail, Some(0.5)), "{how}");
            assert_eq!(wrong.reason, "step 3 of 4 is the first that is wrong: 0.000 (breaks no-x)");
            assert_eq!(wrong.verifier, "first_error/1.rules");
            let right = located(how, by, &["a", "b"]);
            assert_eq!(
                (right.outcome, right.score, right.reason.as_str()),
                (Outcome::Pass, Some(1.0), "none of 2 steps is wrong")
            );
            let none = located(how, by, &[]);
            assert_eq!((none.outcome, none.reason.as_str()), (Outcome::Error, "the answer has no step"));
            let broken = located(how, r#"{"rules": [{"id": "R", "must": {"match": "("}}]}"#, &["a", "b", "c"]);
            assert_eq!((broken.outcome, broken.score), (Outcome::Error, None));
            let step = if how == "bisect" { "step 3 of 3: " } else { "step 1 of 3: " };
            assert!(broken.reason.starts_with(step), "{}", broken.reason);
        }
        // A step that mends what was wrong before it: the scan sees the error, the bisection does not.
        let mended = r#"{"rules": [{"id": "even", "must": {"not": {"match": "^(..)*.$"}}}]}"#;
        assert_eq!(located("scan", mended, &["a", "b"]).outcome, Outcome::Fail);
        assert_eq!(located("walk", mended, &["a", "b"]).outcome, Outcome::Fail);
        assert_eq!(located("bisect", mended, &["a", "b"]).outcome, Outcome::Pass);
    }

    proptest! {
        #[test]
        fn both_ways_find_the_same_step_where_wrong_stays_wrong(steps in 1usize..40, most in 0usize..40) {
            let by = format!(r#"{{"rules": [{{"id": "R", "must": {{"max_steps": {most}}}}}]}}"#);
            let texts = vec!["s"; steps];
            let (scan, bisect) = (located("scan", &by, &texts), located("bisect", &by, &texts));
            prop_assert_eq!(&scan, &bisect);
            prop_assert_eq!(&scan, &located("walk", &by, &texts));
            let score = if most < steps { most as f32 / steps as f32 } else { 1.0 };
            prop_assert_eq!(scan.score, Some(score));
        }
    }
}
