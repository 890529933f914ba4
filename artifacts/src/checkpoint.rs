//! Checkpoints in the store: a Hugging Face folder as a manifest of blobs, and back.
//!
//! A checkpoint is named by the digest of its manifest. Materialised folders are a cache shared by all processes of a
//! host: they appear by one rename, whole and checked, or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use galapagos_domain::artifact::CheckpointManifest;
use galapagos_domain::ids::Digest;

use crate::{ArtifactStore, Error};

/// Uploads every file of `folder` (no sub-folders), then the manifest; returns the checkpoint's digest.
/// `weights` is the digest of the named tensors, as the ranks of a round vote it.
///
/// # Errors
/// [`Error::File`] or [`Error::Store`]; without its manifest an interrupted upload is invisible.
pub async fn upload(store: &ArtifactStore, folder: &Path, weights: Digest) -> Result<Digest, Error> {
    let mut files = BTreeMap::new();
    for (name, path) in plain_files(folder)? {
        files.insert(name, store.put_file(&path).await?);
    }
    let manifest = CheckpointManifest { files, weights, base: None };
    let artifact = store.put(Bytes::from(manifest.canonical_bytes()), 0).await?;
    Ok(artifact.digest)
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

/// The folder `cache/<digest>` with the checkpoint's files, fetched and checked if it is not there yet.
///
/// # Errors
/// As [`manifest`], and [`Error::File`] if the cache cannot be written.
pub async fn materialise(store: &ArtifactStore, checkpoint: &Digest, cache: &Path) -> Result<PathBuf, Error> {
    let folder = cache.join(checkpoint.hex());
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = cache.join(format!("{}.partial-{}", checkpoint.hex(), std::process::id()));
    export(store, checkpoint, &partial).await?;
    match std::fs::rename(&partial, &folder) {
        Ok(()) => Ok(folder),
        Err(_) if folder.is_dir() => {
            // Another process was faster; its copy is as good as ours.
            std::fs::remove_dir_all(&partial).map_err(|source| Error::File {
                what: "remove",
                path: partial,
                source,
            })?;
            Ok(folder)
        }
        Err(source) => Err(Error::File { what: "rename to", path: folder, source }),
    }
}

/// Writes the checkpoint's files into `folder`, made if absent.
///
/// # Errors
/// As [`materialise`].
pub async fn export(store: &ArtifactStore, checkpoint: &Digest, folder: &Path) -> Result<CheckpointManifest, Error> {
    let manifest = manifest(store, checkpoint).await?;
    std::fs::create_dir_all(folder).map_err(|source| Error::File {
        what: "create",
        path: folder.to_owned(),
        source,
    })?;
    for (name, artifact) in &manifest.files {
        store.fetch(&artifact.digest, &folder.join(name)).await?;
    }
    Ok(manifest)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn plain_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let failed = |source| Error::File { what: "list", path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|n| n.to_str())) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_folder(at: &Path) -> PathBuf {
        let folder = at.join("model");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), b"{}").unwrap();
        std::fs::write(folder.join("model.safetensors"), vec![7u8; 4096]).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_folder_round_trips_and_equal_folders_are_one_checkpoint() {
        let at = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(at.path().join("store").to_str().unwrap()).unwrap();
        let weights = Digest::of(b"weights");
        let first = upload(&store, &model_folder(at.path()), weights).await.unwrap();
        let again = upload(&store, &model_folder(at.path()), weights).await.unwrap();
        assert_eq!(first, again);
        let cache = at.path().join("cache");
        let folder = materialise(&store, &first, &cache).await.unwrap();
        assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), vec![7u8; 4096]);
        assert_eq!(materialise(&store, &first, &cache).await.unwrap(), folder);
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "only the folder is left");
    }

    #[tokio::test]
    async fn a_manifest_cannot_write_outside_its_folder() {
        let at = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(at.path().join("store").to_str().unwrap()).unwrap();
        let blob = store.put(Bytes::from_static(b"x"), 0).await.unwrap();
        let evil = CheckpointManifest {
            files: BTreeMap::from([("../escape".to_owned(), blob.clone())]),
            weights: blob.digest,
            base: None,
        };
        let digest = store.put(Bytes::from(evil.canonical_bytes()), 0).await.unwrap().digest;
        assert!(matches!(materialise(&store, &digest, at.path()).await, Err(Error::ManifestPath { .. })));
        assert!(!at.path().join("escape").exists());
    }
}
