//! What can be asked of an engine, and what is wrong with a request that cannot be run.
//!
//! Everything is checked when a request comes: what is accepted can be computed within the budget.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::ids::AdapterId;
use crate::guide::Guide;
use crate::sampling::{Sampling, SamplingError};
use crate::stop::EmptyStopString;
use crate::vision::UnreadableToken;

/// Completions of one prompt.
#[derive(Clone, Debug)]
pub struct Request {
    /// The prompt; not empty. What it shares with other requests is computed once.
    pub prompt: Vec<u32>,
    /// Completions wanted, at least 1.
    pub samples: usize,
    /// How tokens are chosen.
    pub sampling: Arc<Sampling>,
    /// Tokens after which a completion ends, at least 1.
    pub max_new_tokens: usize,
    /// Tokens that end a completion; they are its last token.
    pub stop_tokens: Arc<BTreeSet<u32>>,
    /// Texts that end a completion; they are not part of its text. Need [`Engine::set_texts`](super::Engine::set_texts).
    pub stop_strings: Vec<String>,
    /// What completions must be; compiled by a [`GuideVocabulary`](crate::guide::GuideVocabulary) of the model's tokenizer.
    pub guide: Option<Guide>,
    /// How tokens are guessed ahead. Changes the speed alone.
    pub speculation: Speculation,
    /// With the sample's index, keys the random numbers of a completion.
    pub seed: u64,
    /// Whose weights are added to the model's.
    pub adapter: Option<AdapterId>,
    /// Most probable tokens to report at each position.
    pub top_log_probs: usize,
}

/// How tokens are guessed ahead of the model, which then checks several in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speculation {
    /// Not at all.
    #[default]
    Off,
    /// By what followed the last tokens earlier in the sequence, and by what a guide forces.
    PromptLookup {
        /// Tokens guessed at a time.
        most: usize,
    },
    /// By the engine's draft model, which draws with the same random numbers.
    DraftModel {
        /// Tokens guessed at a time.
        most: usize,
    },
}

impl Request {
    /// The most probable completion of `prompt`, which only its length ends.
    #[must_use]
    pub fn greedy(prompt: Vec<u32>, max_new_tokens: usize) -> Self {
        Self {
            prompt,
            samples: 1,
            sampling: Arc::new(Sampling::GREEDY),
            max_new_tokens,
            stop_tokens: Arc::default(),
            stop_strings: Vec::new(),
            guide: None,
            speculation: Speculation::Off,
            seed: 0,
            adapter: None,
            top_log_probs: 0,
        }
    }

    /// Positions whose keys and values it needs: the last token is drawn, but never fed.
    pub(super) fn positions(&self) -> usize {
        self.prompt.len().saturating_add(self.max_new_tokens) - 1
    }
}

/// Numbers to be read off a given sequence.
#[derive(Clone, Debug)]
pub struct ScoreRequest {
    /// The sequence; not empty. What it shares with other requests is computed once.
    pub tokens: Vec<u32>,
    /// Whose weights are added to the model's.
    pub adapter: Option<AdapterId>,
    /// What to read.
    pub read: Read,
}

/// What a [`ScoreRequest`] reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The log-probability, at temperature 1, of each token from position `from` (at least 1) to the end, given those before.
    LogProbs {
        /// The first token that is scored.
        from: usize,
    },
    /// The log-probability, at temperature 1, of each of these tokens as the one that comes next.
    Next {
        /// At least one.
        tokens: Vec<u32>,
    },
    /// What the head says at each of these positions: the number of a scalar head, one logit for each label of a classifier. Of
    /// classes of whole sequences, the last position is the answer. What lies before the first position may come from other
    /// requests; from there on everything is computed.
    Values {
        /// Ascending, without repetition.
        positions: Vec<usize>,
    },
    /// What the head says at the last token under each of several masks of the last hidden state, mask after mask.
    Masked(Masks),
}

