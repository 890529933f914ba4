//! A judge's opinion of one answer: by the probabilities of two words, in writing, or by one principle after the other.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::verify::{
    Blank, Generate, Judge, Mode, Principle, Principles, PrinciplesFrom, Rationale,
};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::Seat;
use super::inquiry::{Call, Inquiry, Reply, Turn, unasked};
use crate::engine::stream::{Continue, Wanted};
use crate::search::referee::Referee;
use crate::verify::judge::{Shown, Weighed, listed, several, weigh, written};

/// Longest text of a judge in a verdict's reason, in characters.
const REASON: usize = 400;

/// Principles that a reason names, and characters of each.
const NAMED: (usize, usize) = (12, 40);

/// What a judge is shown: nothing of who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::search) struct Case {
    pub(in crate::search) prompt: String,
    pub(in crate::search) expected: String,
    pub(in crate::search) answer: String,
    /// The last step of the answer.
    pub(in crate::search) step: String,
}

impl Case {
    fn shown(&self) -> Shown<'_> {
        Shown::from([
            (Blank::Prompt, self.prompt.as_str()),
            (Blank::Expected, &self.expected),
            (Blank::Answer, &self.answer),
            (Blank::Step, &self.step),
        ])
    }
}

pub(super) fn clip(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn graded(pass: bool, reason: String) -> Verdict {
    if pass { Verdict::pass(reason) } else { Verdict::fail(reason) }
}

impl Seat {
    pub(super) fn likely(&self, prompt: Vec<u32>) -> Call {
        let what = Wanted::Likely { behind: prompt, next: self.words.clone() };
        Call::Ask { checkpoint: Arc::clone(&self.checkpoint), what }
    }

    fn write(&self, prompt: Vec<u32>, samples: u32, (temperature, max_tokens): (f64, u32), seed: Seed) -> Call {
        let sampling = Arc::new(Sampling::at(temperature));
        let what = Continue { prompt, samples, seed, sampling, stop: Arc::clone(&self.stop), max_tokens };
        Call::Ask { checkpoint: Arc::clone(&self.checkpoint), what: Wanted::Completions(what) }
    }

    /// What the two words' probabilities say.
    pub(super) fn weighed(&self, reply: Option<&Reply>, floor: f64) -> Result<Weighed, Verdict> {
        match reply {
            Some(Reply::Numbers(numbers)) => {
                weigh(numbers, floor).map_err(|error| Verdict::new(Outcome::Error, error.to_string()).by(&self.by))
            }
            Some(other) => Err(unasked(other).by(&self.by)),
            None => Err(Verdict::new(Outcome::Error, "the judge gave no reply").by(&self.by)),
        }
    }

    /// The texts that it wrote, and how many tokens they are.
    fn texts(&self, reply: Option<&Reply>) -> Result<(Vec<String>, u64), Verdict> {
        let failed = |verdict: Verdict| verdict.by(&self.by);
        match reply {
            Some(Reply::Made(made)) => {
                let texts: Result<Vec<_>, _> = made.iter().map(|made| self.codec.decode(&made.tokens)).collect();
                let cost = made.iter().map(|made| made.tokens.len() as u64).sum();
                let unread = |_| failed(Verdict::new(Outcome::Error, "what the judge wrote cannot be read"));
                Ok((texts.map_err(unread)?, cost))
            }
            Some(other) => Err(failed(unasked(other))),
            None => Err(failed(Verdict::new(Outcome::Error, "the judge wrote nothing"))),
        }
    }
}

/// One judge on one answer.
pub(super) struct Opinion {
    seat: Arc<Seat>,
    judge: Judge,
    case: Option<Case>,
    seed: Seed,
}

impl Opinion {
    pub(super) fn new(seat: Arc<Seat>, judge: Judge, case: Case, seed: Seed) -> Self {
        Self { seat, judge, case: Some(case), seed }
    }

    fn ask(&self, case: &Case) -> Turn {
        let prompt = match self.seat.prompt(&self.seat.form, &case.shown()) {
            Ok(prompt) => prompt,
            Err(verdict) => return Turn::done(verdict),
        };
        Turn::Ask(vec![match &self.judge.mode {
            Mode::Logits(_) => self.seat.likely(prompt),
            Mode::Rationale(Rationale { samples, temperature, max_tokens, .. }) => {
                self.seat.write(prompt, *samples, (*temperature, *max_tokens), self.seed)
            }
        }])
    }

    fn say(&self, reply: Option<&Reply>) -> Result<Verdict, Verdict> {
        let pass_at = self.judge.pass_at;
        let rationale = match &self.judge.mode {
            Mode::Logits(logits) => {
                let Weighed { score, mass } = self.seat.weighed(reply, logits.floor)?;
                let reason = format!("{:?} {score:.3}, both words {mass:.3}", logits.yes.trim());
                let verdict = graded(score >= pass_at, reason).scored(score as f32);
                return Ok(Verdict { confidence: Some(mass as f32), ..verdict });
            }
            Mode::Rationale(rationale) => rationale,
        };
        let (texts, cost) = self.seat.texts(reply)?;
        let read: Vec<Option<f64>> = texts.iter().map(|text| written(text, rationale.scale)).collect();
        let Some(all) = several(&read, rationale.scale.is_some(), pass_at) else {
            let form = if rationale.scale.is_some() { "score: N" } else { "verdict: pass" };
            let text = texts.first().map(|text| clip(text, REASON)).unwrap_or_default();
            let reason = format!("none of {} texts of the judge ends in `{form}`: {text}", texts.len());
            return Err(Verdict { cost, ..Verdict::new(Outcome::Error, reason) });
        };
        let pass = all.score >= pass_at;
        // The text that is nearest to what came out speaks for it.
        let near = |one: &f64| (one - all.score).abs();
        let speaks = read.iter().zip(&texts).filter_map(|(read, text)| Some((near(&(*read)?), text)));
        let speaks = speaks.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, text)| clip(text, REASON));
        let reason = format!("{:.3} of {} texts: {}", all.score, all.read, speaks.unwrap_or_default());
        let verdict = graded(pass, reason).scored(all.score as f32);
        Ok(Verdict { confidence: Some(all.agreement as f32), cost, ..verdict })
    }
}

