//! The court: the language models that judge in a job, each opened, its two words found in its vocabulary, and tried on answers whose
//! truth is known before its verdicts count. What is asked of them and what they say is `inquiry`'s; here stands who they are.

mod calibrate;
pub(super) mod inquiry;
pub(super) mod locate;
mod opinion;
mod pairing;

use std::sync::Arc;

use galapagos_domain::calibration::Calibration;
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::verify::{Judge, JudgePair, Mode, Principles, PrinciplesFrom, TemplateError, Verifier};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_model::ChatMessage;
use galapagos_telemetry::ErrorChain;

use self::inquiry::Inquiry;
pub(super) use self::opinion::Case;
use self::opinion::{ByPrinciple, Opinion};
use self::pairing::PairUp;
use super::forest::{Forest, ForestError};
use crate::engine::stream::Stop;
use crate::engine::{CheckpointDir, Codec, EngineError};
use crate::verify::judge::{Form, Shown};

/// Judges of one job, by what the recipe asks of them.
#[derive(Debug, Default)]
pub struct Court(Vec<(Verifier, Arc<Seat>)>);

/// One judge.
#[derive(Debug)]
pub(super) struct Seat {
    checkpoint: Arc<CheckpointDir>,
    codec: Arc<dyn Codec>,
    /// Word and version, for verdicts: of the weights, and of what is asked.
    by: String,
    chat: bool,
    form: Form,
    /// First tokens of the two words; of a judge that writes there are none.
    words: Vec<u32>,
    /// Of principles that are written for each task.
    generate: Option<Form>,
    /// What ends a text that it writes.
    stop: Arc<Stop>,
    calibration: Option<Calibration>,
}

/// Why somebody cannot judge.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    #[error("its template cannot be read")]
    Template(#[source] TemplateError),
    #[error("{what} cannot be written in its vocabulary")]
    Write { what: &'static str, source: EngineError },
    #[error("the word {0:?} has no tokens in its vocabulary")]
    Nothing(String),
    #[error(
        "its words {0:?} and {1:?} begin with the same token in its vocabulary, so their probabilities are the same; choose others, \
         for example without the space before them"
    )]
    Same(String, String),
}

/// The characters that tokens outside of texts are written with.
const MARKS: [char; 5] = ['<', '>', '|', '[', ']'];

impl Court {
    /// Opens the judges of a forest and tries them.
    ///
    /// # Errors
    /// [`ForestError`] if a judge cannot be opened or asked.
    pub(super) fn sit(forest: &Forest<'_>) -> Result<Self, ForestError> {
        let mut court = Self::default();
        let mut asked: Vec<&Verifier> = forest.search.verifiers().chain(forest.verify).collect();
        while let Some(verifier) = asked.pop() {
            asked.extend(verifier.members());
            let judge = judge_of(verifier);
            if judge.is_judge() && !court.0.iter().any(|(known, _)| known == judge) {
                let seat = Seat::open(forest, judge)?;
                court.0.push((judge.clone(), Arc::new(seat)));
            }
        }
        court.0.reverse();
        for place in 0..court.0.len() {
            let Some(wanted) = court.0[place].0.calibrate() else { continue };
            let figures = calibrate::figures(forest, &court, place, wanted)?;
            let (said, by) = (figures.said(), &figures.verifier);
            if figures.trusted {
                tracing::info!("{by} may judge: {said}");
            } else {
                tracing::warn!(
                    "{by} is not trusted, its verdicts are suspect: {said}; {} is asked for",
                    wanted.at_least
                );
            }
            let seat = Arc::get_mut(&mut court.0[place].1);
            seat.into_iter().for_each(|seat| seat.calibration = Some(figures.clone()));
        }
        Ok(court)
    }

    /// How good the judges were on known answers, in the order in which the recipe names them.
    #[must_use]
    pub fn calibrations(&self) -> Vec<Calibration> {
        self.0.iter().filter_map(|(_, seat)| seat.calibration.clone()).collect()
    }

