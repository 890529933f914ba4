//! Guided decoding: completions that match a regular expression, a JSON schema, a grammar, or one of a list of texts.
//!
//! A guide says at every position which tokens can still lead to a match; the sampler draws among them, the model's own
//! probabilities renormalised. Grammars are compiled by the `llguidance` crate against the tokenizer's bytes; what it
//! cannot compile is an error when the request is made, never a completion that is not what was asked for.
//!
//! ```no_run
//! # use galapagos_model::{detokenize::TokenTexts, guide::{GuideSpec, GuideVocabulary}};
//! # fn example(texts: &TokenTexts, end: u32, choose: impl Fn(&galapagos_model::sampling::TokenMask) -> u32)
//! #     -> Result<(), galapagos_model::guide::GuideError> {
//! let vocabulary = GuideVocabulary::new(texts, &[end])?; // once for a tokenizer
//! let compiled = vocabulary.compile(&GuideSpec::Regex("[0-9]{4}".to_owned()))?; // once for a request
//! let mut guide = compiled.clone(); // for each sample
//! while !guide.is_stopped() {
//!     let token = choose(&guide.mask()?);
//!     guide.accept(token)?;
//! }
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use llguidance::api::{StopReason, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::TokenizerError;
use crate::detokenize::TokenTexts;
use crate::sampling::TokenMask;

mod environment;

/// What completions must be, from their first token to their end.
#[derive(Clone, Debug, PartialEq)]
pub enum GuideSpec {
    /// A text that the regular expression matches wholly. Syntax of the `regex` crate, without anchors and look-around.
    Regex(String),
    /// A JSON text that is valid for the schema. White space between its parts is at most 16 characters each.
    JsonSchema(Value),
    /// A text of the grammar, in the Lark-like form of `llguidance`; its first rule is `start`.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
}

impl GuideSpec {
    /// The form's name, for messages.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::Regex(_) => "regular expression",
            Self::JsonSchema(_) => "JSON schema",
            Self::Lark(_) => "grammar",
            Self::Choice(_) => "list of choices",
        }
    }

    fn grammar(&self) -> Result<TopLevelGrammar, GuideError> {
        match self {
            Self::Regex(pattern) => Ok(TopLevelGrammar::from_regex(pattern)),
            Self::JsonSchema(schema) => Ok(TopLevelGrammar::from_json_schema(bounded_white_space(schema)?)),
            Self::Lark(grammar) => Ok(TopLevelGrammar::from_lark(grammar.clone())),
            Self::Choice(texts) if texts.is_empty() => Err(self.refused("it is empty; give at least one text")),
            Self::Choice(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
                Ok(TopLevelGrammar::from_regex(&format!("(?:{})", texts.join("|"))))
            }
        }
    }

    fn refused(&self, reason: &str) -> GuideError {
        GuideError::Spec { form: self.form(), reason: reason.to_owned() }
    }
}

/// Without a bound, a model that prefers white space writes nothing else. The schema's own `x-guidance` goes first.
fn bounded_white_space(schema: &Value) -> Result<Value, GuideError> {
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        Value::Object(_) => schema.clone(),
        other => {
            let reason = format!("a schema is an object, and this is {other}");
            return Err(GuideError::Spec { form: "JSON schema", reason });
        }
    };
    if let Some(fields) = schema.as_object_mut() {
        fields.entry("x-guidance").or_insert_with(|| json!({"whitespace_pattern": "[ \\n\\t]{1,16}"}));
    }
    Ok(schema)
}

/// A regular expression that matches `text` alone.
fn escaped(text: &str) -> String {
    let escape = |c: char| if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] };
    text.chars().flat_map(escape).collect()
}

/// A tokenizer's vocabulary as guides see it. Made once for a tokenizer (in a second or so) and shared.
pub struct GuideVocabulary {
    factory: ParserFactory,
    /// The end tokens, if completions end by one of them alone.
    ends: Option<Arc<[u32]>>,
}

impl std::fmt::Debug for GuideVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tokens = self.factory.tok_env().tok_trie().vocab_size();
        f.debug_struct("GuideVocabulary").field("tokens", &tokens).finish_non_exhaustive()
    }
}

impl GuideVocabulary {
    /// For completions that one of the tokens `ends` may end.
    ///
    /// # Errors
    /// [`GuideError::NoEnd`] without one in the vocabulary, or what the tokenizer or `llguidance` says.
    pub fn new(texts: &TokenTexts, ends: &[u32]) -> Result<Self, GuideError> {
        Self::with(texts, ends, &[])
    }

