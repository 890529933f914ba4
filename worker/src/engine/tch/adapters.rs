//! Adapter checkpoints: folders in PEFT's layout that stand on one base, whose folder this process was given. The base is loaded
//! once for generation and once more, in 32-bit floats, for version checks; adapters come and go beside it.
//!
//! The `weights` of an adapter checkpoint are [`Adapter::digest`]: its named tensors and the scale of every update. Nothing in
//! it names the base, so a base of the same shape with other weights is not noticed here; a server with another base is, by the
//! version check.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_model::engine::AdapterId;
use galapagos_model::lora::Adapter;
use galapagos_model::{Decoder, Engine as ModelEngine, ModelConfig, ModelFolder};

use super::super::recent::Recent;
use super::super::{CheckpointDir, EngineError};
use super::codec::HuggingFaceCodec;
use super::{load_engine, new_engine, open, probe_options, read_model, unusable};
use crate::device::Place;
use crate::ignored;

/// Adapters kept beside the base: a population, and its next generation.
const ADAPTERS: usize = 64;

/// A base and what stands on it.
#[derive(Debug)]
pub(super) struct AdapterBase {
    path: PathBuf,
    place: Place,
    config: ModelConfig,
    codec: Option<Arc<HuggingFaceCodec>>,
    generating: Option<Standing>,
    probing: Option<ModelEngine>,
}

/// The engine of the base and the adapters in it.
#[derive(Debug)]
struct Standing {
    engine: ModelEngine,
    adapters: Recent<Digest, AdapterId>,
}

impl AdapterBase {
    /// Opens the base's folder; its weights are read to `place` when they are needed.
    pub(super) fn open(path: &Path, place: Place) -> Result<Self, EngineError> {
        let folder = ModelFolder::open(path);
        let folder = folder.map_err(|error| EngineError::Base { path: path.to_owned(), source: error.into() })?;
        let config = folder.config().clone();
        Ok(Self { path: path.to_owned(), place, config, codec: None, generating: None, probing: None })
    }

    /// The base's tokenizer.
    pub(super) fn codec(&mut self) -> Result<Arc<HuggingFaceCodec>, EngineError> {
        if let Some(codec) = &self.codec {
            return Ok(Arc::clone(codec));
        }
        let codec = Arc::new(HuggingFaceCodec::open(&self.path)?);
        self.codec = Some(Arc::clone(&codec));
        Ok(codec)
    }

    /// Checks an adapter's folder against the base and gives the digest of its weights.
    pub(super) fn inspect(&self, folder: &Path) -> Result<Digest, EngineError> {
        self.read(folder).map(|(_, digest)| digest)
    }

    /// The base's engine, and the adapter of `checkpoint` in it. The adapter that was used longest ago makes room.
    pub(super) fn policy(&mut self, checkpoint: &CheckpointDir) -> Result<(&mut ModelEngine, AdapterId), EngineError> {
        let known = self.generating.as_ref().is_some_and(|standing| standing.adapters.holds(&checkpoint.checkpoint));
        let adapter = if known { None } else { Some(self.read_committed(checkpoint)?) };
        let standing = match self.generating.take() {
            Some(standing) => standing,
            None => Standing {
                engine: load_engine(checkpoint, &self.decoder()?, self.place)?,
                adapters: Recent::new(ADAPTERS),
            },
        };
        let standing = self.generating.insert(standing);
        let id = standing.id(checkpoint, adapter.as_ref())?;
        Ok((&mut standing.engine, id))
    }

    /// The base in 32-bit floats, and the adapter of `checkpoint` in it until it is removed.
    pub(super) fn probe(&mut self, checkpoint: &CheckpointDir) -> Result<(&mut ModelEngine, AdapterId), EngineError> {
        let adapter = self.read_committed(checkpoint)?;
        let engine = self.probe_bare(checkpoint)?;
        let id = add(engine, checkpoint, &adapter)?;
        Ok((engine, id))
    }

    /// The base in 32-bit floats; `checkpoint` is whom it is for.
    pub(super) fn probe_bare(&mut self, checkpoint: &CheckpointDir) -> Result<&mut ModelEngine, EngineError> {
        let engine = match self.probing.take() {
            Some(engine) => engine,
            None => new_engine(checkpoint, &self.decoder()?, probe_options(self.place))?,
        };
        Ok(self.probing.insert(engine))
    }

    fn decoder(&self) -> Result<Decoder, EngineError> {
        let read = |folder: ModelFolder| {
            ignored::tell(&folder);
            read_model(&folder, self.place)
        };
        let (model, weights) = open(&self.path).and_then(read).map_err(|error| match error {
            EngineError::Load { path, source } => EngineError::Base { path, source },
            other => other,
        })?;
        tracing::info!("adapters stand on {}, weights {}", self.path.display(), weights.short());
        Ok(model)
    }

    fn read(&self, folder: &Path) -> Result<(Adapter, Digest), EngineError> {
        let (path, base) = (folder.to_owned(), self.path.clone());
        let unfit = |source| EngineError::Adapter { path, base, source: Box::new(source) };
        let adapter = Adapter::open(folder, &self.config, self.place.device);
        let (adapter, digest) =
            adapter.and_then(|adapter| adapter.digest().map(|digest| (adapter, digest))).map_err(unfit)?;
        Ok((adapter, Digest::from_bytes(*digest.as_bytes())))
    }

    /// The adapter of a checkpoint, if its weights are those it was committed with.
    fn read_committed(&self, checkpoint: &CheckpointDir) -> Result<Adapter, EngineError> {
        let (adapter, found) = self.read(&checkpoint.path)?;
        if found == checkpoint.weights {
            return Ok(adapter);
        }
        Err(EngineError::WrongWeights { path: checkpoint.path.clone(), expected: checkpoint.weights, found })
    }
}

impl Standing {
    /// The adapter's id; `adapter` is there if it is not in the engine yet.
    fn id(&mut self, checkpoint: &CheckpointDir, adapter: Option<&Adapter>) -> Result<AdapterId, EngineError> {
        if adapter.is_some()
            && let Some((_, oldest)) = self.adapters.make_room()
        {
            self.engine.remove_adapter(oldest);
        }
        let engine = &mut self.engine;
        let put = || match adapter {
            Some(adapter) => add(engine, checkpoint, adapter),
            // The caller saw it there.
            None => Err(EngineError::Panicked),
        };
        self.adapters.get_or_make(checkpoint.checkpoint, put).copied()
    }
}

fn add(engine: &mut ModelEngine, checkpoint: &CheckpointDir, adapter: &Adapter) -> Result<AdapterId, EngineError> {
    engine.add_adapter(adapter).map_err(|source| unusable(checkpoint, source))
}
