//! Checkpoints in the store: a Hugging Face folder as a manifest of files, and back.
//!
//! A checkpoint is named by the digest of its manifest, and that names whole files: in which form the store holds a file is not
//! part of it. Materialised folders are a cache shared by all processes of a host: they appear by one rename, whole and checked,
//! or not at all.

mod cache;
mod child;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use galapagos_domain::artifact::CheckpointManifest;
use galapagos_domain::ids::Digest;

use crate::store::Sharing;
use crate::{ArtifactStore, Error};

pub use cache::{Cached, materialise, open};
pub use child::{Form, Uploaded, upload_child};
pub use rebuild::MAX_CHAIN;

const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// Uploads every file of `folder` (no sub-folders) whole, then the manifest; returns the checkpoint's digest.
/// `weights` is the digest of the named tensors, as the ranks of a round vote it.
///
/// # Errors
/// [`Error::File`] or [`Error::Store`]; without its manifest an interrupted upload is invisible.
pub async fn upload(store: &ArtifactStore, folder: &Path, weights: Digest) -> Result<Digest, Error> {
    let mut files = BTreeMap::new();
    for (name, path) in plain_files(folder)? {
        files.insert(name, store.put_file(&path).await?);
    }
    put_manifest(store, &CheckpointManifest { files, weights, base: None }).await
}

/// As [`upload`], for an adapter in PEFT's layout that stands on the checkpoint `base`: only the adapter is stored, and its
/// manifest names the base. `weights` is the digest of the adapter's tensors.
///
/// # Errors
/// As [`upload`]; [`Error::Adapter`] if the folder is no adapter, holds weights of a model beside it, or if `base` is an adapter
/// itself; [`Error::Absent`] if the store has no `base`.
pub async fn upload_adapter(
    store: &ArtifactStore,
    folder: &Path,
    weights: Digest,
    base: &Digest,
) -> Result<Digest, Error> {
    let wrong = |problem: String| Err(Error::Adapter { folder: folder.to_owned(), problem });
    let names = plain_files(folder)?;
    for needed in [ADAPTER_CONFIG, ADAPTER_WEIGHTS] {
        if !names.iter().any(|(name, _)| name == needed) {
            return wrong(format!("it has no `{needed}`"));
        }
    }
    if let Some((name, _)) = names.iter().find(|(name, _)| is_weights(name) && name != ADAPTER_WEIGHTS) {
        return wrong(format!("it holds `{name}` too; an adapter is stored without its base"));
    }
    if let Some(below) = manifest(store, base).await?.base {
        return wrong(format!("its base {base} is an adapter itself, on {below}; name a whole model"));
    }
    let mut files = BTreeMap::new();
    for (name, path) in names {
        files.insert(name, store.put_file(&path).await?);
    }
    put_manifest(store, &CheckpointManifest { files, weights, base: Some(*base) }).await
}

/// The manifest of a checkpoint.
///
/// # Errors
/// [`Error::Absent`], [`Error::Damaged`], [`Error::Store`], or [`Error::Manifest`] if the blob is something else.
pub async fn manifest(store: &ArtifactStore, checkpoint: &Digest) -> Result<CheckpointManifest, Error> {
    let bytes = store.get(checkpoint).await?;
    let manifest: CheckpointManifest =
        serde_json::from_slice(&bytes).map_err(|source| Error::Manifest { digest: *checkpoint, source })?;
    match manifest.files.keys().find(|name| !is_plain_name(name)) {
        Some(name) => Err(Error::ManifestPath { digest: *checkpoint, name: name.clone() }),
        None => Ok(manifest),
    }
}

/// Writes the checkpoint's files into `folder`, made if absent: copies of its own, flushed to disk.
///
/// # Errors
/// As [`materialise`].
pub async fn export(store: &ArtifactStore, checkpoint: &Digest, folder: &Path) -> Result<CheckpointManifest, Error> {
    let manifest = manifest(store, checkpoint).await?;
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    for (name, artifact) in &manifest.files {
        let to = folder.join(name);
        rebuild::place(store, artifact, &to, Sharing::Own, None).await?;
        let flush = move || std::fs::File::open(&to).and_then(|f| f.sync_all()).map_err(Error::file("flush", &to));
        crate::store::blocking(flush).await?;
    }
    Ok(manifest)
}

async fn put_manifest(store: &ArtifactStore, manifest: &CheckpointManifest) -> Result<Digest, Error> {
    Ok(store.put(Bytes::from(manifest.canonical_bytes()), 0).await?.digest)
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors")
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn plain_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|n| n.to_str())) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}
