//! The generation engine: continuous batching over keys and values that sequences share.
//!
//! Requests are submitted at any time and advance together, one [`Engine::step`] after the other; [`Engine::generate`] and
//! [`Engine::score`] wrap that for callers with a list. A completion is a function of (weights, request, precision, kind of device)
//! alone: not of what else is computed, of what was computed before, or of the options.
//!
//! The pure core decides: `radix` finds prefixes, `memory` and `context` say who has which page, `schedule` says which rows come
//! next, `layout` orders them. None of it knows weights or numbers. `step` computes what was planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_kernels::Pool;

use crate::compute::Doing;
use crate::detokenize::TokenTexts;
use crate::inference::InferenceModel;
use crate::profile::Profile;
use crate::sampling::Scratch;
use crate::stop::StopStrings;
use crate::vision;
use crate::{Decoder, ModelConfig, ModelKind};

mod adapters;
mod context;
mod draft;
mod drive;
mod error;
mod event;
mod ids;
mod invariance;
mod layout;
mod memory;
mod options;
mod radix;
mod request;
mod sample;
mod schedule;
mod score;
mod step;
mod store;
mod swap;

#[cfg(test)]
mod operators_tests;

use adapters::Adapters;
use context::Tokens;
use draft::DraftModel;
use sample::{Asked, Sample, Work};
use schedule::{Goal, Limits, Scheduler, Sequence, SequenceId};
use score::Score;
use store::Store;

/// Tokens whose keys and values a page holds.
pub use galapagos_kernels::PAGE_TOKENS;

pub use drive::{Made, RunControl};
pub use error::{EngineError, GenerateError};
pub use event::{Completion, Event, SampleError, TokenEvent};
pub use ids::{AdapterId, RequestId, WeightVersion};
pub use invariance::Invariance;
pub use memory::PageCounts;
pub use options::{EngineOptions, Stats};
pub use request::{Masks, Read, Request, RequestError, ScoreRequest, Speculation};
pub use swap::SwapPolicy;

/// A model ready to generate and to score. See the head of this module.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    pool: Arc<Pool>,
    config: ModelConfig,
    /// Weights that some request still needs, and the current ones.
    models: BTreeMap<WeightVersion, InferenceModel>,
    current: WeightVersion,
    scheduler: Scheduler,
    store: Store,
    page_bytes: usize,
    works: BTreeMap<SequenceId, Work>,
    requests: BTreeMap<RequestId, Vec<SequenceId>>,
    texts: Option<Arc<TokenTexts>>,
    adapters: Adapters,
    draft: Option<DraftModel>,
    /// What happened and was not told yet.
    events: Vec<Event>,
    next_sequence: u64,
    next_request: u64,
    stats: Stats,
    /// Whether steps are measured, and what was since it was asked.
    profiles: bool,
    profile: Profile,
    scratch: Vec<Scratch>,
}

impl Engine {
    /// Copies the weights of `model`, whose head decides what can be asked for. Pages are made when they are needed.
    ///
    /// # Errors
    /// [`EngineError::Option`] for options that contradict each other, [`EngineError::Compute`] when libtorch cannot hold the copy.
    pub fn new(model: &Decoder, options: EngineOptions) -> Result<Self, EngineError> {
        let _no_gradients = tch::no_grad_guard();
        let pool = Arc::new(Pool::new(options.threads.max(1)));
        let inference =
            InferenceModel::new(model, options.precision, Arc::clone(&pool)).doing("a copy of the weights")?;
        Self::on(inference, pool, options)
    }

    fn on(inference: InferenceModel, pool: Arc<Pool>, options: EngineOptions) -> Result<Self, EngineError> {
        let current = WeightVersion(0);
        let page_bytes = inference.kv_geometry().bytes_per_page();
        let pages = options.kv_bytes / page_bytes;
        check_options(&options, pages, page_bytes)?;
        let limits =
            Limits { max_rows: options.max_rows, max_sequences: options.max_sequences, share: options.share_prefixes };
        Ok(Self {
            options,
            pool,
            config: inference.config().clone(),
            store: Store::new(&inference),
            models: BTreeMap::from([(current, inference)]),
            current,
            scheduler: Scheduler::new(limits, pages, current),
            page_bytes,
            works: BTreeMap::new(),
            requests: BTreeMap::new(),
            texts: None,
            adapters: Adapters::default(),
            draft: None,
            events: Vec::new(),
            next_sequence: 0,
            next_request: 0,
            stats: Stats::default(),
            profiles: false,
            profile: Profile::default(),
            scratch: Vec::new(),
        })
    }