    fn seat(&self, verifier: &Verifier) -> Option<&Arc<Seat>> {
        let judge = judge_of(verifier);
        self.0.iter().find(|(known, _)| known == judge).map(|(_, seat)| seat)
    }

    /// What is to be asked about one answer.
    pub(super) fn opinion(&self, verifier: &Verifier, case: Case, seed: Seed) -> Option<Box<dyn Inquiry>> {
        let seat = Arc::clone(self.seat(verifier)?);
        match verifier {
            Verifier::Judge(judge) => Some(Box::new(Opinion::new(seat, (**judge).clone(), case, seed))),
            Verifier::Principles(principles) => {
                Some(Box::new(ByPrinciple::new(seat, (**principles).clone(), case, seed)))
            }
            _ => None,
        }
    }

    /// What is to be asked about all answers of a task.
    pub(super) fn pair_up(
        &self,
        verifier: &Verifier,
        (prompt, expected): (&str, &str),
        answers: Vec<String>,
        seed: Seed,
    ) -> Option<Box<dyn Inquiry>> {
        let (Some(seat), Verifier::JudgePair(pair)) = (self.seat(verifier), verifier) else { return None };
        Some(Box::new(PairUp::new(Arc::clone(seat), pair, (prompt, expected), (answers, seed))))
    }

    /// A judge's verdict, or that it is suspect: of a judge that is not trusted nothing counts, no number either.
    pub(super) fn sealed(&self, verifier: &Verifier, verdict: Verdict) -> Verdict {
        let calibration = self.seat(verifier).and_then(|seat| seat.calibration.as_ref());
        match calibration {
            Some(figures) if !figures.trusted && verdict.outcome.is_decided() => {
                let would = match (verdict.outcome, verdict.score) {
                    (_, Some(score)) => format!("{score:.3}"),
                    (Outcome::Pass, None) => "pass".to_owned(),
                    (_, None) => "fail".to_owned(),
                };
                let reason = format!(
                    "the judge is not trusted: {}; {} is asked for. It said {would}: {}",
                    figures.said(),
                    figures.at_least,
                    verdict.reason
                );
                Verdict { outcome: Outcome::Suspect, reason, score: None, confidence: None, ..verdict }
            }
            Some(_) | None => verdict,
        }
    }
}

/// Who judges, of a locator the verifier that it asks.
fn judge_of(verifier: &Verifier) -> &Verifier {
    match verifier {
        Verifier::FirstError(first) => &first.by,
        other => other,
    }
}

/// What is the same in all sorts of judges.
struct Terms<'a> {
    ask: &'a str,
    chat: bool,
    fence: &'a [String; 2],
    words: Option<(&'a str, &'a str)>,
    generate: Option<&'a str>,
    until: Option<&'a str>,
}

impl<'a> Terms<'a> {
    fn of(verifier: &'a Verifier) -> Option<Self> {
        Some(match verifier {
            Verifier::Judge(judge) => {
                let Judge { ask, chat, mode, fence, .. } = &**judge;
                let (words, until) = match mode {
                    Mode::Logits(logits) => (Some((logits.yes.as_str(), logits.no.as_str())), None),
                    Mode::Rationale(rationale) => (None, rationale.until.as_deref()),
                };
                Self { ask, chat: *chat, fence, words, generate: None, until }
            }
            Verifier::JudgePair(pair) => {
                let JudgePair { ask, chat, fence, first, second, .. } = &**pair;
                Self { ask, chat: *chat, fence, words: Some((first, second)), generate: None, until: None }
            }
            Verifier::Principles(principles) => {
                let Principles { ask, chat, fence, yes, no, from, .. } = &**principles;
                let (generate, until) = match from {
                    PrinciplesFrom::List(_) => (None, None),
                    PrinciplesFrom::Generate(generate) => (Some(generate.ask.as_str()), generate.until.as_deref()),
                };
                Self { ask, chat: *chat, fence, words: Some((yes, no)), generate, until }
            }
            _ => return None,
        })
    }
}