/// Masks of the hidden state that a head reads (Monte-Carlo dropout, Gal and Ghahramani, arXiv 1506.02142, at the last layer): each
/// number of it is left out with probability `rate`, and what stays is divided by 1 - `rate`, so that the mean over masks of what a
/// linear head says is what it says without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masks {
    /// From 0 to below 1; at 0 every mask leaves the state as it is.
    pub rate: f64,
    /// How many, at least 1.
    pub count: usize,
    /// Mask i draws from a stream of (seed, i).
    pub seed: u64,
}

impl Masks {
    /// The masks of a state of so many numbers, one after the other.
    pub(super) fn factors(&self, width: usize) -> Vec<f32> {
        let kept = 1.0 - self.rate;
        let factor = (1.0 / kept) as f32;
        let mask = |index: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(index as u64);
            // 53 random bits as a number from 0 to below 1.
            std::iter::repeat_with(move || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64)
                .take(width)
                .map(move |drawn| if drawn < kept { factor } else { 0.0 })
        };
        (0..self.count).flat_map(mask).collect()
    }
}

impl ScoreRequest {
    /// Log-probabilities of the tokens of `continuation`, which is not empty, after `context`, which is not either.
    #[must_use]
    pub fn continuation(context: &[u32], continuation: &[u32]) -> Self {
        let read = Read::LogProbs { from: context.len() };
        Self { tokens: [context, continuation].concat(), adapter: None, read }
    }

    /// Log-probabilities of each of `next` as the token behind `context`, which is not empty.
    #[must_use]
    pub fn next(context: Vec<u32>, next: Vec<u32>) -> Self {
        Self { tokens: context, adapter: None, read: Read::Next { tokens: next } }
    }

    /// [`Read::Values`] at the last token of `tokens`.
    #[must_use]
    pub fn last_value(tokens: Vec<u32>) -> Self {
        let read = Read::Values { positions: vec![tokens.len().saturating_sub(1)] };
        Self { tokens, adapter: None, read }
    }

    /// [`Read::Masked`] of `tokens`.
    #[must_use]
    pub fn masked(tokens: Vec<u32>, masks: Masks) -> Self {
        Self { tokens, adapter: None, read: Read::Masked(masks) }
    }

    /// Numbers that are read at each position, of a model with that many labels.
    pub(super) fn width(&self, labels: usize) -> usize {
        match self.read {
            Read::LogProbs { .. } | Read::Next { .. } => 1,
            Read::Values { .. } => labels,
            Read::Masked(masks) => labels * masks.count,
        }
    }

    /// The masks under which it is read, if it is.
    pub(super) fn masks(&self) -> Option<Masks> {
        match self.read {
            Read::Masked(masks) => Some(masks),
            Read::LogProbs { .. } | Read::Next { .. } | Read::Values { .. } => None,
        }
    }

    /// Positions whose rows are read, ascending; one that is read several times stands there as often.
    pub(super) fn rows(&self) -> Vec<usize> {
        match &self.read {
            Read::LogProbs { from } => (from - 1..self.tokens.len() - 1).collect(),
            Read::Next { tokens } => vec![self.tokens.len().saturating_sub(1); tokens.len()],
            Read::Values { positions } => positions.clone(),
            Read::Masked(_) => vec![self.tokens.len().saturating_sub(1)],
        }
    }

    /// Positions that have to be computed.
    pub(super) fn positions(&self) -> usize {
        self.rows().last().map_or(0, |last| last + 1)
    }

