//! The engine on libtorch, over `galapagos_model`. Keeps a few checkpoints loaded; checks every load against the digest
//! that its checkpoint was committed with. Checkpoints that are adapters share one base (`adapters`).
//!
//! Where it computes, and in which number format, says its [`Place`].

mod adapters;
mod characters;
mod chat;
mod codec;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::recipe::guide::Speculate;
use galapagos_domain::seed::Seed;
use galapagos_model::engine::{AdapterId, Invariance, Made, SampleError, Speculation};
use galapagos_model::probe::Probe;
use galapagos_model::speculate::VerifyError;
use galapagos_model::{
    Decoder, Engine as ModelEngine, EngineOptions, GenerateError, ModelFolder, ModelKind, Precision, RunControl,
    Sampling, ScoreRequest, weights_digest,
};

use super::conversation::{ChatBatch, Reply};
use super::guided::{self, Guided};
use super::recent::Recent;
use super::{
    Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Progress, Request, ScoreBatch, Watch, is_adapter,
};
use crate::device::{Place, SMALL_HIDDEN};
use crate::ignored;
use adapters::AdapterBase;
use codec::HuggingFaceCodec;

/// Checkpoints kept loaded: base, champion and candidate, or policy and critic.
const LOADED: usize = 3;

/// Tokenizers kept loaded.
const CODECS: usize = 4;

/// Sequences that a small model computes at a time: they are cheap, and a step's overhead is shared by all.
const SMALL_SEQUENCES: usize = 256;

/// Tokens guessed at a time.
const GUESSES: usize = 8;

/// Keys and values of a probe: a few short sequences.
const PROBE_BYTES: usize = 256 << 20;

/// See the head of this file.
#[derive(Debug)]
pub struct TchEngine {
    place: Place,
    loaded: Recent<Digest, ModelEngine>,
    codecs: Recent<Digest, Arc<HuggingFaceCodec>>,
    base_path: Option<PathBuf>,
    /// Opened with the first adapter.
    base: Option<AdapterBase>,
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
        Self { place, loaded: Recent::new(LOADED), codecs: Recent::new(CODECS), base_path: None, base: None }
    }

    /// The same; checkpoints that are adapters stand on the model in `base`.
    #[must_use]
    pub fn standing_on(self, base: Option<PathBuf>) -> Self {
        Self { base_path: base, ..self }
    }

    /// The base of the adapter in `folder`.
    fn base(&mut self, folder: &Path) -> Result<&mut AdapterBase, EngineError> {
        let opened = match (self.base.take(), &self.base_path) {
            (Some(base), _) => base,
            (None, Some(path)) => AdapterBase::open(path, self.place)?,
            (None, None) => return Err(EngineError::NoBase { path: folder.to_owned() }),
        };
        Ok(self.base.insert(opened))
    }

    fn checkpoint_codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<HuggingFaceCodec>, EngineError> {
        if checkpoint.is_adapter() {
            return self.base(&checkpoint.path)?.codec();
        }
        let open = || HuggingFaceCodec::open(&checkpoint.path).map(Arc::new);
        self.codecs.get_or_make(checkpoint.checkpoint, open).map(|codec| Arc::clone(codec))
    }

    /// The engine that computes `checkpoint`, and its adapter if it is one.
    fn policy(&mut self, checkpoint: &CheckpointDir) -> Result<(&mut ModelEngine, Option<AdapterId>), EngineError> {
        if checkpoint.is_adapter() {
            let (engine, adapter) = self.base(&checkpoint.path)?.policy(checkpoint)?;
            return Ok((engine, Some(adapter)));
        }
        let load = || {
            let mut engine = load_engine(checkpoint, &read_committed(checkpoint, self.place)?, self.place)?;
            check_probe(checkpoint, &mut engine, None)?;
            Ok(engine)
        };
        Ok((self.loaded.get_or_make(checkpoint.checkpoint, load)?, None))
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
        if checkpoint.is_adapter() {
            let (engine, adapter) = self.base(&checkpoint.path)?.probe(checkpoint)?;
            let said = probe_with(checkpoint, engine, Some(adapter), sequences);
            engine.remove_adapter(adapter);
            return said;
        }
        let mut engine = new_engine(checkpoint, &read_committed(checkpoint, self.place)?, probe_options(self.place))?;
        check_probe(checkpoint, &mut engine, None)?;
        probe_with(checkpoint, &mut engine, None, sequences)
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
        let engine = self.base(&checkpoint.path)?.probe_bare(checkpoint)?;
        probe_with(checkpoint, engine, None, sequences)
    }
}

