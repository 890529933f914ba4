//! Blobs come back under their digest, whole and checked or not at all.

use super::*;
use crate::hashing::CHUNK_BYTES;

fn store() -> (tempfile::TempDir, ArtifactStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

fn blob_file(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join("blobs").join(&digest.hex()[..2]).join(digest.hex())
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