    /// For completions whose last token is one of `ends`, and which have none of the tokens `barred` that are not ends: a match
    /// that cannot be continued is not the end, but allows the end tokens alone.
    ///
    /// So what ends an answer is drawn by the model and stands in the completion, as without a guide.
    ///
    /// # Errors
    /// As [`GuideVocabulary::new`].
    pub fn ended_by_token(texts: &TokenTexts, ends: &[u32], barred: &[u32]) -> Result<Self, GuideError> {
        let vocabulary = Self::with(texts, ends, barred)?;
        Ok(Self { ends: Some(vocabulary.factory.tok_env().tok_trie().eos_tokens().into()), ..vocabulary })
    }

    fn with(texts: &TokenTexts, ends: &[u32], barred: &[u32]) -> Result<Self, GuideError> {
        Self::over(&(Arc::new(environment::Environment::new(texts, ends, barred)?) as TokEnv))
    }

    /// Every byte is a token: for [`Guide::fit`] of text whose tokenizer is not known.
    ///
    /// # Errors
    /// [`GuideError::Vocabulary`] with what `llguidance` says.
    pub fn of_bytes() -> Result<Self, GuideError> {
        Self::over(&ApproximateTokEnv::single_byte_env())
    }

    fn over(environment: &TokEnv) -> Result<Self, GuideError> {
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| GuideError::Vocabulary { reason: format!("{error:#}") })?;
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self { factory, ends: None })
    }

    /// Compiles `spec`; clone the guide for each sample.
    ///
    /// # Errors
    /// [`GuideError::Spec`] says what is wrong with it and where.
    pub fn compile(&self, spec: &GuideSpec) -> Result<Guide, GuideError> {
        let parser = self.factory.create_parser(spec.grammar()?);
        let matcher = Matcher::new(Ok(parser.map_err(|error| spec.refused(&plain(&format!("{error:#}"))))?));
        let mut guide = Guide { matcher, accepted: 0, ends: self.ends.clone(), ended: false };
        // What no token can begin is found here and not at the first position.
        let mask = guide.mask().map_err(|error| spec.refused(&error.to_string()))?;
        if mask.count() == 0 && !guide.is_stopped() {
            return Err(spec.refused("no text of this vocabulary's tokens matches it"));
        }
        if let GuideSpec::Choice(texts) = spec
            && let Some(text) = texts.iter().find(|text| guide.fit(text.as_bytes()) != Fit::Whole)
        {
            return Err(spec.refused(&format!("{text:?} cannot be written with this vocabulary's tokens")));
        }
        Ok(guide)
    }
}

/// How a text stands to a guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It matches.
    Whole,
    /// Some match begins with it.
    Begun,
    /// No match begins with it.
    Not {
        /// Bytes that still could have been a beginning, up to a token's border.
        bytes: usize,
    },
}

/// The state of one sample's guide.
///
/// Everything is undone by [`Guide::roll_back`], so that drafted tokens can be accepted ahead of the model.
#[derive(Clone)]
pub struct Guide {
    matcher: Matcher,
    accepted: usize,
    /// The end tokens, if one of them must be the last token.
    ends: Option<Arc<[u32]>>,
    /// Whether an end token was accepted behind a match that cannot be continued, which the matcher does not count.
    ended: bool,
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

impl Guide {
    /// The tokens that may come next: with an end token exactly if the text so far matches. After the end, the end tokens
    /// alone.
    ///
    /// # Errors
    /// [`GuideError::Step`] when the grammar is too complex to go on.
    pub fn mask(&mut self) -> Result<TokenMask, GuideError> {
        let mask = self.matcher.compute_mask_or_eos().map_err(step_error)?;
        Ok(TokenMask::from_words(mask.as_slice().to_vec()))
    }

    /// Goes on by a token of the mask.
    ///
    /// # Errors
    /// [`GuideError::Token`] for any other token; the guide is then of no more use.
    pub fn accept(&mut self, token: u32) -> Result<(), GuideError> {
        if self.awaits_end() {
            let ends = self.ends.as_ref().is_some_and(|ends| ends.contains(&token));
            self.ended = ends;
            self.accepted += usize::from(ends);
            return if ends { Ok(()) } else { Err(GuideError::Token { token, position: self.accepted }) };
        }
        match self.matcher.try_consume_tokens(&[token]).map_err(step_error)? {
            0 => Err(GuideError::Token { token, position: self.accepted }),
            _ => {
                self.accepted += 1;
                Ok(())
            }
        }
    }

