//! Blobs by digest over `object_store`: `blobs/<first two hex digits>/<64 hex digits>`, and beside them, by the digest of a file
//! that is not there as a blob, the records `deltas/<first two>/<64 hex digits>` of how to rebuild it. States of rounds under way have
//! places of their own, `rounds/<round>/<step>/`, so that they can be dropped; so has the progress of jobs, `jobs/<job>`.
//!
//! A put is idempotent: the name is the content. Large files are streamed; nothing here keeps a whole checkpoint in memory.

mod local;
mod progress;
mod states;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::error::Error;
pub(crate) use local::{Sharing, Staged, check, finish, partial};

/// The place of what is kept.
const BLOBS: &str = "blobs";

/// A client of the artifact store; cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    objects: Arc<dyn ObjectStore>,
    root: Arc<Path>,
    /// Where its blobs are.
    place: Arc<str>,
}

impl ArtifactStore {
    /// Opens the store in a folder (made if absent), given as a path or a `file://` URL.
    ///
    /// # Errors
    /// [`Error::Open`] if the folder cannot be made or the scheme is not known.
    pub fn open(location: &str) -> Result<Self, Error> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Open { location: location.to_owned(), source };
        let folder = match location.split_once("://") {
            None => location,
            Some(("file", path)) => path,
            Some((scheme, _)) => return Err(failed(format!("the scheme `{scheme}://` is not supported").into())),
        };
        std::fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
        let root = std::fs::canonicalize(folder).map_err(|e| failed(e.into()))?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(|e| failed(e.into()))?.with_fsync(true);
        Ok(Self { objects: Arc::new(objects), root: root.into(), place: BLOBS.into() })
    }

    /// Stores bytes; `rows` is noted in the reference.
    ///
    /// # Errors
    /// [`Error::Store`] if the write fails; nothing is visible then.
    pub async fn put(&self, bytes: Bytes, rows: u64) -> Result<ArtifactRef, Error> {
        let digest = Digest::of(&bytes);
        let artifact = ArtifactRef { digest, bytes: bytes.len() as u64, rows };
        self.objects
            .put(&self.blob_path(&digest), PutPayload::from_bytes(bytes))
            .await
            .map_err(|source| Error::Store { what: "store", digest, source })?;
        Ok(artifact)
    }

    /// Stores a file, streamed, under the digest of the bytes that were read; flushed to disk.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read or the store not written; nothing is visible then.
    pub async fn put_file(&self, path: &Path) -> Result<ArtifactRef, Error> {
        Ok(self.put_new_file(path).await?.0)
    }

    /// As [`Self::put_file`]; also whether the store did not have it yet.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub(crate) async fn put_new_file(&self, path: &Path) -> Result<(ArtifactRef, bool), Error> {
        let (from, store) = (path.to_owned(), self.clone());
        let (digest, bytes, new) = blocking(move || local::store(&from, store)).await?;
        Ok((ArtifactRef { digest, bytes, rows: 0 }, new))
    }

    /// An empty file that will be a blob; blocks.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn stage(&self) -> Result<Staged, Error> {
        Staged::create(self.clone())
    }

    /// The bytes of an artifact, checked.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Damaged`] or [`Error::Store`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, Error> {
        let bytes = self.open_blob(digest).await?.bytes().await.map_err(|source| read_failed(*digest, source))?;
        check(*digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Writes an artifact to the file `to`, checked; the file appears whole or not at all. Returns its length in bytes. The file
    /// is not flushed to disk: after a power failure it may be cut short.
    ///
    /// # Errors
    /// As [`Self::get`], and [`Error::File`] if the file cannot be written.
    pub async fn fetch(&self, digest: &Digest, to: &Path) -> Result<u64, Error> {
        self.bring(digest, to, Sharing::Own).await
    }

    /// As [`Self::fetch`], but a large file is the store's own where the file system can share it, and read-only then.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn link(&self, digest: &Digest, to: &Path) -> Result<u64, Error> {
        self.bring(digest, to, Sharing::Linked).await
    }

    pub(crate) async fn bring(&self, digest: &Digest, to: &Path, sharing: Sharing) -> Result<u64, Error> {
        let (digest, from, to) = (*digest, self.blob_file(digest), to.to_owned());
        blocking(move || local::bring(digest, &from, &to, sharing)).await
    }

    /// Length of the blob; none if it is not there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn length(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.objects.head(&self.blob_path(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Store { what: "look at", digest: *digest, source }),
        }
    }

    /// Where a blob lies, if it is there.
    pub(crate) fn blob_file(&self, digest: &Digest) -> PathBuf {
        self.root.join(self.blob_path(digest).as_ref())
    }

    /// The record of how to rebuild a file; none if there is none. Its bytes are not checked: what they lead to is.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn record(&self, file: &Digest) -> Result<Option<Bytes>, Error> {
        let failed = |source| Error::Store { what: "read the record of", digest: *file, source };
        match self.objects.get(&record_path(file)).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Stores the record of how to rebuild a file. One that is there already stays, unless it is to be replaced.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) async fn put_record(&self, file: &Digest, record: Bytes, replace: bool) -> Result<(), Error> {
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        match self.objects.put_opts(&record_path(file), PutPayload::from_bytes(record), mode.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(source) => Err(Error::Store { what: "store the record of", digest: *file, source }),
        }
    }

    async fn open_blob(&self, digest: &Digest) -> Result<object_store::GetResult, Error> {
        self.objects.get(&self.blob_path(digest)).await.map_err(|source| read_failed(*digest, source))
    }

    fn blob_path(&self, digest: &Digest) -> ObjectPath {
        let hex = digest.hex();
        ObjectPath::from(format!("{}/{}/{hex}", self.place, &hex[..2]))
    }
}

fn record_path(file: &Digest) -> ObjectPath {
    let hex = file.hex();
    ObjectPath::from(format!("deltas/{}/{hex}", &hex[..2]))
}

/// Runs `work` where it may block.
///
/// # Errors
/// Those of `work`, and [`Error::Check`] if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::Check { source: Box::new(source) }),
    }
}

fn read_failed(digest: Digest, source: object_store::Error) -> Error {
    match source {
        object_store::Error::NotFound { .. } => Error::Absent { digest },
        source => Error::Store { what: "read", digest, source },
    }
}
