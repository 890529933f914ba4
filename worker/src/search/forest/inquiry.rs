//! Questions that are answered by questions: where a verdict goes, which parts are still missing, and which question is asked again
//! because nothing was decided by chance. Pure: nothing here asks anybody.

use std::collections::BTreeMap;

use galapagos_domain::trajectory::{Outcome, Verdict};

use crate::search::composite;
use crate::search::strategy::Question;

/// Where an answer goes, within its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A want of the search.
    Want(usize),
    /// A part of a question.
    Part { inquiry: u64, part: usize },
}

/// A question whose parts are being asked.
#[derive(Debug)]
struct Inquiry {
    question: Question,
    to: Place,
    said: Vec<Option<Verdict>>,
    /// Tokens that were sampled before the parts were asked.
    cost: u64,
}

/// A question that may be asked again.
#[derive(Debug)]
struct Try {
    question: Question,
    done: u32,
    /// Tokens that the tries before sampled.
    cost: u64,
}

/// What becomes of a verdict.
#[derive(Debug)]
pub(super) enum Next {
    /// It is the answer to a want of the search.
    Answer(usize, Verdict),
    /// It said nothing by chance: ask this once more.
    Again(Place, Question),
    /// Other parts are missing.
    Wait,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    open: BTreeMap<u64, Inquiry>,
    tries: BTreeMap<(usize, Place), Try>,
    next: u64,
    /// Times that a question is asked again.
    retry: u32,
}

impl Inquiries {
    /// Each question is asked again at most so often.
    pub(super) fn new(retry: u32) -> Self {
        Self { retry, ..Self::default() }
    }

    /// A question of `task` that answers for itself is about to be asked for the first time.
    pub(super) fn begin(&mut self, task: usize, to: Place, question: &Question) {
        if self.retry > 0 && question.verifier.errs_by_chance() {
            self.tries.insert((task, to), Try { question: question.clone(), done: 0, cost: 0 });
        }
    }

    /// A question whose verdict is made of `parts` others, after `cost` tokens were sampled for it; where each of them is to be sent.
    pub(super) fn open(&mut self, to: Place, question: Question, parts: usize, cost: u64) -> Vec<Place> {
        let inquiry = self.next;
        self.next += 1;
        self.open.insert(inquiry, Inquiry { question, to, said: vec![None; parts], cost });
        (0..parts).map(|part| Place::Part { inquiry, part }).collect()
    }

    /// Takes a verdict that was sent to a place of `task`.
    pub(super) fn take(&mut self, task: usize, to: Place, verdict: Verdict) -> Next {
        let (mut to, mut verdict) = (to, verdict);
        if let Some(tried) = self.tries.get_mut(&(task, to)) {
            tried.cost += verdict.cost;
            if matches!(verdict.outcome, Outcome::Error | Outcome::Timeout) && tried.done < self.retry {
                tried.done += 1;
                let seed = tried.question.seed.derive(&format!("again/{}", tried.done));
                return Next::Again(to, Question { seed, ..tried.question.clone() });
            }
            verdict.cost = tried.cost;
            self.tries.remove(&(task, to));
        }
        while let Place::Part { inquiry, part } = to {
            let Some(open) = self.open.get_mut(&inquiry) else { return Next::Wait };
            open.said[part] = Some(verdict);
            if open.said.iter().any(Option::is_none) {
                return Next::Wait;
            }
            let Some(Inquiry { question, to: above, said, cost }) = self.open.remove(&inquiry) else {
                return Next::Wait;
            };
            let said: Vec<Verdict> = said.into_iter().flatten().collect();
            verdict = composite::fold(&question.verifier, &said);
            verdict.cost += cost;
            to = above;
        }
        match to {
            Place::Want(want) => Next::Answer(want, verdict),
            Place::Part { .. } => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use galapagos_domain::seed::Seed;

    use super::*;
    use crate::search::tree::{NodeId, Tree};

    fn question(text: &str) -> Question {
        let verifier = Arc::new(serde_json::from_str(text).unwrap());
        Question { verifier, path: Tree::default().path(NodeId::ROOT), answered: true, seed: Seed(3) }
    }

    const CHANCY: &str = r#"{"mc_rollout": {"samples": 2}}"#;

    fn error(cost: u64) -> Verdict {
        Verdict { cost, ..Verdict::new(Outcome::Error, "lost") }
    }

    #[test]
    fn verdicts_of_parts_go_up_when_the_last_one_is_there_in_any_order() {
        let inner = r#"{"combine": {"how": "any", "of": [{"verify": "rule"}, {"verify": "rule"}]}}"#;
        let outer = format!(r#"{{"combine": {{"how": "all", "of": [{{"verify": "rule"}}, {{"verify": {inner}}}]}}}}"#);
        let mut inquiries = Inquiries::new(2);
        let whole = inquiries.open(Place::Want(7), question(&outer), 2, 5);
        let parts = inquiries.open(whole[1], question(inner), 2, 1);
        assert!(matches!(inquiries.take(0, parts[1], Verdict::fail("")), Next::Wait));
        assert!(matches!(inquiries.take(0, parts[0], Verdict::pass("")), Next::Wait));
        let Next::Answer(7, verdict) = inquiries.take(0, whole[0], Verdict::pass("")) else { panic!() };
        assert_eq!((verdict.outcome, verdict.reason.as_str()), (Outcome::Pass, "all 2 pass"));
        assert_eq!(verdict.cost, 6, "what was sampled for each of them");
        assert!(inquiries.open.is_empty());
    }

    #[test]
    fn what_errs_by_chance_is_asked_again_with_other_seeds_and_then_stays_an_error() {
        let mut inquiries = Inquiries::new(2);
        let (at, asked) = (Place::Want(0), question(CHANCY));
        inquiries.begin(4, at, &asked);
        let mut seeds = vec![asked.seed];
        for _ in 0..2 {
            let Next::Again(to, again) = inquiries.take(4, at, error(5)) else { panic!() };
            assert_eq!((to, &again.path), (at, &asked.path));
            seeds.push(again.seed);
        }
        seeds.dedup();
        assert_eq!(seeds.len(), 3);
        let Next::Answer(0, verdict) = inquiries.take(4, at, error(5)) else { panic!() };
        assert_eq!((verdict.outcome, verdict.cost), (Outcome::Error, 15), "the budget is spent");
        inquiries.begin(4, at, &asked);
        assert!(matches!(inquiries.take(4, at, error(5)), Next::Again(..)));
        let Next::Answer(0, verdict) = inquiries.take(4, at, Verdict::pass("")) else { panic!() };
        assert_eq!((verdict.outcome, verdict.cost), (Outcome::Pass, 5));
    }

    #[test]
    fn what_errs_for_a_reason_or_suspects_is_not_asked_again() {
        let mut inquiries = Inquiries::new(2);
        inquiries.begin(0, Place::Want(0), &question("\"rule\""));
        assert!(matches!(inquiries.take(0, Place::Want(0), error(0)), Next::Answer(0, _)));
        inquiries.begin(0, Place::Want(0), &question(CHANCY));
        let suspect = Verdict::new(Outcome::Suspect, "");
        assert!(matches!(inquiries.take(0, Place::Want(0), suspect), Next::Answer(0, _)));
        let mut never = Inquiries::new(0);
        never.begin(0, Place::Want(0), &question(CHANCY));
        assert!(matches!(never.take(0, Place::Want(0), error(0)), Next::Answer(0, _)));
    }
}
