//! The engine on libtorch, over `galapagos_model`. Keeps a few checkpoints loaded; checks every load against the digest
//! that its checkpoint was committed with and against its probe. Checkpoints that are adapters stand on the base that their
//! checkpoint names, and share it (`loaded`); those that name none, on the base that this engine was given.
//!
//! Where it computes, and in which number format, says its [`Place`].

mod characters;
mod chat;
mod codec;
mod load;
mod loaded;
mod room;
mod stream;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::recipe::guide::Speculate;
use galapagos_domain::seed::Seed;
use galapagos_model::engine::{AdapterId, Made, SampleError, Speculation};
use galapagos_model::speculate::VerifyError;
use galapagos_model::{
    Engine as ModelEngine, GenerateError, ModelFolder, ModelKind, RunControl, Sampling, ScoreRequest, weights_digest,
};

use super::conversation::{ChatBatch, Reply};
use super::guided::{self, Guided};
use super::recent::Recent;
use super::stream::Flow;
use super::{
    Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Fed, Progress, Request, ScoreBatch, Watch, is_adapter,
};
use crate::device::Place;
use codec::HuggingFaceCodec;
pub(crate) use load::self_test;
use load::{check_probe, new_engine, open, probe_options, read_committed, read_model};
use loaded::{Loaded, add_adapter, open_adapter, read_adapter};
pub(super) use room::Held;

/// Checkpoints always kept loaded: base, champion and candidate, or policy and critic. A search keeps as many as it asks (`room`).
const LOADED: usize = 3;

/// Tokenizers always kept loaded.
const CODECS: usize = 4;

/// Tokens guessed at a time.
const GUESSES: usize = 8;

/// See the head of this file.
#[derive(Debug)]
pub struct TchEngine {
    place: Place,
    loaded: Recent<Digest, Loaded>,
    codecs: Recent<Digest, Arc<HuggingFaceCodec>>,
    /// The base of the adapter that was probed last, in 32-bit floats.
    probing: Recent<Digest, ModelEngine>,
    base_path: Option<PathBuf>,
    /// The model in `base_path`, once it was read.
    given: Option<Arc<CheckpointDir>>,
}

impl TchEngine {
    /// [`TchEngine::on`] the CPU.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Place::CPU)
    }

    /// An engine with nothing loaded and no base for adapters. Sets libtorch to one thread: workers share a machine by processes.
    #[must_use]
    pub fn on(place: Place) -> Self {
        tch::set_num_threads(1);
        let (loaded, codecs, probing) = (Recent::new(LOADED), Recent::new(CODECS), Recent::new(1));
        Self { place, loaded, codecs, probing, base_path: None, given: None }
    }

    /// The same; adapters that name no base stand on the model in `base`.
    #[must_use]
    pub fn standing_on(self, base: Option<PathBuf>) -> Self {
        Self { base_path: base, given: None, ..self }
    }

    /// The base of an adapter: the one that its checkpoint names, and only without one that of this engine.
    fn base(&mut self, adapter: &CheckpointDir) -> Result<Arc<CheckpointDir>, EngineError> {
        if let Some(base) = adapter.base.as_ref().or(self.given.as_ref()) {
            return Ok(Arc::clone(base));
        }
        let path = self.base_path.clone().ok_or_else(|| EngineError::NoBase { path: adapter.path.clone() })?;
        let read = open(&path).and_then(|folder| read_model(&folder, Place::CPU));
        let (_, weights) = read.map_err(as_base)?;
        tracing::info!("adapters that name no base stand on {}, weights {}", path.display(), weights.short());
        let base = Arc::new(CheckpointDir { checkpoint: weights, weights, path, base: None });
        Ok(Arc::clone(self.given.insert(base)))
    }

    fn checkpoint_codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<HuggingFaceCodec>, EngineError> {
        if checkpoint.is_adapter() {
            let base = self.base(checkpoint)?;
            return self.checkpoint_codec(&base);
        }
        let open = || HuggingFaceCodec::open(&checkpoint.path).map(Arc::new);
        self.codecs.get_or_make(checkpoint.checkpoint, open).map(|codec| Arc::clone(codec))
    }

    /// The engine that computes `checkpoint`, and its adapter if it is one.
    fn policy(&mut self, checkpoint: &CheckpointDir) -> Result<(&mut ModelEngine, Option<AdapterId>), EngineError> {
        let place = self.place;
        if !checkpoint.is_adapter() {
            let loaded = self.loaded.get_or_make(checkpoint.checkpoint, || Loaded::open(checkpoint, place))?;
            return Ok((&mut loaded.engine, None));
        }
        let base = self.base(checkpoint)?;
        let loaded = self.loaded.get_or_make(base.checkpoint, || Loaded::open(&base, place))?;
        let adapter = loaded.adapter(checkpoint, &base, place)?;
        Ok((&mut loaded.engine, Some(adapter)))
    }
}

