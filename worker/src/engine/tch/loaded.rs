//! A whole model loaded to compute, and the adapters that stand on it. Adapters come and go beside their base, whose weights are in
//! memory once.
//!
//! The `weights` of an adapter checkpoint are [`Adapter::digest`]: its named tensors and the scale of every update. Which base it
//! stands on is told by whoever asks; that it is the right one shows in its probe, if it has one.

use std::path::Path;

use galapagos_domain::ids::Digest;
use galapagos_model::engine::AdapterId;
use galapagos_model::lora::Adapter;
use galapagos_model::{Engine as ModelEngine, ModelConfig};

use super::super::recent::Recent;
use super::super::{CheckpointDir, EngineError};
use super::load::{check_probe, load_engine, read_committed, unusable};
use crate::device::Place;

/// Adapters kept beside a base: a population, and its next generation.
const ADAPTERS: usize = 64;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) engine: ModelEngine,
    adapters: Recent<Digest, AdapterId>,
}

impl Loaded {
    /// Reads a whole model; checks its digest, the kernels and its probe.
    pub(super) fn open(checkpoint: &CheckpointDir, place: Place) -> Result<Self, EngineError> {
        let mut engine = load_engine(checkpoint, &read_committed(checkpoint, place)?, place)?;
        check_probe(checkpoint, &mut engine, None)?;
        Ok(Self { engine, adapters: Recent::new(ADAPTERS) })
    }

    /// The adapter `checkpoint` in the engine of its base, read and checked if it is not there. The one that was used longest ago makes
    /// room.
    pub(super) fn adapter(
        &mut self,
        checkpoint: &CheckpointDir,
        base: &CheckpointDir,
        place: Place,
    ) -> Result<AdapterId, EngineError> {
        let Self { engine, adapters } = self;
        if !adapters.holds(&checkpoint.checkpoint)
            && let Some((_, oldest)) = adapters.make_room()
        {
            engine.remove_adapter(oldest);
        }
        let put = || {
            let adapter = read_adapter(checkpoint, base, engine.config(), place)?;
            add_adapter(engine, checkpoint, &adapter)
        };
        adapters.get_or_make(checkpoint.checkpoint, put).copied()
    }
}

/// Adds an adapter, and checks that base and adapter together compute what its maker recorded; else it is taken off again.
pub(super) fn add_adapter(
    engine: &mut ModelEngine,
    checkpoint: &CheckpointDir,
    adapter: &Adapter,
) -> Result<AdapterId, EngineError> {
    let id = engine.add_adapter(adapter).map_err(|source| unusable(checkpoint, source))?;
    if let Err(error) = check_probe(checkpoint, engine, Some(id)) {
        engine.remove_adapter(id);
        return Err(error);
    }
    Ok(id)
}

/// The adapter of a checkpoint, if its weights are those it was committed with.
pub(super) fn read_adapter(
    checkpoint: &CheckpointDir,
    base: &CheckpointDir,
    config: &ModelConfig,
    place: Place,
) -> Result<Adapter, EngineError> {
    let (adapter, found) = open_adapter(&checkpoint.path, (&base.path, config), place)?;
    if found == checkpoint.weights {
        return Ok(adapter);
    }
    Err(EngineError::WrongWeights { path: checkpoint.path.clone(), expected: checkpoint.weights, found })
}

/// Checks an adapter's folder against the configuration of the base in another, and hashes it.
pub(super) fn open_adapter(
    folder: &Path,
    (base, config): (&Path, &ModelConfig),
    place: Place,
) -> Result<(Adapter, Digest), EngineError> {
    let (path, base) = (folder.to_owned(), base.to_owned());
    let unfit = |source| EngineError::Adapter { path, base, source: Box::new(source) };
    let adapter = Adapter::open(folder, config, place.device);
    let (adapter, digest) =
        adapter.and_then(|adapter| adapter.digest().map(|digest| (adapter, digest))).map_err(unfit)?;
    Ok((adapter, Digest::from_bytes(*digest.as_bytes())))
}