    pub(super) fn check(&self) -> Result<(), RequestError> {
        let length = self.tokens.len();
        match &self.read {
            Read::LogProbs { from } if *from == 0 || *from >= length => {
                let expected = "at least 1 and below the number of tokens: the first token has no probability";
                Err(RequestError::Setting { name: "from", value: *from as f64, expected })
            }
            Read::Next { tokens } if tokens.is_empty() => {
                Err(RequestError::Setting { name: "tokens", value: 0.0, expected: "at least one token" })
            }
            Read::Values { positions } if positions.is_empty() => {
                Err(RequestError::Setting { name: "positions", value: 0.0, expected: "at least one position" })
            }
            Read::Values { positions } => match positions.iter().find(|position| **position >= length) {
                Some(position) => {
                    let expected = "below the number of tokens";
                    Err(RequestError::Setting { name: "positions", value: *position as f64, expected })
                }
                None if !positions.is_sorted_by(|a, b| a < b) => {
                    let value = positions.len() as f64;
                    Err(RequestError::Setting { name: "positions", value, expected: "ascending, without repetition" })
                }
                None => Ok(()),
            },
            Read::Masked(masks) if !(0.0..1.0).contains(&masks.rate) => {
                let expected = "from 0 to below 1: something of the state must stay";
                Err(RequestError::Setting { name: "rate", value: masks.rate, expected })
            }
            Read::Masked(masks) if masks.count == 0 => {
                Err(RequestError::Setting { name: "count", value: 0.0, expected: "at least 1" })
            }
            Read::LogProbs { .. } | Read::Next { .. } | Read::Masked(_) => Ok(()),
        }
    }
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A number out of its range.
    #[error("`{name}` is {value}; it must be {expected}")]
    Setting {
        /// The field.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range.
        expected: &'static str,
    },
    /// A number of the sampling out of its range.
    #[error("the sampling cannot be used")]
    Sampling {
        /// Which.
        #[source]
        source: SamplingError,
    },
    /// A stop string that would end everything.
    #[error("the stop strings cannot be used")]
    StopString {
        /// Which.
        #[source]
        source: EmptyStopString,
    },
    /// Stop strings, but nothing that knows the tokens' texts.
    #[error("stop strings need the texts of tokens; give the engine a tokenizer first")]
    NoTexts,
    /// Speculation by a draft model, but there is none.
    #[error("the engine has no draft model; give it one first, or speculate otherwise")]
    NoDraftModel,
    /// Nothing to continue.
    #[error("the prompt is empty; give at least one token")]
    EmptyPrompt,
    /// A token id the model has no embedding for.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    Token {
        /// The id.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// An image that the model cannot read.
    #[error(transparent)]
    Image(UnreadableToken),
    /// More tokens than the model has positions for.
    #[error("the tokens asked for are {asked} positions; the model has {limit}")]
    TooLong {
        /// Positions asked for.
        asked: usize,
        /// Positions there are.
        limit: usize,
    },
    /// More keys and values than the budget holds, even with nobody else there.
    #[error(
        "{tokens} tokens need {needed_bytes} bytes of keys and values; the budget holds {budget_bytes}: ask for fewer tokens or \
         raise the budget"
    )]
    Memory {
        /// Positions asked for.
        tokens: usize,
        /// Their keys and values, in whole pages.
        needed_bytes: usize,
        /// What the budget holds, in whole pages.
        budget_bytes: usize,
    },
    /// An adapter that was never added or was removed.
    #[error("there is no such adapter: {adapter:?}")]
    NoAdapter {
        /// The id.
        adapter: AdapterId,
    },
    /// The model's head cannot do this.
    #[error("the model has a {have} head; this needs a {need} head")]
    WrongHead {
        /// Head of the model at hand.
        have: crate::ModelKind,
        /// Heads that would do.
        need: &'static str,
    },
    /// The queue is full: step until there is room, then submit again.
    #[error(
        "{waiting} completions wait and {asked} more would be above the limit of {limit}; try again when some have begun"
    )]
    Full {
        /// Completions that have not begun.
        waiting: usize,
        /// Completions asked for.
        asked: usize,
        /// The engine's limit.
        limit: usize,
    },
}

impl From<UnreadableToken> for RequestError {
    fn from(error: UnreadableToken) -> Self {
        match error {
            UnreadableToken::Unknown { token, vocab_size } => Self::Token { token, vocab_size },
            UnreadableToken::Blind | UnreadableToken::Large { .. } => Self::Image(error),
        }
    }
}