impl TchEngine {
    /// What `checkpoint` says about `sequences(vocabulary)`: the size of its vocabulary, and the log-probability of every token of
    /// every sequence but the first ones, computed in 32-bit floats.
    ///
    /// # Errors
    /// As a load of the checkpoint, or of the computation.
    pub fn probe(
        &mut self,
        checkpoint: &CheckpointDir,
        sequences: impl Fn(u32) -> Vec<Vec<u32>>,
    ) -> Result<(u32, Vec<f64>), EngineError> {
        let place = self.place;
        if checkpoint.is_adapter() {
            let base = self.base(checkpoint)?;
            let engine = self.in_f32(&base)?;
            let adapter = read_adapter(checkpoint, &base, engine.config(), place)?;
            let adapter = add_adapter(engine, checkpoint, &adapter)?;
            let said = probe_with(checkpoint, engine, Some(adapter), sequences);
            engine.remove_adapter(adapter);
            return said;
        }
        probe_with(checkpoint, &mut f32_engine(checkpoint, place)?, None, sequences)
    }

    /// As [`TchEngine::probe`], of the base that the adapter `checkpoint` stands on, without the adapter.
    ///
    /// # Errors
    /// As [`TchEngine::probe`].
    pub fn probe_base(
        &mut self,
        checkpoint: &CheckpointDir,
        sequences: impl Fn(u32) -> Vec<Vec<u32>>,
    ) -> Result<(u32, Vec<f64>), EngineError> {
        let base = self.base(checkpoint)?;
        probe_with(checkpoint, self.in_f32(&base)?, None, sequences)
    }

    fn in_f32(&mut self, base: &CheckpointDir) -> Result<&mut ModelEngine, EngineError> {
        let place = self.place;
        self.probing.get_or_make(base.checkpoint, || f32_engine(base, place))
    }
}

fn f32_engine(checkpoint: &CheckpointDir, place: Place) -> Result<ModelEngine, EngineError> {
    let mut engine = new_engine(checkpoint, &read_committed(checkpoint, place)?, probe_options(place))?;
    check_probe(checkpoint, &mut engine, None)?;
    Ok(engine)
}

/// A folder that was to be the base of adapters and cannot be.
fn as_base(error: EngineError) -> EngineError {
    match error {
        EngineError::Load { path, source } => EngineError::Base { path, source },
        other => other,
    }
}

fn probe_with(
    checkpoint: &CheckpointDir,
    engine: &mut ModelEngine,
    adapter: Option<AdapterId>,
    sequences: impl Fn(u32) -> Vec<Vec<u32>>,
) -> Result<(u32, Vec<f64>), EngineError> {
    let vocabulary = u32::try_from(engine.config().vocab_size).unwrap_or(u32::MAX);
    let request =
        |sequence: &Vec<u32>| ScoreRequest { adapter, ..ScoreRequest::continuation(&sequence[..1], &sequence[1..]) };
    let requests: Vec<ScoreRequest> = sequences(vocabulary).iter().map(request).collect();
    let scores = engine.score(&requests, &mut RunControl::default());
    let scores = scores.map_err(|error| failed(checkpoint, "be probed", error))?;
    Ok((vocabulary, scores.into_iter().flatten().map(f64::from).collect()))
}

