//! Batched generation with a key/value cache.
//!
//! A completion is a function of (weights, request, precision, kind of device) alone: rows are computed so that their
//! results do not depend on what else is in the batch, and every sample draws from a random stream of its own, keyed by the
//! request's seed and the sample's index. So batches are formed freely: rows leave when they finish, waiting ones take
//! their place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use galapagos_kernels::Pool;

use crate::compute::{ComputeError, Doing};
use crate::inference::InferenceModel;
use crate::{ModelKind, Precision};

mod cache;
mod decode;
mod padding;
pub(crate) mod prefill;
mod queue;
mod sampler;

use cache::SharedPrefix;
use decode::Decoder;
use prefill::prefill;

use queue::groups;

/// What to generate from one prompt.
#[derive(Clone, Debug)]
pub struct Request {
    /// Tokens in front of the prompt that requests have in common; may be empty. Computed once per distinct prefix.
    pub prefix: Arc<[u32]>,
    /// The prompt; not empty. Computed once for all samples.
    pub prompt: Vec<u32>,
    /// Completions wanted, at least 1.
    pub samples: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens after which a completion ends with [`Finish::Length`], at least 1.
    pub max_new_tokens: usize,
    /// Tokens that end a completion with [`Finish::Stop`].
    pub stop_tokens: Arc<BTreeSet<u32>>,
    /// Keys the random streams of this request's samples.
    pub seed: u64,
}

/// How tokens are chosen from the model's probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 means the most probable token, the lower id among equals.
    pub temperature: f64,
    /// Keeps the most probable tokens that together reach this probability, in (0, 1]; 1 keeps all.
    pub top_p: f64,
    /// Keeps this many most probable tokens, before `top_p`; `None` keeps all.
    pub top_k: Option<usize>,
}

impl Sampling {
    /// Always the most probable token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_p: 1.0, top_k: None };

    /// Plain sampling at a temperature.
    #[must_use]
    pub fn at(temperature: f64) -> Self {
        Self { temperature, top_p: 1.0, top_k: None }
    }
}

/// One sample of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Index of the request in the call.
    pub request: usize,
    /// Index of the sample in the request.
    pub sample: usize,
    /// New tokens, with the stop token if one was hit.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the model itself: temperature 1, no cut-off, 32-bit floats.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// A stop token, which is the last token.
    Stop,
    /// `max_new_tokens` were made.
    Length,
}

/// How a [`Generator`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorOptions {
    /// Number format of weights and cache.
    pub precision: Precision,
    /// Most rows (samples) computed at a time, at least 1. Does not change results, only speed and memory.
    pub max_rows: usize,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self { precision: Precision::Bf16, max_rows: 64 }
    }
}

/// How a caller watches and stops a running call.
#[derive(Default)]
pub struct RunControl<'a> {
    /// When set to true, the call ends with [`GenerateError::Cancelled`] before the next step.
    pub cancel: Option<&'a AtomicBool>,
    /// Called after each step with the number of tokens generated so far in this call.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
}

impl std::fmt::Debug for RunControl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunControl").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl RunControl<'_> {
    fn check(&self) -> Result<(), GenerateError> {
        match self.cancel {
            Some(cancel) if cancel.load(Ordering::Relaxed) => Err(GenerateError::Cancelled),
            Some(_) | None => Ok(()),
        }
    }

    fn report(&mut self, tokens: u64) {
        if let Some(progress) = &mut self.progress {
            progress(tokens);
        }
    }
}

/// Prefixes whose keys and values are kept between calls.
const KEPT_PREFIXES: usize = 4;

/// A language model ready to generate.
#[derive(Debug)]
pub struct Generator {
    model: InferenceModel,
    options: GeneratorOptions,
    /// Most recently used last.
    prefixes: RefCell<Vec<KeptPrefix>>,
}

#[derive(Debug)]
struct KeptPrefix {
    tokens: Arc<[u32]>,
    shared: SharedPrefix,
}

impl Generator {
    /// Copies the weights of `model` in the format of `options`.
    ///
    /// # Errors
    /// [`GenerateError::Compute`] for a scalar model or when libtorch cannot hold the copy.
    pub fn new(model: &crate::Decoder, options: GeneratorOptions) -> Result<Self, GenerateError> {
        if model.config().kind != ModelKind::CausalLm {
            let have = model.config().kind;
            return Err(compute(ComputeError::WrongHead { have, need: ModelKind::CausalLm }));
        }
        let model = InferenceModel::new(model, options.precision, Arc::new(Pool::new(1)))
            .doing("a copy of the weights")
            .map_err(compute)?;
        Ok(Self { model, options, prefixes: RefCell::default() })
    }

