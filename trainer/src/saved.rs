//! In-round checkpoints and optimiser states in the artifact store: a manifest in JSON that names files of tensors. A try that goes on
//! from one continues as if nothing had happened; a file that is missing or misshapen is an error, never a fresh start.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use galapagos_artifacts::ArtifactStore;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::{Digest, RoundId};
use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor};

use crate::RankError;
use crate::ledger::Entry;

/// Version of the manifest.
const VERSION: u32 = 1;

/// The state of a round between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundState {
    pub version: u32,
    pub round: RoundId,
    /// Steps done; the next one's number from 0.
    pub step: u64,
    /// Digest of the weights that move, as all ranks had them.
    pub digest: Digest,
    /// The weights that move.
    pub weights: ArtifactRef,
    pub optimiser: OptimiserState,
    pub ema: Option<ArtifactRef>,
    /// The target network of Q-learning.
    #[serde(default)]
    pub target: Option<ArtifactRef>,
    /// Of each step that updated the weights.
    pub losses: Vec<f64>,
    /// Tokens trained on by all ranks.
    pub tokens: u64,
    /// Steps whose batch is left out, because the guard found it cannot be right.
    pub left_out_steps: Vec<u64>,
    /// Steps that the guard skipped or took back.
    pub guarded: u64,
    pub mismatch: Option<f64>,
    pub ledger: Vec<Entry>,
}

/// The state of an optimiser: its updates, and the tensors of each rank that kept a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimiserState {
    pub version: u32,
    pub steps: u64,
    pub parts: Vec<ArtifactRef>,
}

impl OptimiserState {
    /// A state of `steps` updates.
    #[must_use]
    pub fn new(steps: u64, parts: Vec<ArtifactRef>) -> Self {
        Self { version: VERSION, steps, parts }
    }
}

impl RoundState {
    /// The version that this code writes and reads.
    pub const VERSION: u32 = VERSION;
}

/// Stores a manifest; returns its digest.
///
/// # Errors
/// If the store cannot take it.
pub async fn put<T: Serialize>(store: &ArtifactStore, manifest: &T) -> Result<Digest, RankError> {
    let text = serde_json::to_vec(manifest)
        .map_err(|source| RankError::State { what: "write it".to_owned(), source: source.into() })?;
    let stored = store.put(Bytes::from(text), 0).await.map_err(artifact("store the state of the round"))?;
    Ok(stored.digest)
}

/// Reads a manifest.
///
/// # Errors
/// If it is missing, damaged, or something else.
pub async fn get<T: for<'de> Deserialize<'de>>(store: &ArtifactStore, digest: &Digest) -> Result<T, RankError> {
    let bytes = store.get(digest).await.map_err(artifact("fetch the state of the round"))?;
    serde_json::from_slice(&bytes)
        .map_err(|source| RankError::State { what: format!("read its manifest {digest}"), source: source.into() })
}

/// Stores named tensors as one file, by way of the folder `scratch`.
///
/// # Errors
/// If disk or store cannot take it.
pub async fn put_tensors(
    store: &ArtifactStore,
    scratch: &Path,
    tensors: &[(String, Tensor)],
) -> Result<ArtifactRef, RankError> {
    let failed = |source| RankError::Io { what: format!("make a file in {}", scratch.display()), source };
    std::fs::create_dir_all(scratch).map_err(failed)?;
    let file = tempfile::Builder::new().prefix("state-").suffix(".safetensors").tempfile_in(scratch).map_err(failed)?;
    let here = |(name, tensor): &(String, Tensor)| Ok((name.clone(), tensor.f_detach()?.f_to_device(Device::Cpu)?));
    let detached: Result<Vec<(String, Tensor)>, TchError> = tensors.iter().map(here).collect();
    let detached =
        detached.map_err(|source| RankError::Tensor { what: "bring the round's state to memory", source })?;
    Tensor::write_safetensors(&detached, file.path())
        .map_err(|source| RankError::State { what: "write its tensors".to_owned(), source: source.into() })?;
    store.put_file(file.path()).await.map_err(artifact("store the tensors of the round's state"))
}

/// Reads files of named tensors, all into one map.
///
/// # Errors
/// If a file is missing or damaged.
pub async fn get_tensors(
    store: &ArtifactStore,
    scratch: &Path,
    files: &[ArtifactRef],
) -> Result<BTreeMap<String, Tensor>, RankError> {
    let mut all = BTreeMap::new();
    for file in files {
        let failed = |source| RankError::Io { what: format!("make a file in {}", scratch.display()), source };
        std::fs::create_dir_all(scratch).map_err(failed)?;
        let copy = tempfile::Builder::new().prefix("state-").tempfile_in(scratch).map_err(failed)?;
        store.fetch(&file.digest, copy.path()).await.map_err(artifact("fetch the tensors of the round's state"))?;
        let tensors = Tensor::read_safetensors(copy.path()).map_err(|source| RankError::State {
            what: format!("read its tensors {}", file.digest),
            source: source.into(),
        })?;
        all.extend(tensors);
    }
    Ok(all)
}

/// Overwrites weights in place with saved ones: exactly those, of the same shapes.
///
/// # Errors
/// The first weight that is missing or misshapen.
pub fn restore(weights: &[(String, Tensor)], saved: &BTreeMap<String, Tensor>) -> Result<(), RankError> {
    for (name, weight) in weights {
        let wrong = |what: String| RankError::Setting { what };
        let value = saved.get(name).ok_or_else(|| wrong(format!("the round's saved state has no weight `{name}`")))?;
        if value.size() != weight.size() {
            let (have, need) = (value.size(), weight.size());
            return Err(wrong(format!("the saved weight `{name}` has shape {have:?}; the model's has {need:?}")));
        }
        let failed = |source| RankError::Tensor { what: "restore a weight", source };
        let mut target = weight.f_detach().map_err(failed)?;
        target.f_copy_(value).map_err(failed)?;
    }
    Ok(())
}

fn artifact(what: &'static str) -> impl FnOnce(galapagos_artifacts::Error) -> RankError {
    move |source| RankError::Artifact { what: what.to_owned(), source: Box::new(source) }
}
