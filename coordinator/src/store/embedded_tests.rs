//! What only a store on a disk can get wrong: reopening, locks, formats, a full disk.

use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;

fn put(key: &str, value: &str) -> Entry {
    Entry { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

#[tokio::test]
async fn a_reopened_store_keeps_what_was_committed_and_grows_its_term() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let term = store.start_term().await.unwrap();
    store.commit(term, vec![put("job/a", "1")]).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert_eq!(store.load().await.unwrap(), [put("job/a", "1")]);
    assert_eq!(store.start_term().await.unwrap(), LeaderEpoch(term.0 + 1));
}

#[test]
fn a_second_coordinator_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let _first = EmbeddedStore::open(folder.path()).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_both_versions_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    {
        let database = Database::create(&path).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(META).unwrap().insert(FORMAT_KEY, 7).unwrap();
        write.commit().unwrap();
    }
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 7, supported: FORMAT_VERSION, .. }), "{error}");
    assert_eq!(format(&Database::create(&path).unwrap()).unwrap(), Some(7));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), b"notes about finches").unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

/// A disk that can run out of space.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.memory.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.memory.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_commit_does_not_count() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Disk { memory: InMemoryBackend::new(), full: Arc::clone(&full) };
    let database = redb::Builder::new().create_with_backend(disk).unwrap();
    let store = EmbeddedStore::with(PathBuf::from("disk"), database).unwrap();
    let term = store.start_term().await.unwrap();
    store.commit(term, vec![put("a", "1")]).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let error = store.commit(term, vec![put("b", &"2".repeat(1 << 20))]).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
}