    /// All completions, ordered by request and sample.
    ///
    /// # Errors
    /// [`GenerateError::Request`] names the first request that cannot be run, before anything is computed.
    pub fn generate(
        &self,
        requests: &[Request],
        control: &mut RunControl<'_>,
    ) -> Result<Vec<Completion>, GenerateError> {
        for (index, request) in requests.iter().enumerate() {
            self.check(request).map_err(|source| GenerateError::Request { index, source })?;
        }
        let _no_gradients = tch::no_grad_guard();
        let mut completions = Vec::new();
        for group in groups(requests) {
            let prefix = self.take_prefix(&group.prefix)?;
            let decoder =
                Decoder::new(&self.model, prefix.as_ref().map(|kept| &kept.shared), self.options.max_rows.max(1));
            decoder.run(requests, group.waiting, control, &mut completions)?;
            self.prefixes.borrow_mut().extend(prefix);
        }
        completions.sort_by_key(|completion| (completion.request, completion.sample));
        Ok(completions)
    }

    /// A shared prefix, from the last calls or computed now; `None` for the empty one. The caller puts it back.
    fn take_prefix(&self, tokens: &Arc<[u32]>) -> Result<Option<KeptPrefix>, GenerateError> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut kept = self.prefixes.borrow_mut();
        if let Some(index) = kept.iter().position(|known| known.tokens == *tokens) {
            return Ok(Some(kept.remove(index)));
        }
        if kept.len() >= KEPT_PREFIXES {
            kept.remove(0);
        }
        let computed = || {
            let filled = prefill(&self.model, None, &[tokens])?;
            SharedPrefix::new(&self.model, filled.key_values.into_iter().next().unwrap_or_default())
        };
        let shared = computed().doing("the shared prefix").map_err(compute)?;
        Ok(Some(KeptPrefix { tokens: Arc::clone(tokens), shared }))
    }

    fn check(&self, request: &Request) -> Result<(), RequestError> {
        let config = self.model.config();
        let Sampling { temperature, top_p, top_k } = request.sampling;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(RequestError::Setting { name: "temperature", value: temperature, expected: "0 or more" });
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(RequestError::Setting { name: "top_p", value: top_p, expected: "above 0 and at most 1" });
        }
        let counts =
            [("top_k", top_k.unwrap_or(1)), ("samples", request.samples), ("max_new_tokens", request.max_new_tokens)];
        for (name, value) in counts {
            if value == 0 {
                return Err(RequestError::Setting { name, value: 0.0, expected: "at least 1" });
            }
        }
        if request.prompt.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        let all = request.prefix.iter().chain(&request.prompt);
        if let Some(token) = all.copied().find(|token| *token as usize >= config.vocab_size) {
            return Err(RequestError::Token { token, vocab_size: config.vocab_size });
        }
        let asked = request.prefix.len().saturating_add(request.prompt.len()).saturating_add(request.max_new_tokens);
        if asked > config.max_position_embeddings {
            return Err(RequestError::TooLong { asked, limit: config.max_position_embeddings });
        }
        Ok(())
    }
}

fn compute(source: ComputeError) -> GenerateError {
    GenerateError::Compute { source }
}

/// Why a call of [`Generator::generate`] gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A request that cannot be run.
    #[error("request {index} cannot be run")]
    Request {
        /// Its index in the call.
        index: usize,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// The model failed.
    #[error("generating failed")]
    Compute {
        /// At what.
        #[source]
        source: ComputeError,
    },
    /// The caller asked to stop.
    #[error("generation was cancelled")]
    Cancelled,
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
    /// Nothing to continue.
    #[error("the prompt is empty; give at least one token after the prefix")]
    EmptyPrompt,
    /// A token id the model has no embedding for.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    Token {
        /// The id.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// More tokens than the model has positions for.
    #[error("prefix, prompt and new tokens are {asked} positions; the model has {limit}")]
    TooLong {
        /// Positions asked for.
        asked: usize,
        /// Positions there are.
        limit: usize,
    },
}
