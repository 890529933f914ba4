//! A recipe's guide, compiled for one tokenizer: what the built-in engine draws under, and what a completion that was made elsewhere is
//! checked against.
//!
//! A guide speaks of the text before the terminator. So the terminator and end-of-sequence end a guided completion, drawn by the
//! model once the text is whole; tokens that hold the terminator behind other text are barred.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::guide::Guide;
use galapagos_model::detokenize::TokenTexts;
use galapagos_model::guide::{Fit, Guide as ModelGuide, GuideError, GuideSpec, GuideVocabulary};

use super::{Batch, Engine, EngineError};

/// Longest piece of a guide or completion that is repeated in an error.
const LONGEST_QUOTE: usize = 160;

/// A tokenizer's vocabulary, for completions that end by given stop tokens.
#[derive(Debug)]
pub struct Vocabulary {
    texts: Arc<TokenTexts>,
    guides: GuideVocabulary,
    ending: Ending,
}

/// How completions end.
#[derive(Debug, Clone)]
struct Ending {
    /// Stop tokens that may end a guided completion, because they add nothing to its text.
    ends: Arc<[u32]>,
    /// The other stop tokens.
    barred: Arc<[u32]>,
    terminator: Option<char>,
}

/// A compiled guide; cheap to clone.
#[derive(Debug, Clone)]
pub struct Guided {
    /// At the beginning of a completion.
    pub guide: ModelGuide,
    /// The guide as text, for messages.
    pub named: String,
    texts: Arc<TokenTexts>,
    ending: Ending,
}

impl Vocabulary {
    /// For completions that a token of `stop` ends; the text of those that have one holds `terminator`.
    ///
    /// # Errors
    /// [`GuideError`] if the vocabulary cannot be read or has no token that ends a completion and nothing else.
    pub fn new(texts: Arc<TokenTexts>, stop: &[u32], terminator: Option<char>) -> Result<Self, GuideError> {
        let (mut ends, mut barred) = (Vec::new(), Vec::new());
        for token in stop {
            if only_ends(&texts, *token, terminator)? { ends.push(*token) } else { barred.push(*token) }
        }
        let guides = GuideVocabulary::ended_by_token(&texts, &ends, &barred)?;
        let ending = Ending { ends: ends.into(), barred: barred.into(), terminator };
        Ok(Self { texts, guides, ending })
    }

    /// Compiles `guide`.
    ///
    /// # Errors
    /// [`GuideError`] says what is wrong with it and where.
    pub fn compile(&self, guide: &Guide) -> Result<Guided, GuideError> {
        let compiled = self.guides.compile(&spec(guide))?;
        let (texts, ending) = (Arc::clone(&self.texts), self.ending.clone());
        Ok(Guided { guide: compiled, named: named(guide), texts, ending })
    }
}

/// Whether a stop token adds nothing to the text: it has none, or the terminator alone. Without a terminator all stop tokens are so.
fn only_ends(texts: &TokenTexts, token: u32, terminator: Option<char>) -> Result<bool, GuideError> {
    let Some(terminator) = terminator else { return Ok(true) };
    let is_eos = texts.tokenizer().eos() == Some(token);
    Ok(is_eos || texts.bytes(token)?.is_none_or(|bytes| bytes == terminator.to_string().as_bytes()))
}

fn spec(guide: &Guide) -> GuideSpec {
    match guide {
        Guide::Regex(pattern) => GuideSpec::Regex(pattern.clone()),
        Guide::JsonSchema(schema) => GuideSpec::JsonSchema(schema.clone().into()),
        Guide::Lark(grammar) => GuideSpec::Lark(grammar.clone()),
        Guide::Choice(texts) => GuideSpec::Choice(texts.clone()),
    }
}

/// A guide in an error: its form and the beginning of its text.
#[must_use]
pub fn named(guide: &Guide) -> String {
    let text = match guide {
        Guide::Regex(text) | Guide::Lark(text) => format!("{text:?}"),
        Guide::JsonSchema(schema) => serde_json::Value::from(schema.clone()).to_string(),
        Guide::Choice(texts) => format!("{texts:?}"),
    };
    format!("{}: {}", guide.form(), quote(&text))
}

fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_QUOTE).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

