//! Blobs by digest over `object_store`: `blobs/<first two hex digits>/<64 hex digits>`.
//!
//! A put is idempotent: the name is the content. Large files are streamed; nothing here keeps a whole checkpoint in memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::Error;

const CHUNK_BYTES: usize = 8 << 20;

/// A client of the artifact store; cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    objects: Arc<dyn ObjectStore>,
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
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|e| failed(e.into()))?.with_fsync(true);
        Ok(Self { objects: Arc::new(objects) })
    }

    /// Stores bytes; `rows` is noted in the reference.
    ///
    /// # Errors
    /// [`Error::Store`] if the write fails; nothing is visible then.
    pub async fn put(&self, bytes: Bytes, rows: u64) -> Result<ArtifactRef, Error> {
        let digest = Digest::of(&bytes);
        let artifact = ArtifactRef { digest, bytes: bytes.len() as u64, rows };
        self.objects.put(&blob_path(&digest), PutPayload::from_bytes(bytes)).await.map_err(|source| Error::Store {
            what: "store",
            digest,
            source,
        })?;
        Ok(artifact)
    }

    /// Stores a file, streamed.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Store`] if the write fails.
    pub async fn put_file(&self, path: &Path) -> Result<ArtifactRef, Error> {
        let (digest, bytes) = hash_file(path).await?;
        let artifact = ArtifactRef { digest, bytes, rows: 0 };
        let store_failed = |source| Error::Store { what: "store", digest, source };
        match self.objects.head(&blob_path(&digest)).await {
            Ok(meta) if meta.size == bytes => return Ok(artifact),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(store_failed(source)),
        }
        let upload = self.objects.put_multipart(&blob_path(&digest)).await.map_err(store_failed)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK_BYTES);
        let mut file = open(path).await?;
        let mut written = blake3::Hasher::new();
        loop {
            let chunk = read_chunk(&mut file, path).await?;
            if chunk.is_empty() {
                break;
            }
            written.update(&chunk);
            writer.wait_for_capacity(2).await.map_err(store_failed)?;
            writer.put(chunk);
        }
        let found = Digest::from_bytes(*written.finalize().as_bytes());
        if found != digest {
            // The file changed between hashing and uploading: the blob must not become visible under the old name.
            writer.abort().await.map_err(store_failed)?;
            return Err(Error::Damaged { digest, found });
        }
        writer.finish().await.map_err(store_failed)?;
        Ok(artifact)
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

    /// Writes an artifact to the file `to`, checked; the file appears whole or not at all. Returns its length in bytes.
    ///
    /// # Errors
    /// As [`Self::get`], and [`Error::File`] if the file cannot be written.
    pub async fn fetch(&self, digest: &Digest, to: &Path) -> Result<u64, Error> {
        let partial = to.with_extension(format!("partial-{}", std::process::id()));
        let fetched = self.fetch_to_partial(digest, &partial).await;
        let length = match fetched {
            Ok(length) => length,
            Err(error) => {
                // A leftover partial file is harmless; the first error is the one to report.
                drop(tokio::fs::remove_file(&partial).await);
                return Err(error);
            }
        };
        tokio::fs::rename(&partial, to).await.map_err(file_failed("rename to", to))?;
        Ok(length)
    }

    async fn fetch_to_partial(&self, digest: &Digest, partial: &Path) -> Result<u64, Error> {
        let mut stream = self.open_blob(digest).await?.into_stream();
        let mut file = tokio::fs::File::create(partial).await.map_err(file_failed("create", partial))?;
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|source| read_failed(*digest, source))?;
            hasher.update(&chunk);
            length += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(file_failed("write", partial))?;
        }
        file.sync_all().await.map_err(file_failed("flush", partial))?;
        check(*digest, Digest::from_bytes(*hasher.finalize().as_bytes()))?;
        Ok(length)
    }

    async fn open_blob(&self, digest: &Digest) -> Result<object_store::GetResult, Error> {
        self.objects.get(&blob_path(digest)).await.map_err(|source| read_failed(*digest, source))
    }
}