fn probe_options(place: Place) -> EngineOptions {
    let (precision, threads) = (Precision::F32, place.threads);
    EngineOptions { precision, threads, kv_bytes: PROBE_BYTES, ..EngineOptions::default() }
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

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        if is_adapter(folder) {
            return self.base(folder)?.inspect(folder);
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

fn open(folder: &Path) -> Result<ModelFolder, EngineError> {
    ModelFolder::open(folder).map_err(|source| EngineError::Load { path: folder.to_owned(), source: source.into() })
}

/// Reads and hashes the model of a folder.
fn read_model(folder: &ModelFolder, place: Place) -> Result<(Decoder, Digest), EngineError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Load { path: folder.path().to_owned(), source };
    let model = folder.load(place.device).map_err(|e| failed(e.into()))?;
    if let Some(name) = model.parameters().first_not_finite().map_err(|e| failed(e.into()))? {
        return Err(failed(format!("tensor `{name}` holds numbers that are not finite").into()));
    }
    let digest = weights_digest(model.parameters()).map_err(|e| failed(e.into()))?;
    Ok((model, Digest::from_bytes(*digest.as_bytes())))
}

/// The model of a checkpoint, if its weights are those it was committed with.
fn read_committed(checkpoint: &CheckpointDir, place: Place) -> Result<Decoder, EngineError> {
    let folder = open(&checkpoint.path)?;
    ignored::tell(&folder);
    let (model, found) = read_model(&folder, place)?;
    if found != checkpoint.weights {
        return Err(EngineError::WrongWeights { path: checkpoint.path.clone(), expected: checkpoint.weights, found });
    }
    Ok(model)
}

/// The engine that generates with `model`, which lies at `place`, for `checkpoint`.
fn load_engine(checkpoint: &CheckpointDir, model: &Decoder, place: Place) -> Result<ModelEngine, EngineError> {
    let hidden_size = model.config().hidden_size;
    let (precision, threads) = (place.precision(hidden_size), place.threads);
    let defaults = EngineOptions { precision, threads, ..EngineOptions::default() };
    let options = if hidden_size < SMALL_HIDDEN {
        let (max_sequences, max_rows) = (SMALL_SEQUENCES, 2 * SMALL_SEQUENCES);
        EngineOptions { max_sequences, max_rows, ..defaults }
    } else {
        defaults
    };
    let engine = new_engine(checkpoint, model, options)?;
    check_invariance(checkpoint, &engine)?;
    Ok(engine)
}

fn new_engine(checkpoint: &CheckpointDir, model: &Decoder, options: EngineOptions) -> Result<ModelEngine, EngineError> {
    ModelEngine::new(model, options).map_err(|source| unusable(checkpoint, source))
}

/// A kernel that computes wrongly on this machine, or differently in other batches, must not make a rollout.
fn check_invariance(checkpoint: &CheckpointDir, engine: &ModelEngine) -> Result<(), EngineError> {
    let what = "be computed on this machine: its kernels failed their self-test";
    self_test(engine).map_err(|source| EngineError::Compute { checkpoint: checkpoint.checkpoint, what, source })
}

/// What `engine` computes for `checkpoint` must be what its maker recorded, if it did.
fn check_probe(
    checkpoint: &CheckpointDir,
    engine: &mut ModelEngine,
    adapter: Option<AdapterId>,
) -> Result<(), EngineError> {
    let (path, checkpoint) = (checkpoint.path.clone(), checkpoint.checkpoint);
    let checked = Probe::check_folder(&path, engine, adapter);
    checked.map(drop).map_err(|source| EngineError::Probe { checkpoint, path, source })
}

/// [`ModelEngine::invariance`] as an error; a device that promises none is a warning.
pub(crate) fn self_test(engine: &ModelEngine) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match engine.invariance() {
        Invariance::Proven => Ok(()),
        Invariance::NotPromised => {
            tracing::warn!("on this device a completion may depend on what else is in its batch");
            Ok(())
        }
        Invariance::Kernel(defect) => Err(defect.into()),
        Invariance::Attention(defect) => Err(defect.into()),
    }
}

fn unusable(checkpoint: &CheckpointDir, source: galapagos_model::EngineError) -> EngineError {
    let what = "be loaded for inference";
    EngineError::Compute { checkpoint: checkpoint.checkpoint, what, source: source.into() }
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