    /// Whether the text so far is a match.
    ///
    /// # Errors
    /// As [`Guide::mask`].
    pub fn is_complete(&mut self) -> Result<bool, GuideError> {
        if self.is_stopped() || self.awaits_end() { Ok(true) } else { self.matcher.is_accepting().map_err(step_error) }
    }

    /// Whether the completion has ended: an end token was accepted, or the match can not be continued and needs none.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self.matcher.stop_reason() {
            StopReason::EndOfSentence => true,
            StopReason::NoExtension | StopReason::NoExtensionBias => self.ends.is_none() || self.ended,
            _ => false,
        }
    }

    /// Whether the match can not be continued and the end token is still to come.
    fn awaits_end(&self) -> bool {
        let whole = matches!(self.matcher.stop_reason(), StopReason::NoExtension | StopReason::NoExtensionBias);
        whole && self.ends.is_some() && !self.ended
    }

    /// How the guide's text so far, followed by `text`, stands to it. The guide stays where it is.
    #[must_use]
    pub fn fit(&self, text: &[u8]) -> Fit {
        let Ok(environment) = self.matcher.tok_env() else { return Fit::Not { bytes: 0 } };
        let (trie, mut guide, mut bytes) = (environment.tok_trie(), self.clone(), 0);
        for token in trie.greedy_tokenize(text) {
            let word = trie.token(token);
            // A byte that no token has is left out by the trie.
            if guide.is_stopped() || !text[bytes..].starts_with(word) || guide.accept(token).is_err() {
                return Fit::Not { bytes };
            }
            bytes += word.len();
        }
        match guide.is_complete() {
            _ if bytes < text.len() => Fit::Not { bytes },
            Ok(true) => Fit::Whole,
            Ok(false) => Fit::Begun,
            Err(_) => Fit::Not { bytes },
        }
    }

    /// Tokens that spell what the guide forces next, as a draft: a model may spell it by other tokens.
    pub fn draft(&mut self, most: usize) -> Vec<u32> {
        if self.is_stopped() || self.awaits_end() {
            return Vec::new();
        }
        let Ok(environment) = self.matcher.tok_env() else { return Vec::new() };
        let forced = self.matcher.clone().compute_ff_bytes();
        let mut tokens = environment.tok_trie().greedy_tokenize(&forced);
        tokens.truncate(most);
        tokens
    }

    /// Takes the last `tokens` accepted tokens back.
    ///
    /// # Errors
    /// [`GuideError::Step`] for more tokens than were accepted.
    pub fn roll_back(&mut self, tokens: usize) -> Result<(), GuideError> {
        // The matcher did not count the end token.
        let uncounted = usize::from(self.ended && tokens > 0);
        self.matcher.rollback(tokens - uncounted).map_err(step_error)?;
        self.ended &= tokens == 0;
        self.accepted -= tokens;
        Ok(())
    }
}

fn step_error(error: impl std::fmt::Display) -> GuideError {
    let reason = plain(&error.to_string());
    // Its word for a place where nothing fits.
    let dead_end = reason == StopReason::NoExtensionBias.to_string();
    let told = "what must follow cannot be written with tokens that are allowed in a completion";
    GuideError::Step { reason: if dead_end { told.to_owned() } else { reason } }
}

/// The message without the parser's dump of its state.
fn plain(message: &str) -> String {
    message.split("\n<").next().unwrap_or(message).trim().to_owned()
}

/// Why completions cannot be guided.
#[derive(Debug, thiserror::Error)]
pub enum GuideError {
    /// What was asked for cannot be compiled.
    #[error("the {form} cannot guide a completion: {reason}")]
    Spec {
        /// The form it has.
        form: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// No end token.
    #[error("a guide needs a token that ends completions, and none of {ends:?} is in the tokenizer's vocabulary")]
    NoEnd {
        /// Those that were given.
        ends: Vec<u32>,
    },
    /// The vocabulary cannot be used.
    #[error("the vocabulary cannot be prepared for guides: {reason}")]
    Vocabulary {
        /// What `llguidance` said.
        reason: String,
    },
    /// A token's text is unknown.
    #[error("the vocabulary cannot be read for guides")]
    Tokenizer {
        /// What the tokenizer said.
        #[from]
        source: TokenizerError,
    },
    /// A token the guide does not allow.
    #[error("token {token} is not allowed by the guide at position {position} of the completion")]
    Token {
        /// The token.
        token: u32,
        /// Its position.
        position: usize,
    },
    /// The grammar cannot go on.
    #[error("the guide cannot go on: {reason}")]
    Step {
        /// What `llguidance` said.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