fn blob_path(digest: &Digest) -> ObjectPath {
    let hex = digest.hex();
    ObjectPath::from(format!("blobs/{}/{hex}", &hex[..2]))
}

fn check(digest: Digest, found: Digest) -> Result<(), Error> {
    if digest == found { Ok(()) } else { Err(Error::Damaged { digest, found }) }
}

fn read_failed(digest: Digest, source: object_store::Error) -> Error {
    match source {
        object_store::Error::NotFound { .. } => Error::Absent { digest },
        source => Error::Store { what: "read", digest, source },
    }
}

fn file_failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { what, path, source }
}

async fn open(path: &Path) -> Result<tokio::fs::File, Error> {
    tokio::fs::File::open(path).await.map_err(file_failed("open", path))
}

async fn read_chunk(file: &mut tokio::fs::File, path: &Path) -> Result<Bytes, Error> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut limited = file.take(CHUNK_BYTES as u64);
    limited.read_to_end(&mut chunk).await.map_err(file_failed("read", path))?;
    Ok(Bytes::from(chunk))
}

async fn hash_file(path: &Path) -> Result<(Digest, u64), Error> {
    let mut file = open(path).await?;
    let mut hasher = blake3::Hasher::new();
    let mut length = 0;
    loop {
        let chunk = read_chunk(&mut file, path).await?;
        if chunk.is_empty() {
            return Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), length));
        }
        length += chunk.len() as u64;
        hasher.update(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ArtifactStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path().to_str().unwrap()).unwrap();
        (folder, store)
    }

    fn blob_file(folder: &Path, digest: &Digest) -> std::path::PathBuf {
        folder.join(blob_path(digest).as_ref())
    }

    #[tokio::test]
    async fn bytes_come_back_under_their_digest() {
        let (_folder, store) = store();
        let artifact = store.put(Bytes::from_static(b"finches"), 3).await.unwrap();
        assert_eq!(artifact, ArtifactRef { digest: Digest::of(b"finches"), bytes: 7, rows: 3 });
        assert_eq!(store.get(&artifact.digest).await.unwrap(), Bytes::from_static(b"finches"));
    }

    #[tokio::test]
    async fn a_file_of_several_chunks_is_stored_and_fetched_whole() {
        let (folder, store) = store();
        let source = folder.path().join("weights");
        let content: Vec<u8> = (0..CHUNK_BYTES * 2 + 17).map(|i| (i % 251) as u8).collect();
        std::fs::write(&source, &content).unwrap();
        let artifact = store.put_file(&source).await.unwrap();
        assert_eq!(artifact.digest, Digest::of(&content));
        let copy = folder.path().join("copy");
        assert_eq!(store.fetch(&artifact.digest, &copy).await.unwrap(), content.len() as u64);
        assert_eq!(std::fs::read(&copy).unwrap(), content);
    }

    #[tokio::test]
    async fn damaged_bytes_are_an_error_and_leave_no_file() {
        let (folder, store) = store();
        let artifact = store.put(Bytes::from_static(b"finches"), 0).await.unwrap();
        std::fs::write(blob_file(folder.path(), &artifact.digest), b"finchez").unwrap();
        assert!(matches!(store.get(&artifact.digest).await, Err(Error::Damaged { .. })));
        let copy = folder.path().join("copy");
        assert!(matches!(store.fetch(&artifact.digest, &copy).await, Err(Error::Damaged { .. })));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["blobs"], "a partial file was left behind");
    }

    #[tokio::test]
    async fn an_absent_artifact_and_an_unknown_scheme_are_named() {
        let (_folder, store) = store();
        let missing = Digest::of(b"never stored");
        assert!(matches!(store.get(&missing).await, Err(Error::Absent { digest }) if digest == missing));
        assert!(matches!(ArtifactStore::open("gopher://x"), Err(Error::Open { .. })));
    }
}
