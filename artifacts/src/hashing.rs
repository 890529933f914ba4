//! BLAKE3 beside the copying: a thread takes each buffer once it is written, while the next one is filled.
//!
//! What a check costs is counted for the whole process, so that it can be measured where it happens. Nothing here decides what
//! the digest should be.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use galapagos_domain::ids::Digest;
use galapagos_telemetry::clock::monotonic_ns;
use galapagos_telemetry::{ThreadHandle, spawn_thread};

use crate::Error;

/// Bytes that are read, written and hashed at a time.
pub(crate) const CHUNK_BYTES: usize = 4 << 20;

/// Buffers that wait to be hashed: enough that a thread that is held up for some milliseconds holds nobody up.
const BUFFERS: usize = 6;

static BYTES: AtomicU64 = AtomicU64::new(0);
static HASHING_NS: AtomicU64 = AtomicU64::new(0);
static WAITED_NS: AtomicU64 = AtomicU64::new(0);

/// What the checks of large files have cost this process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Bytes hashed.
    pub bytes: u64,
    /// Time spent hashing, on a thread beside the reading and writing.
    pub hashing: Duration,
    /// Time by which that made the reading and writing later.
    pub waited: Duration,
}

/// The counters of this process; they only grow.
#[must_use]
pub fn checks() -> Checks {
    let duration = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
    Checks { bytes: BYTES.load(Ordering::Relaxed), hashing: duration(&HASHING_NS), waited: duration(&WAITED_NS) }
}

/// A digest in the making.
#[derive(Debug)]
pub(crate) struct Hashing {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: ThreadHandle<Digest>,
}

impl Hashing {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Check`] if the system gives no thread.
    pub fn start() -> Result<Self, Error> {
        let (full, filled) = sync_channel::<Vec<u8>>(BUFFERS);
        let (used, empty) = sync_channel(BUFFERS + 1);
        for _ in 0..BUFFERS {
            // There is room for all of them, so this neither waits nor fails.
            used.send(Vec::new()).map_err(|_closed| stopped())?;
        }
        let hash = move || {
            let mut hasher = blake3::Hasher::new();
            while let Ok(buffer) = filled.recv() {
                counted(&mut hasher, &buffer);
                // Nobody takes buffers back after the last one.
                drop(used.send(buffer));
            }
            Digest::from_bytes(*hasher.finalize().as_bytes())
        };
        let thread = spawn_thread("artifact-hash", hash).map_err(|source| Error::Check { source: Box::new(source) })?;
        Ok(Self { full, empty, thread })
    }

    /// Hashes what `buffer` holds, next, and leaves another buffer in its place, with any content.
    ///
    /// # Errors
    /// [`Error::Check`] if the thread has ended.
    pub fn update(&mut self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let from = monotonic_ns();
        let next = self.empty.recv().map_err(|_closed| stopped())?;
        self.full.send(std::mem::replace(buffer, next)).map_err(|_closed| stopped())?;
        WAITED_NS.fetch_add(monotonic_ns() - from, Ordering::Relaxed);
        Ok(())
    }

    /// The digest of everything.
    ///
    /// # Errors
    /// [`Error::Check`] if the thread panicked.
    pub fn finish(self) -> Result<Digest, Error> {
        let Self { full, empty: _empty, thread } = self;
        let from = monotonic_ns();
        drop(full);
        let digest = thread.join().map_err(|source| Error::Check { source: Box::new(source) });
        WAITED_NS.fetch_add(monotonic_ns() - from, Ordering::Relaxed);
        digest
    }
}

fn stopped() -> Error {
    Error::Check { source: "the hashing thread has ended".into() }
}

/// Digest of a file, taken on a thread beside other work.
#[derive(Debug)]
pub(crate) struct Beside(ThreadHandle<Result<Digest, Error>>);

impl Beside {
    /// Starts reading the file.
    ///
    /// # Errors
    /// [`Error::Check`] if the system gives no thread.
    pub fn start(path: PathBuf) -> Result<Self, Error> {
        let hash = move || {
            let mut file = File::open(&path).map_err(Error::file("open", &path))?;
            let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES]);
            loop {
                let filled = fill(&mut file, &mut buffer).map_err(Error::file("read", &path))?;
                if filled == 0 {
                    return Ok(Digest::from_bytes(*hasher.finalize().as_bytes()));
                }
                counted(&mut hasher, &buffer[..filled]);
            }
        };
        let thread = spawn_thread("artifact-hash", hash).map_err(|source| Error::Check { source: Box::new(source) })?;
        Ok(Self(thread))
    }

    /// The digest.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Check`] if the thread panicked.
    pub fn finish(self) -> Result<Digest, Error> {
        let from = monotonic_ns();
        let digest = self.0.join().map_err(|source| Error::Check { source: Box::new(source) });
        WAITED_NS.fetch_add(monotonic_ns() - from, Ordering::Relaxed);
        digest?
    }
}

fn counted(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    let from = monotonic_ns();
    hasher.update(bytes);
    HASHING_NS.fetch_add(monotonic_ns() - from, Ordering::Relaxed);
    BYTES.fetch_add(bytes.len() as u64, Ordering::Relaxed);
}

/// Digest and length of a file; blocks.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Check`].
pub(crate) fn hash_file(path: &Path) -> Result<(Digest, u64), Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    pump(&mut file, path, |_| Ok(()))
}

/// Reads `file` to its end and hands every chunk to `write`; digest and length of what was read.
///
/// # Errors
/// [`Error::File`] with `path` if it cannot be read, those of `write`, [`Error::Check`].
pub(crate) fn pump(
    file: &mut File,
    path: &Path,
    mut write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(Digest, u64), Error> {
    let mut hashing = Hashing::start()?;
    let mut buffer = Vec::new();
    let mut length = 0;
    loop {
        // Never shrunk, so that only a new buffer is filled with zeros.
        buffer.resize(CHUNK_BYTES, 0);
        let filled = fill(file, &mut buffer).map_err(Error::file("read", path))?;
        buffer.truncate(filled);
        if filled == 0 {
            return Ok((hashing.finish()?, length));
        }
        write(&buffer)?;
        length += filled as u64;
        hashing.update(&mut buffer)?;
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