impl Inquiry for Opinion {
    fn next(&mut self, _: &Referee<'_>, replies: Vec<Reply>) -> Turn {
        match self.case.take() {
            Some(case) => self.ask(&case),
            None => {
                let said = self.say(replies.first()).unwrap_or_else(|verdict| verdict);
                Turn::done(said.by(&self.seat.by))
            }
        }
    }
}

/// One judge on one answer, by principles.
pub(super) struct ByPrinciple {
    seat: Arc<Seat>,
    principles: Principles,
    case: Case,
    seed: Seed,
    stage: Stage,
    cost: u64,
}

/// What was asked last.
enum Stage {
    Nothing,
    Principles(Generate),
    Scores(Vec<Principle>),
}

impl ByPrinciple {
    pub(super) fn new(seat: Arc<Seat>, principles: Principles, case: Case, seed: Seed) -> Self {
        Self { seat, principles, case, seed, stage: Stage::Nothing, cost: 0 }
    }

    fn begin(&mut self) -> Result<Turn, Verdict> {
        match (self.principles.from.clone(), &self.seat.generate) {
            (PrinciplesFrom::Generate(generate), Some(form)) => {
                let shown = Shown::from([(Blank::Prompt, self.case.prompt.as_str())]);
                let prompt = self.seat.prompt(form, &shown)?;
                let how = (generate.temperature, generate.max_tokens);
                let call = self.seat.write(prompt, generate.samples, how, self.seed.derive("principles"));
                self.stage = Stage::Principles(generate);
                Ok(Turn::Ask(vec![call]))
            }
            (PrinciplesFrom::List(list), _) => self.ask(list),
            (PrinciplesFrom::Generate(_), None) => Err(Verdict::new(Outcome::Error, "nothing asks for principles")),
        }
    }

