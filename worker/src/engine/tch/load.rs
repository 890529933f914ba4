//! Reads models and makes engines of them. Nothing leaves here that was not checked: digests, kernels, probes.

use std::path::Path;

use galapagos_domain::ids::Digest;
use galapagos_model::engine::{AdapterId, Invariance};
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, Engine as ModelEngine, EngineOptions, ModelFolder, Precision, weights_digest};

use super::super::{CheckpointDir, EngineError};
use crate::device::{Place, SMALL_HIDDEN};
use crate::ignored;

/// Sequences that a small model computes at a time: they are cheap, and a step's overhead is shared by all.
const SMALL_SEQUENCES: usize = 256;

/// Keys and values of a probe: a few short sequences.
const PROBE_BYTES: usize = 256 << 20;

pub(super) fn open(folder: &Path) -> Result<ModelFolder, EngineError> {
    ModelFolder::open(folder).map_err(|source| EngineError::Load { path: folder.to_owned(), source: source.into() })
}

/// Reads and hashes the model of a folder.
pub(super) fn read_model(folder: &ModelFolder, place: Place) -> Result<(Decoder, Digest), EngineError> {
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
pub(super) fn read_committed(checkpoint: &CheckpointDir, place: Place) -> Result<Decoder, EngineError> {
    let folder = open(&checkpoint.path)?;
    ignored::tell(&folder);
    let (model, found) = read_model(&folder, place)?;
    if found != checkpoint.weights {
        return Err(EngineError::WrongWeights { path: checkpoint.path.clone(), expected: checkpoint.weights, found });
    }
    Ok(model)
}

/// The engine that generates with `model`, which lies at `place`, for `checkpoint`.
pub(super) fn load_engine(
    checkpoint: &CheckpointDir,
    model: &Decoder,
    place: Place,
) -> Result<ModelEngine, EngineError> {
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

pub(super) fn new_engine(
    checkpoint: &CheckpointDir,
    model: &Decoder,
    options: EngineOptions,
) -> Result<ModelEngine, EngineError> {
    ModelEngine::new(model, options).map_err(|source| unusable(checkpoint, source))
}

/// A kernel that computes wrongly on this machine, or differently in other batches, must not make a rollout.
pub(super) fn check_invariance(checkpoint: &CheckpointDir, engine: &ModelEngine) -> Result<(), EngineError> {
    let what = "be computed on this machine: its kernels failed their self-test";
    self_test(engine).map_err(|source| EngineError::Compute { checkpoint: checkpoint.checkpoint, what, source })
}

/// What `engine` computes for `checkpoint` must be what its maker recorded, if it did.
pub(super) fn check_probe(
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

pub(super) fn unusable(checkpoint: &CheckpointDir, source: galapagos_model::EngineError) -> EngineError {
    let what = "be loaded for inference";
    EngineError::Compute { checkpoint: checkpoint.checkpoint, what, source: source.into() }
}

pub(super) fn probe_options(place: Place) -> EngineOptions {
    let (precision, threads) = (Precision::F32, place.threads);
    EngineOptions { precision, threads, kv_bytes: PROBE_BYTES, ..EngineOptions::default() }
}
