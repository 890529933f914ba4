//! All answers of a task, two at a time and in both orders. A judge that says another thing when the order changes has said that they
//! are as good as each other, and that its word is worth less. An answer that stands beside no other has no number, which is no error.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::recipe::verify::{Blank, JudgePair};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Verdict;

use super::Seat;
use super::inquiry::{Call, Inquiry, Reply, Turn};
use crate::search::referee::Referee;
use crate::verify::judge::Shown;
use crate::verify::judge::pairs::{Compared, Standing, choose, stand};

/// See the head of this file.
pub(super) struct PairUp {
    seat: Arc<Seat>,
    floor: f64,
    prompt: String,
    expected: String,
    answers: Vec<String>,
    /// Of answers that cannot be shown.
    unshown: Vec<Option<Verdict>>,
    /// Pairs of places.
    pairs: Vec<(usize, usize)>,
    /// Places in `pairs` of those that were asked about.
    asked: Option<Vec<usize>>,
    /// Of answers in pairs that cannot be shown: why.
    failed: BTreeMap<usize, Verdict>,
}

impl PairUp {
    pub(super) fn new(
        seat: Arc<Seat>,
        pair: &JudgePair,
        (prompt, expected): (&str, &str),
        (answers, seed): (Vec<String>, Seed),
    ) -> Self {
        // Beside nothing, every answer is shown as it would be beside another.
        let alone = |answer: &String| seat.prompt(&seat.form, &Shown::from([(Blank::First, answer.as_str())])).err();
        let unshown: Vec<Option<Verdict>> = answers.iter().map(alone).collect();
        let shown: Vec<usize> = (0..answers.len()).filter(|place| unshown[*place].is_none()).collect();
        let pairs = choose(shown.len(), pair.pairs as usize, seed);
        let pairs = pairs.into_iter().map(|(one, other)| (shown[one], shown[other])).collect();
        let (prompt, expected) = (prompt.to_owned(), expected.to_owned());
        Self {
            floor: pair.floor,
            seat,
            prompt,
            expected,
            answers,
            unshown,
            pairs,
            asked: None,
            failed: BTreeMap::new(),
        }
    }

    fn call(&self, first: usize, second: usize) -> Result<Call, Verdict> {
        let shown = Shown::from([
            (Blank::Prompt, self.prompt.as_str()),
            (Blank::Expected, &self.expected),
            (Blank::First, &self.answers[first]),
            (Blank::Second, &self.answers[second]),
        ]);
        self.seat.prompt(&self.seat.form, &shown).map(|prompt| self.seat.likely(prompt))
    }

    fn same(&self, (one, other): (usize, usize)) -> bool {
        self.answers[one].trim() == self.answers[other].trim()
    }

    fn ask(&mut self) -> Vec<Call> {
        let (mut calls, mut asked, mut failed) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (place, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| !self.same(**pair)) {
            match (self.call(pair.0, pair.1), self.call(pair.1, pair.0)) {
                (Ok(one), Ok(other)) => {
                    calls.extend([one, other]);
                    asked.push(place);
                }
                (Err(verdict), _) | (_, Err(verdict)) => failed.extend([(pair.0, verdict.clone()), (pair.1, verdict)]),
            }
        }
        (self.asked, self.failed) = (Some(asked), failed);
        calls
    }

    fn say(&self, asked: &[usize], replies: &[Reply]) -> Vec<Verdict> {
        let (mut failed, mut compared) = (self.failed.clone(), Vec::new());
        for (place, pair) in self.pairs.iter().enumerate() {
            if self.same(*pair) {
                compared.push(Compared { pair: *pair, shown_first: Some(0.5), shown_second: Some(0.5) });
            }
            let Some(at) = asked.iter().position(|asked| *asked == place) else { continue };
            let mut share = |reply: Option<&Reply>| match self.seat.weighed(reply, self.floor) {
                Ok(weighed) => Some(weighed.score),
                Err(verdict) => {
                    failed.extend([(pair.0, verdict.clone()), (pair.1, verdict)]);
                    None
                }
            };
            let shown_first = share(replies.get(2 * at));
            let shown_second = share(replies.get(2 * at + 1)).map(|first| 1.0 - first);
            compared.push(Compared { pair: *pair, shown_first, shown_second });
        }
        let standings = stand(self.answers.len(), &compared);
        let verdicts = standings.into_iter().enumerate().map(|(place, standing)| {
            let unshown = self.unshown[place].clone();
            let verdict = unshown.or_else(|| won(standing)).or_else(|| failed.remove(&place));
            verdict.unwrap_or_else(|| Verdict::pass(self.alone())).by(&self.seat.by)
        });
        verdicts.collect()
    }

    /// Why an answer stands beside no other: nothing is known of it, and no number is made up.
    fn alone(&self) -> &'static str {
        match self.unshown.iter().filter(|unshown| unshown.is_none()).count() {
            0 | 1 => "there is no other answer to compare it with",
            _ => "it is in none of the pairs that were drawn (`pairs`)",
        }
    }
}

/// What an answer's comparisons come to, if there are any.
fn won(standing: Standing) -> Option<Verdict> {
    let (share, agreement) = (standing.share()?, standing.agreement()?);
    let reason = format!(
        "{} points of {} comparisons; both orders agreed in {}",
        standing.points, standing.compared, standing.agreed
    );
    Some(Verdict { confidence: Some(agreement as f32), ..Verdict::pass(reason).scored(share as f32) })
}

impl Inquiry for PairUp {
    fn next(&mut self, _: &Referee<'_>, replies: Vec<Reply>) -> Turn {
        if let Some(asked) = self.asked.take() {
            return Turn::Done(self.say(&asked, &replies));
        }
        let calls = self.ask();
        if calls.is_empty() { Turn::Done(self.say(&[], &[])) } else { Turn::Ask(calls) }
    }
}
