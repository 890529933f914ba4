//! Checkpoints as folders of a cache: `cache/<digest>`, one copy for all processes that share it.
//!
//! One process at a time fills a cache; the others wait and find the folder. Large files are, where the file system can, the
//! store's own, and read-only then; nothing is flushed to disk, since everything can be fetched again: a folder whose files have other lengths
//! than the manifest says, as a power failure may leave them, is fetched anew.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use galapagos_domain::artifact::CheckpointManifest;
use galapagos_domain::ids::Digest;

use super::{manifest, rebuild};
use crate::store::{Sharing, blocking};
use crate::{ArtifactStore, Error};

/// A checkpoint on this machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The folder. Others read it too, and its files may be the store's own: write to none of them.
    pub path: PathBuf,
    /// With `base`, if the checkpoint is an adapter: what the loader has to put it on.
    pub manifest: CheckpointManifest,
}

/// The folder `cache/<digest>` with the checkpoint's files, fetched and checked if it is not there yet, and the manifest. Of an
/// adapter only its own files; its base is not fetched.
///
/// # Errors
/// As [`manifest`]; [`Error::File`] if the cache cannot be written; of a file that is stored as a delta also [`Error::NoBase`],
/// [`Error::DamagedBase`], [`Error::Delta`], [`Error::Chain`] and [`Error::Record`]. No folder is left behind.
pub async fn open(store: &ArtifactStore, checkpoint: &Digest, cache: &Path) -> Result<Cached, Error> {
    let manifest = manifest(store, checkpoint).await?;
    let path = cache.join(checkpoint.hex());
    if is_complete(&path, &manifest) {
        return Ok(Cached { path, manifest });
    }
    std::fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
    let _lock = lock(cache).await?;
    if is_complete(&path, &manifest) {
        return Ok(Cached { path, manifest });
    }
    let prefix = format!("{}.partial-", checkpoint.hex());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).permissions(std::fs::Permissions::from_mode(0o755));
    let partial = builder.tempdir_in(cache).map_err(Error::file("create a folder in", cache))?;
    for (name, artifact) in &manifest.files {
        rebuild::place(store, artifact, &partial.path().join(name), Sharing::Linked, Some(cache)).await?;
    }
    remove(&path)?;
    match std::fs::rename(partial.path(), &path) {
        Ok(()) => drop(partial.keep()),
        // Somebody who could not take the lock was faster; that copy is as good as ours.
        Err(_) if is_complete(&path, &manifest) => {}
        Err(source) => return Err(Error::file("rename to", &path)(source)),
    }
    Ok(Cached { path, manifest })
}

/// The path of [`open`].
///
/// # Errors
/// As [`open`].
pub async fn materialise(store: &ArtifactStore, checkpoint: &Digest, cache: &Path) -> Result<PathBuf, Error> {
    Ok(open(store, checkpoint, cache).await?.path)
}

fn is_complete(folder: &Path, manifest: &CheckpointManifest) -> bool {
    folder.is_dir()
        && manifest.files.iter().all(|(name, artifact)| {
            std::fs::metadata(folder.join(name)).is_ok_and(|file| file.is_file() && file.len() == artifact.bytes)
        })
}

/// Removes what is left of a folder. Whoever has its files open keeps them.
fn remove(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Waits until no other process fills the cache. On a file system without locks nobody waits, and the last rename decides.
async fn lock(cache: &Path) -> Result<File, Error> {
    let cache = cache.to_owned();
    let taken = move || {
        let folder = File::open(&cache).map_err(Error::file("open", &cache))?;
        drop(folder.lock());
        Ok(folder)
    };
    blocking(taken).await
}