impl Default for TchEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for TchEngine {
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        Ok(self.checkpoint_codec(checkpoint)?)
    }

    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let guides = guided::of_batch(batch, self)?;
        let (engine, adapter) = self.policy(&batch.checkpoint)?;
        check_writes(&batch.checkpoint, engine)?;
        let mut requests = model_requests(batch, &guides);
        requests.iter_mut().for_each(|request| request.adapter = adapter);
        let mut report = reporting(watch);
        let mut control = RunControl { cancel: Some(watch.cancel.flag()), progress: Some(&mut report) };
        let made = engine.generate(&requests, &mut control);
        let made = made.map_err(|error| not_generated(&batch.checkpoint, &guides, error))?;
        let completion =
            |made: galapagos_model::Completion| Completion { tokens: made.tokens, log_probs: made.log_probs };
        Ok(made.into_iter().flatten().map(completion).collect())
    }

    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        chat::replies(self, batch, watch)
    }

    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        let checkpoint = batch.checkpoint.checkpoint;
        let (engine, adapter) = self.policy(&batch.checkpoint)?;
        if engine.config().kind != ModelKind::Scalar {
            return Err(wrong_head(&batch.checkpoint, "score: it has no scalar head"));
        }
        let request = |sequence: &Vec<u32>| ScoreRequest {
            adapter,
            ..ScoreRequest::last_value([&batch.prefix[..], sequence].concat())
        };
        let requests: Vec<ScoreRequest> = batch.sequences.iter().map(request).collect();
        let mut control = RunControl { cancel: Some(watch.cancel.flag()), progress: None };
        let scores = engine.score(&requests, &mut control).map_err(|error| match error {
            GenerateError::Sample { index, source: SampleError::NotFinite { value, .. }, .. } => {
                EngineError::NotFinite { checkpoint, sequence: index, value }
            }
            error => failed(&batch.checkpoint, "score", error),
        })?;
        Ok(scores.into_iter().flatten().collect())
    }

    fn likely(
        &mut self,
        checkpoint: &CheckpointDir,
        behind: &[u32],
        next: &[u32],
        watch: &Watch,
    ) -> Result<Vec<f32>, EngineError> {
        let (engine, adapter) = self.policy(checkpoint)?;
        check_writes(checkpoint, engine)?;
        let request = ScoreRequest { adapter, ..ScoreRequest::next(behind.to_vec(), next.to_vec()) };
        let mut control = RunControl { cancel: Some(watch.cancel.flag()), progress: None };
        let scores =
            engine.score(&[request], &mut control).map_err(|error| failed(checkpoint, "weigh tokens", error))?;
        Ok(scores.into_iter().flatten().collect())
    }

    fn fed(&self) -> Option<Fed> {
        let stats = self.loaded.values().map(|loaded| loaded.engine.stats());
        Some(stats.fold(Fed::default(), |fed, stats| Fed {
            computed: fed.computed + stats.computed_tokens,
            found: fed.found + stats.reused_tokens,
        }))
    }

    fn stream(&mut self, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
        stream::run(self, flow, watch)
    }

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        if is_adapter(folder) {
            let base = self.base_path.clone().ok_or_else(|| EngineError::NoBase { path: folder.to_owned() })?;
            let opened = open(&base).map_err(as_base)?;
            return open_adapter(folder, (&base, opened.config()), Place::CPU).map(|(_, digest)| digest);
        }
        read_model(&open(folder)?, Place::CPU).map(|(_, digest)| digest)
    }

    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        let failed = |source| EngineError::Initialise { path: folder.to_owned(), source };
        let (model, tokenizer) = characters::initialise(shape, seed).map_err(failed)?;
        let digest = weights_digest(model.parameters()).map_err(|source| failed(source.into()))?;
        ModelFolder::save(folder, &model, &tokenizer).map_err(|source| failed(source.into()))?;
        Ok(Digest::from_bytes(*digest.as_bytes()))
    }
}