    /// Every list has one vote, shared out among its principles.
    fn read(&mut self, generate: &Generate, reply: Option<&Reply>) -> Result<Turn, Verdict> {
        let (texts, cost) = self.seat.texts(reply)?;
        self.cost = cost;
        let mut principles = Vec::new();
        for text in &texts {
            let list = listed(text, generate.most as usize);
            let weight = 1.0 / list.len().max(1) as f64;
            principles.extend(list.into_iter().map(|text| Principle { text, weight, negate: false }));
        }
        if principles.is_empty() {
            let text = texts.first().map(|text| clip(text, REASON)).unwrap_or_default();
            let reason = format!("none of {} texts of the judge lists principles: {text}", texts.len());
            return Err(Verdict::new(Outcome::Error, reason));
        }
        self.ask(principles)
    }

    fn ask(&mut self, principles: Vec<Principle>) -> Result<Turn, Verdict> {
        let call = |principle: &Principle| {
            let mut shown = self.case.shown();
            shown.insert(Blank::Principle, &principle.text);
            self.seat.prompt(&self.seat.form, &shown).map(|prompt| self.seat.likely(prompt))
        };
        let calls = principles.iter().map(call).collect::<Result<Vec<_>, _>>()?;
        self.stage = Stage::Scores(principles);
        Ok(Turn::Ask(calls))
    }

    fn say(&self, principles: &[Principle], replies: &[Reply]) -> Result<Verdict, Verdict> {
        let (mut sum, mut answered, mut all, mut mass) = (0.0, 0.0, 0.0, 0.0);
        let (mut said, mut silence) = (Vec::new(), None);
        for (place, principle) in principles.iter().enumerate() {
            all += principle.weight;
            match self.seat.weighed(replies.get(place), self.principles.floor) {
                Ok(weighed) => {
                    let score = if principle.negate { 1.0 - weighed.score } else { weighed.score };
                    sum += principle.weight * score;
                    mass += principle.weight * weighed.mass;
                    answered += principle.weight;
                    said.push(format!("{score:.2} {}", clip(&principle.text, NAMED.1)));
                }
                Err(verdict) => silence = Some(verdict),
            }
        }
        let unanswered = principles.len() - said.len();
        if let Some(verdict) = silence.filter(|_| answered * 2.0 < all) {
            let reason = format!("{unanswered} of {} principles are unanswered: {}", principles.len(), verdict.reason);
            return Err(Verdict { reason, ..verdict });
        }
        let score = sum / answered;
        let named = said.iter().take(NAMED.0).cloned().collect::<Vec<_>>().join("; ");
        let more = said.len().saturating_sub(NAMED.0);
        let mut reason = format!("{score:.3}: {named}");
        for (count, what) in [(more, "more"), (unanswered, "unanswered")] {
            if count > 0 {
                reason.push_str(&format!("; {count} {what}"));
            }
        }
        let verdict = graded(score >= self.principles.pass_at, reason).scored(score as f32);
        Ok(Verdict { confidence: Some((mass / answered) as f32), ..verdict })
    }
}

impl Inquiry for ByPrinciple {
    fn next(&mut self, _: &Referee<'_>, replies: Vec<Reply>) -> Turn {
        let turn = match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => self.begin(),
            Stage::Principles(generate) => self.read(&generate, replies.first()),
            Stage::Scores(principles) => self.say(&principles, &replies).map(Turn::done),
        };
        match turn.unwrap_or_else(Turn::done) {
            Turn::Done(verdicts) => {
                let cost = self.cost;
                Turn::Done(verdicts.into_iter().map(|verdict| Verdict { cost, ..verdict }.by(&self.seat.by)).collect())
            }
            ask @ Turn::Ask(_) => ask,
        }
    }
}
