//! All answers of a task, two at a time and in both orders. A judge that says another thing when the order changes has said that they
//! are as good as each other, and that its word is worth less.

use std::sync::Arc;

use galapagos_domain::recipe::verify::{Blank, JudgePair};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::Seat;
use super::inquiry::{Call, Inquiry, Reply, Turn};
use crate::search::referee::Referee;
use crate::verify::judge::Shown;
use crate::verify::judge::pairs::{Compared, choose, stand};

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
        Self { floor: pair.floor, seat, prompt, expected, answers, unshown, pairs, asked: None }
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
        let (mut calls, mut asked) = (Vec::new(), Vec::new());
        for (place, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| !self.same(**pair)) {
            if let (Ok(one), Ok(other)) = (self.call(pair.0, pair.1), self.call(pair.1, pair.0)) {
                calls.extend([one, other]);
                asked.push(place);
            }
        }
        self.asked = Some(asked);
        calls
    }

    fn say(&self, asked: &[usize], replies: &[Reply]) -> Vec<Verdict> {
        let (mut silence, mut compared) = (None, Vec::new());
        for (place, pair) in self.pairs.iter().enumerate() {
            if self.same(*pair) {
                compared.push(Compared { pair: *pair, shown_first: Some(0.5), shown_second: Some(0.5) });
            }
            let Some(at) = asked.iter().position(|asked| *asked == place) else { continue };
            let mut share = |reply: Option<&Reply>| match self.seat.weighed(reply, self.floor) {
                Ok(weighed) => Some(weighed.score),
                Err(verdict) => {
                    silence = Some(verdict.reason);
                    None
                }
            };
            let shown_first = share(replies.get(2 * at));
            let shown_second = share(replies.get(2 * at + 1)).map(|first| 1.0 - first);
            compared.push(Compared { pair: *pair, shown_first, shown_second });
        }
        let standings = stand(self.answers.len(), &compared);
        let verdict = |(unshown, standing): (&Option<Verdict>, crate::verify::judge::pairs::Standing)| {
            if let Some(verdict) = unshown {
                return verdict.clone();
            }
            let (Some(share), Some(agreement)) = (standing.share(), standing.agreement()) else {
                let none = "there is no other answer to compare it with".to_owned();
                return Verdict::new(Outcome::Error, silence.clone().unwrap_or(none));
            };
            let reason = format!(
                "{} points of {} comparisons; both orders agreed in {}",
                standing.points, standing.compared, standing.agreed
            );
            Verdict { confidence: Some(agreement as f32), ..Verdict::pass(reason).scored(share as f32) }
        };
        let verdicts = self.unshown.iter().zip(standings).map(verdict);
        verdicts.map(|verdict| verdict.by(&self.seat.by)).collect()
    }
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