impl Seat {
    fn open(forest: &Forest<'_>, verifier: &Verifier) -> Result<Self, ForestError> {
        let checkpoint = match verifier.roles().first().copied() {
            None => Arc::clone(&forest.policy),
            Some(role) => {
                let critic = forest.critics.get(role).ok_or_else(|| ForestError::NoRole(role.clone()))?;
                Arc::clone(&critic.checkpoint)
            }
        };
        let codec = forest.engine.codec(&checkpoint)?;
        let asked = serde_json::to_vec(verifier).unwrap_or_default();
        let by = format!("{}/{}.{}", verifier.name(), checkpoint.checkpoint.short(), &Digest::of(&asked).hex()[..6]);
        let failed = |source| ForestError::Judge { judge: by.clone(), source: Box::new(source) };
        let terms = Terms::of(verifier).ok_or(ForestError::Open(verifier.name()))?;
        let form = |text: &str| Form::new(text, terms.fence).map_err(SeatError::Template);
        let seat = Self {
            checkpoint,
            by: by.clone(),
            chat: terms.chat,
            form: form(terms.ask).map_err(failed)?,
            words: terms.words.map_or(Ok(Vec::new()), |words| first_tokens(codec.as_ref(), words)).map_err(failed)?,
            generate: terms.generate.map(form).transpose().map_err(failed)?,
            stop: Arc::new(stop(codec.as_ref(), terms.until).map_err(failed)?),
            calibration: None,
            codec,
        };
        // What holds for every answer is said once, before any.
        let empty = Shown::new();
        for form in [Some(&seat.form), seat.generate.as_ref()].into_iter().flatten() {
            let text = form.filled(&empty).unwrap_or_default();
            let written = seat.tokens(&text).map_err(|source| SeatError::Write { what: "its template", source });
            written.map_err(failed)?;
        }
        Ok(seat)
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        if self.chat { self.codec.conversation(&[ChatMessage::new("user", text)]) } else { self.codec.encode(text) }
    }

    /// The judge's prompt.
    ///
    /// # Errors
    /// The verdict on an answer that the judge cannot be shown: suspect if it would speak to the judge, an error if it cannot be written.
    fn prompt(&self, form: &Form, shown: &Shown<'_>) -> Result<Vec<u32>, Verdict> {
        let unwritable = |error: EngineError| {
            let reason = format!("the judge cannot be shown the answer: {}", ErrorChain::new(&error));
            Verdict::new(Outcome::Error, reason).by(&self.by)
        };
        for (_, text) in shown.iter().filter(|(blank, _)| blank.is_written()) {
            let read = self.codec.encode(text).and_then(|tokens| self.codec.decode(&tokens)).map_err(unwritable)?;
            let marks = |text: &str| text.matches(MARKS).count();
            if marks(&read) < marks(text) {
                let reason =
                    "the answer holds tokens that only a conversation's frame may hold, as if to speak to the judge";
                return Err(Verdict::new(Outcome::Suspect, reason).by(&self.by));
            }
        }
        let text = form.filled(shown);
        let text = text.map_err(|breach| Verdict::new(Outcome::Suspect, breach.to_string()).by(&self.by))?;
        self.tokens(&text).map_err(unwritable)
    }
}

/// The first tokens of two words, which must differ.
fn first_tokens(codec: &dyn Codec, (one, other): (&str, &str)) -> Result<Vec<u32>, SeatError> {
    let first = |word: &str| {
        let tokens = codec.encode(word).map_err(|source| SeatError::Write { what: "one of its words", source })?;
        tokens.first().copied().ok_or_else(|| SeatError::Nothing(word.to_owned()))
    };
    let words = [first(one)?, first(other)?];
    if words[0] == words[1] { Err(SeatError::Same(one.to_owned(), other.to_owned())) } else { Ok(words.to_vec()) }
}

fn stop(codec: &dyn Codec, until: Option<&str>) -> Result<Stop, SeatError> {
    Stop::at(codec, until).map_err(|source| SeatError::Write { what: "what ends its texts", source })
}