fn model_requests(batch: &Batch, guides: &[Option<Guided>]) -> Vec<galapagos_model::Request> {
    let stop_tokens: Arc<BTreeSet<u32>> = Arc::new(batch.stop.iter().copied().collect());
    let request = |(request, guided): (&Request, &Option<Guided>)| {
        let prompt = [&batch.prefix[..], &request.prompt].concat();
        galapagos_model::Request {
            samples: request.samples as usize,
            stop_tokens: Arc::clone(&stop_tokens),
            seed: request.seed.0,
            ..model_request(prompt, &request.sampling, guided.as_ref(), batch.max_tokens)
        }
    };
    batch.requests.iter().zip(guides).map(request).collect()
}

/// One completion of `prompt` by `sampling`, under its guide, compiled.
fn model_request(
    prompt: Vec<u32>,
    sampling: &galapagos_domain::job::Sampling,
    guided: Option<&Guided>,
    max_tokens: u32,
) -> galapagos_model::Request {
    galapagos_model::Request {
        sampling: Arc::new(model_sampling(sampling)),
        guide: guided.map(|guided| guided.guide.clone()),
        speculation: match sampling.speculate {
            Speculate::Off => Speculation::Off,
            Speculate::Lookup => Speculation::PromptLookup { most: GUESSES },
        },
        ..galapagos_model::Request::greedy(prompt, max_tokens as usize)
    }
}

/// What has been made, as `watch` hears it.
fn reporting(watch: &Watch) -> impl FnMut(Made) {
    |made| (watch.progress)(Progress { ended: made.ended, tokens: made.tokens })
}

fn check_writes(checkpoint: &CheckpointDir, engine: &ModelEngine) -> Result<(), EngineError> {
    match engine.config().kind {
        ModelKind::CausalLm => Ok(()),
        _ => Err(wrong_head(checkpoint, "generate text: it has a scalar head")),
    }
}

fn model_sampling(asked: &galapagos_domain::job::Sampling) -> Sampling {
    Sampling {
        top_p: asked.top_p,
        top_k: asked.top_k.map(|top_k| top_k as usize),
        min_p: asked.min_p,
        repetition_penalty: asked.repetition_penalty,
        ..Sampling::at(asked.temperature)
    }
}

/// A guide that comes to a place where no token is allowed would do so again.
fn not_generated(checkpoint: &CheckpointDir, guides: &[Option<Guided>], error: GenerateError) -> EngineError {
    match error {
        GenerateError::Sample {
            index,
            source: SampleError::Choose { source: source @ VerifyError::Guide { .. } },
            ..
        } => {
            let guide = guides.get(index).and_then(Option::as_ref).map(|guided| guided.named.clone());
            EngineError::Guide { guide: guide.unwrap_or_default(), source: source.into() }
        }
        error => failed(checkpoint, "generate", error),
    }
}

fn failed(checkpoint: &CheckpointDir, what: &'static str, error: GenerateError) -> EngineError {
    let checkpoint = checkpoint.checkpoint;
    match error {
        GenerateError::Cancelled => EngineError::Cancelled,
        GenerateError::Request { .. } => EngineError::Request { checkpoint, source: error.into() },
        GenerateError::Engine { .. } | GenerateError::Sample { .. } => {
            EngineError::Compute { checkpoint, what, source: error.into() }
        }
    }
}

fn wrong_head(checkpoint: &CheckpointDir, what: &str) -> EngineError {
    EngineError::WrongHead { checkpoint: checkpoint.checkpoint, what: what.to_owned() }
}
