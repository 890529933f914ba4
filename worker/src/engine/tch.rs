//! The engine on libtorch, over `galapagos_model`. Keeps a few checkpoints loaded; checks every load against the digest
//! that its checkpoint was committed with.
//!
//! Number format: bfloat16 for real models; 32-bit floats for models narrower than [`SMALL_HIDDEN`] (the character
//! transformers), which are too small to gain from bfloat16 and too small to bear its rounding.

mod characters;
mod codec;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use galapagos_model::{
    GenerateError, Generator, GeneratorOptions, Llama, ModelFolder, ModelKind, Precision, RunControl, Sampling,
    ScalarModel, weights_digest,
};
use tch::Device;

use super::recent::Recent;
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Progress, Request, ScoreBatch, Watch};
use codec::HuggingFaceCodec;

/// Checkpoints kept loaded: base, champion and candidate, or policy and critic.
const LOADED: usize = 3;

/// Tokenizers kept loaded.
const CODECS: usize = 4;

/// Models narrower than this compute in 32-bit floats.
pub const SMALL_HIDDEN: usize = 256;

/// Rows per call of the generator, so that progress moves and a cancelled attempt ends soon. Results do not depend on it.
const ROWS_PER_CALL: usize = 256;

/// Sequences per call of the scalar model, for the same reasons.
const SEQUENCES_PER_CALL: usize = 64;

/// See the head of this file.
#[derive(Debug)]
pub struct TchEngine {
    loaded: Recent<Digest, Loaded>,
    codecs: Recent<Digest, Arc<HuggingFaceCodec>>,
}

#[derive(Debug)]
enum Loaded {
    Language(Generator),
    Scalar(ScalarModel),
}

impl TchEngine {
    /// An engine with nothing loaded. Sets libtorch to one thread: workers share a machine by processes.
    #[must_use]
    pub fn new() -> Self {
        tch::set_num_threads(1);
        Self { loaded: Recent::new(LOADED), codecs: Recent::new(CODECS) }
    }
}

impl Default for TchEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for TchEngine {
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        let open = || HuggingFaceCodec::open(&checkpoint.path).map(Arc::new);
        let codec = self.codecs.get_or_make(checkpoint.checkpoint, open)?;
        Ok(Arc::clone(codec) as Arc<dyn Codec>)
    }

    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let generator = match self.loaded.get_or_make(batch.checkpoint.checkpoint, || load(&batch.checkpoint))? {
            Loaded::Language(generator) => generator,
            Loaded::Scalar(_) => return Err(wrong_head(&batch.checkpoint, "generate text: it has a scalar head")),
        };
        let requests = model_requests(batch);
        let mut completions = Vec::new();
        let mut progress = Progress::default();
        for chunk in chunks(&requests) {
            let before = progress.tokens;
            let mut on_tokens = |tokens| (watch.progress)(Progress { tokens: before + tokens, ..progress });
            let mut control = RunControl { cancel: Some(watch.cancel.flag()), progress: Some(&mut on_tokens) };
            let made = generator.generate(chunk, &mut control).map_err(|error| failed(&batch.checkpoint, error))?;
            progress.ended += made.len() as u64;
            progress.tokens += made.iter().map(|completion| completion.tokens.len() as u64).sum::<u64>();
            (watch.progress)(progress);
            completions.extend(made.into_iter().map(|c| Completion { tokens: c.tokens, log_probs: c.log_probs }));
        }
        Ok(completions)
    }

    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        let checkpoint = batch.checkpoint.checkpoint;
        let model = match self.loaded.get_or_make(checkpoint, || load(&batch.checkpoint))? {
            Loaded::Scalar(model) => model,
            Loaded::Language(_) => return Err(wrong_head(&batch.checkpoint, "score: it has no scalar head")),
        };
        let mut scores = Vec::with_capacity(batch.sequences.len());
        for chunk in batch.sequences.chunks(SEQUENCES_PER_CALL) {
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            let made = model.score_behind(&batch.prefix, chunk);
            scores.extend(made.map_err(|e| EngineError::Compute { checkpoint, what: "score", source: e.into() })?);
        }
        match scores.iter().position(|score| !score.is_finite()) {
            Some(sequence) => Err(EngineError::NotFinite { checkpoint, sequence, value: scores[sequence] }),
            None => Ok(scores),
        }
    }

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        read_model(folder).map(|(_, digest)| digest)
    }

    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        let failed = |source| EngineError::Initialise { path: folder.to_owned(), source };
        let (model, tokenizer) = characters::initialise(shape, seed).map_err(failed)?;
        let digest = weights_digest(model.parameters()).map_err(|source| failed(source.into()))?;
        ModelFolder::save(folder, &model, &tokenizer).map_err(|source| failed(source.into()))?;
        Ok(Digest::from_bytes(*digest.as_bytes()))
    }
}