/// The guides of a batch's requests, in order, in the vocabulary that `engine` opens.
///
/// # Errors
/// [`EngineError::Guide`] for one that this vocabulary cannot follow, or as the engine.
pub fn of_batch(batch: &Batch, engine: &mut dyn Engine) -> Result<Vec<Option<Guided>>, EngineError> {
    if batch.requests.iter().all(|request| request.sampling.guide.is_none()) {
        return Ok(vec![None; batch.requests.len()]);
    }
    let codec = engine.codec(&batch.checkpoint)?;
    let samplings = batch.requests.iter().map(|request| &request.sampling);
    each(samplings, |guide| codec.guided(guide, &batch.stop, batch.terminator))
}

/// The guides of `samplings`, in order, each as `compile` makes it. One that stands several times in a row, as in the requests
/// of a job, is compiled once.
///
/// # Errors
/// As `compile`.
pub fn each<'a, G: Clone>(
    samplings: impl Iterator<Item = &'a Arc<Sampling>>,
    mut compile: impl FnMut(&Guide) -> Result<G, EngineError>,
) -> Result<Vec<Option<G>>, EngineError> {
    let mut last: Option<(&Guide, G)> = None;
    let mut one = |sampling: &'a Arc<Sampling>| {
        let Some(guide) = &sampling.guide else { return Ok(None) };
        let compiled = match last.take() {
            Some((known, compiled)) if known == guide => compiled,
            _ => compile(guide)?,
        };
        last = Some((guide, compiled.clone()));
        Ok(Some(compiled))
    };
    samplings.map(&mut one).collect()
}

/// A guide that text is checked against whose tokens are not known; cheap to clone.
#[derive(Debug, Clone)]
pub struct TextGuide {
    guide: ModelGuide,
    /// The guide as text, for messages.
    pub named: String,
}

impl TextGuide {
    /// Compiles `guide`.
    ///
    /// # Errors
    /// [`EngineError::Guide`] says what is wrong with it and where.
    pub fn new(guide: &Guide) -> Result<Self, EngineError> {
        let named = named(guide);
        let compiled = GuideVocabulary::of_bytes().and_then(|vocabulary| vocabulary.compile(&spec(guide)));
        match compiled {
            Ok(guide) => Ok(Self { guide, named }),
            Err(source) => Err(EngineError::Guide { guide: named, source: source.into() }),
        }
    }

    /// Checks that `text` matches, or if it was `cut` at its greatest length, begins a match.
    ///
    /// # Errors
    /// A sentence that says what stands there instead.
    pub fn check(&self, text: &str, cut: bool) -> Result<(), String> {
        check(&self.guide, text.as_bytes(), cut)
    }
}

fn check(guide: &ModelGuide, text: &[u8], cut: bool) -> Result<(), String> {
    let wrong = match guide.fit(text) {
        Fit::Whole => return Ok(()),
        Fit::Begun if cut => return Ok(()),
        Fit::Begun => "ends before it is whole".to_owned(),
        Fit::Not { bytes } => format!("leaves it behind byte {bytes}"),
    };
    Err(format!("{:?} {wrong}", quote(&String::from_utf8_lossy(text))))
}

impl Guided {
    /// The stop tokens that may end a completion.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ending.ends
    }

    /// The stop tokens that may not, because they would add to its text.
    #[must_use]
    pub fn barred(&self) -> &[u32] {
        &self.ending.barred
    }

    /// Checks a completion that was made elsewhere: its text up to the terminator must match, or if it is as long as
    /// `max_tokens`, begin a match.
    ///
    /// # Errors
    /// A sentence that says what stands there instead.
    pub fn check(&self, tokens: &[u32], stop: &[u32], max_tokens: u32) -> Result<(), String> {
        let text = self.text(tokens).map_err(|error| format!("it has a token without text: {error}"))?;
        let stopped = tokens.last().is_some_and(|token| stop.contains(token));
        let cut = !stopped && tokens.len() >= max_tokens as usize;
        check(&self.guide, &text, cut)
    }

    /// The bytes of `tokens` before the terminator.
    fn text(&self, tokens: &[u32]) -> Result<Vec<u8>, GuideError> {
        let mut text = Vec::new();
        for token in tokens {
            text.extend(self.texts.bytes(*token)?.unwrap_or_default());
        }
        let terminator = self.ending.terminator.map(|terminator| terminator.to_string().into_bytes());
        let end = terminator.and_then(|end| text.windows(end.len()).position(|window| window == end));
        text.truncate(end.unwrap_or(text.len()));
        Ok(text)
    }
}