    /// Gives completions that are submitted from now on their texts, and lets them have stop strings.
    pub fn set_texts(&mut self, texts: Arc<TokenTexts>) {
        self.texts = Some(texts);
    }

    /// The configuration of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How it computes.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The weights that requests begin with now.
    #[must_use]
    pub fn version(&self) -> WeightVersion {
        self.current
    }

    /// Whether nothing is left to be computed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// See [`Stats`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        let work = self.scheduler.counts();
        Stats {
            reused_tokens: work.reused_tokens,
            preemptions: work.preemptions,
            evictions: self.scheduler.memory().evictions(),
            pages: self.scheduler.memory().counts(),
            page_bytes: self.page_bytes,
            active: self.scheduler.active(),
            waiting: self.scheduler.waiting(),
            ..self.stats
        }
    }

    /// Queues a request. It is told of by the events of [`Engine::step`].
    ///
    /// # Errors
    /// [`RequestError`]: what is accepted can be computed. [`RequestError::Full`] asks to try again later.
    pub fn submit(&mut self, request: Request) -> Result<RequestId, RequestError> {
        self.check(&request)?;
        self.check_queue(request.samples)?;
        let stops = Arc::new(self.stop_strings(&request)?);
        let prompt: Arc<[u32]> = request.prompt.as_slice().into();
        let (adapter, id) = (request.adapter, self.new_request());
        let asked = Arc::new(Asked { request, stops, texts: self.texts.clone() });
        for index in 0..asked.request.samples {
            let tokens = Tokens { prompt: Arc::clone(&prompt), made: Vec::new() };
            let work = Work::Sample(Box::new(Sample::new(id, index, &asked)));
            self.queue(Sequence { request: id, adapter, tokens, goal: Goal::Draw }, work);
        }
        Ok(id)
    }

    /// Queues a score request.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_score(&mut self, request: &ScoreRequest) -> Result<RequestId, RequestError> {
        self.check_score(request)?;
        self.check_queue(1)?;
        let id = self.new_request();
        let tokens = Tokens { prompt: request.tokens[..request.positions()].into(), made: Vec::new() };
        let goal = Goal::Read { first: request.rows().first().copied().unwrap_or(0), read: 0 };
        let work = Work::Score(Box::new(Score::new(id, request, self.config.label_count())));
        self.queue(Sequence { request: id, adapter: request.adapter, tokens, goal }, work);
        Ok(id)
    }

    /// Ends a request without result; its pages are free for others. False if it had ended.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let Some(sequences) = self.requests.remove(&id) else { return false };
        for sequence in sequences {
            self.end(sequence);
            self.works.remove(&sequence);
        }
        self.clean();
        true
    }

    fn new_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request - 1)
    }

    fn queue(&mut self, sequence: Sequence, work: Work) {
        let id = SequenceId(self.next_sequence);
        self.next_sequence += 1;
        self.requests.entry(sequence.request).or_default().push(id);
        self.scheduler.submit(id, sequence);
        self.works.insert(id, work);
    }

    /// Takes a sequence out of the scheduler and the draft model.
    fn end(&mut self, id: SequenceId) -> Option<Sequence> {
        let sequence = self.scheduler.finish(id)?;
        if let Some(draft) = &mut self.draft {
            draft.forget(id, &sequence.tokens);
        }
        Some(sequence)
    }

    /// Forgets a sequence that ended, and its request after the last one.
    fn forget(&mut self, id: SequenceId, request: RequestId) {
        self.works.remove(&id);
        if let Some(sequences) = self.requests.get_mut(&request) {
            sequences.retain(|sequence| *sequence != id);
            if sequences.is_empty() {
                self.requests.remove(&request);
            }
        }
    }

    fn stop_strings(&self, request: &Request) -> Result<StopStrings, RequestError> {
        if self.texts.is_none() && !request.stop_strings.is_empty() {
            return Err(RequestError::NoTexts);
        }
        StopStrings::new(&request.stop_strings).map_err(|source| RequestError::StopString { source })
    }

    fn check(&self, request: &Request) -> Result<(), RequestError> {
        self.check_head(true)?;
        self.check_adapter(request.adapter)?;
        if matches!(request.speculation, Speculation::DraftModel { .. }) && self.draft.is_none() {
            return Err(RequestError::NoDraftModel);
        }
        request.sampling.validate().map_err(|source| RequestError::Sampling { source })?;
        for (name, value) in [("samples", request.samples), ("max_new_tokens", request.max_new_tokens)] {
            if value == 0 {
                return Err(RequestError::Setting { name, value: 0.0, expected: "at least 1" });
            }
        }
        self.check_tokens(&request.prompt, request.positions())?;
        let (asked, limit) = (request.positions() + 1, self.config.max_position_embeddings);
        if asked > limit { Err(RequestError::TooLong { asked, limit }) } else { Ok(()) }
    }

    fn check_score(&self, request: &ScoreRequest) -> Result<(), RequestError> {
        self.check_head(match request.read {
            Read::LogProbs { .. } | Read::Next { .. } => true,
            Read::Values { .. } | Read::Masked(_) => false,
        })?;
        match &request.read {
            // What a head can say.
            Read::Next { tokens } => self.check_vocabulary(tokens)?,
            Read::LogProbs { from } => self.check_vocabulary(request.tokens.get(*from..).unwrap_or_default())?,
            Read::Values { .. } | Read::Masked(_) => {}
        }
        self.check_adapter(request.adapter)?;
        if request.tokens.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        request.check()?;
        self.check_tokens(&request.tokens, request.positions())
    }

    /// Whether the head gives what is asked for: log-probabilities of tokens, or values.
    fn check_head(&self, tokens: bool) -> Result<(), RequestError> {
        let have = self.config.kind;
        if (have == ModelKind::CausalLm) == tokens {
            return Ok(());
        }
        let need = if tokens { "language-model" } else { "scalar or classification" };
        Err(RequestError::WrongHead { have, need })
    }

    fn check_adapter(&self, adapter: Option<AdapterId>) -> Result<(), RequestError> {
        match adapter {
            Some(adapter) if !self.adapters.offers(adapter) => Err(RequestError::NoAdapter { adapter }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_vocabulary(&self, tokens: &[u32]) -> Result<(), RequestError> {
        let vocab_size = self.config.vocab_size;
        match tokens.iter().copied().find(|token| *token as usize >= vocab_size) {
            Some(token) => Err(RequestError::Token { token, vocab_size }),
            None => Ok(()),
        }
    }

    /// Whether the model has these tokens and that many positions, and the budget their keys and values.
    fn check_tokens(&self, tokens: &[u32], positions: usize) -> Result<(), RequestError> {
        if tokens.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        vision::patches(&self.config, [tokens])?;
        let (asked, limit) = (positions.max(tokens.len()), self.config.max_position_embeddings);
        if asked > limit {
            return Err(RequestError::TooLong { asked, limit });
        }
        let (pages, budget) = (positions.div_ceil(PAGE_TOKENS), self.scheduler.memory().limit());
        if pages > budget {
            let (needed_bytes, budget_bytes) = (pages * self.page_bytes, budget * self.page_bytes);
            return Err(RequestError::Memory { tokens: positions, needed_bytes, budget_bytes });
        }
        Ok(())
    }

    fn check_queue(&self, asked: usize) -> Result<(), RequestError> {
        let (waiting, limit) = (self.scheduler.waiting(), self.options.max_waiting);
        // One request that is larger than the queue has it for itself.
        if waiting > 0 && waiting.saturating_add(asked) > limit {
            return Err(RequestError::Full { waiting, asked, limit });
        }
        Ok(())
    }
}

fn check_options(options: &EngineOptions, pages: usize, page_bytes: usize) -> Result<(), EngineError> {
    let wrong = |name, value, expected| Err(EngineError::Option { name, value, expected });
    if pages == 0 {
        return wrong("kv_bytes", options.kv_bytes, format!("at least {page_bytes}, a page of {PAGE_TOKENS} tokens"));
    }
    for (name, value) in [("threads", options.threads), ("max_sequences", options.max_sequences)] {
        if value == 0 {
            return wrong(name, value, "at least 1".to_owned());
        }
    }
    if options.max_rows < options.max_sequences {
        let expected = format!("at least max_sequences ({}): each of them may need a row", options.max_sequences);
        return wrong("max_rows", options.max_rows, expected);
    }
    Ok(())
}