/// Opens, reads and hashes a model folder.
fn read_model(folder: &Path) -> Result<(Llama, Digest), EngineError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Load { path: folder.to_owned(), source };
    let model = ModelFolder::open(folder).and_then(|f| f.load(Device::Cpu)).map_err(|e| failed(e.into()))?;
    if let Some(name) = model.parameters().first_not_finite().map_err(|e| failed(e.into()))? {
        return Err(failed(format!("tensor `{name}` holds numbers that are not finite").into()));
    }
    let digest = weights_digest(model.parameters()).map_err(|e| failed(e.into()))?;
    Ok((model, Digest::from_bytes(*digest.as_bytes())))
}

fn load(checkpoint: &CheckpointDir) -> Result<Loaded, EngineError> {
    let (model, found) = read_model(&checkpoint.path)?;
    if found != checkpoint.weights {
        return Err(EngineError::WrongWeights { path: checkpoint.path.clone(), expected: checkpoint.weights, found });
    }
    let small = model.config().hidden_size < SMALL_HIDDEN;
    let precision = if small { Precision::F32 } else { Precision::Bf16 };
    match model.config().kind {
        ModelKind::CausalLm => {
            let max_rows = if small { ROWS_PER_CALL } else { GeneratorOptions::default().max_rows };
            let generator = Generator::new(&model, GeneratorOptions { precision, max_rows });
            Ok(Loaded::Language(generator.map_err(|error| failed(checkpoint, error))?))
        }
        ModelKind::Scalar => {
            let failed = |e: galapagos_model::ComputeError| EngineError::Compute {
                checkpoint: checkpoint.checkpoint,
                what: "be loaded for scoring",
                source: e.into(),
            };
            Ok(Loaded::Scalar(ScalarModel::new(&model, precision).map_err(failed)?))
        }
    }
}

fn model_requests(batch: &Batch) -> Vec<galapagos_model::Request> {
    let prefix: Arc<[u32]> = batch.prefix.clone().into();
    let stop_tokens: Arc<BTreeSet<u32>> = Arc::new(batch.stop.iter().copied().collect());
    let request = |request: &Request| galapagos_model::Request {
        prefix: Arc::clone(&prefix),
        prompt: request.prompt.clone(),
        samples: request.samples as usize,
        sampling: Sampling { temperature: request.temperature, top_p: request.top_p, top_k: None },
        max_new_tokens: batch.max_tokens as usize,
        stop_tokens: Arc::clone(&stop_tokens),
        seed: request.seed.0,
    };
    batch.requests.iter().map(request).collect()
}

/// Cuts requests into runs of about [`ROWS_PER_CALL`] rows, a request never in two.
fn chunks(requests: &[galapagos_model::Request]) -> Vec<&[galapagos_model::Request]> {
    let (mut cut, mut start, mut rows) = (Vec::new(), 0, 0);
    for (place, request) in requests.iter().enumerate() {
        if rows > 0 && rows + request.samples > ROWS_PER_CALL {
            cut.push(&requests[start..place]);
            (start, rows) = (place, 0);
        }
        rows += request.samples;
    }
    cut.push(&requests[start..]);
    cut
}

fn failed(checkpoint: &CheckpointDir, error: GenerateError) -> EngineError {
    let checkpoint = checkpoint.checkpoint;
    match error {
        GenerateError::Cancelled => EngineError::Cancelled,
        GenerateError::Request { .. } => EngineError::Request { checkpoint, source: error.into() },
        GenerateError::Compute { .. } => EngineError::Compute { checkpoint, what: "generate", source: error.into() },
    }
}

fn wrong_head(checkpoint: &CheckpointDir, what: &str) -> EngineError {
    EngineError::WrongHead { checkpoint: checkpoint.checkpoint, what: what.to_owned() }
}
