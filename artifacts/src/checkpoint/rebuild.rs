//! One file of a checkpoint, from whichever form the store holds it in.
//!
//! A file that is there whole is taken as it is. Otherwise its record names a delta and the file the delta was made against, and
//! so on down to a file that is there: in the cache, or whole in the store. Every file on the way is checked against its digest,
//! so a wrong record or base is an error and never a wrong file.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::is_plain_name;
use crate::delta::{self, Problem};
use crate::hashing::hash_file;
use crate::store::{Sharing, blocking, check, finish, partial};
use crate::{ArtifactStore, Error};

/// Most deltas between a file and an ancestor that is stored whole.
pub const MAX_CHAIN: u32 = 8;

/// How to rebuild a file; its digest is the record's name in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// [`delta::CODEC`].
    pub codec: String,
    /// Length of the file.
    pub bytes: u64,
    /// The delta.
    pub delta: ArtifactRef,
    /// Digest of the file that the delta was made against.
    pub base: Digest,
    /// A checkpoint that has the base, and the base's name in it: a cache may hold it.
    pub parent: Digest,
    pub name: String,
    /// Deltas down to a file that was stored whole, this one counted.
    pub depth: u32,
}

/// In which form the store holds a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    No,
    /// There is a record, but it cannot be read, or its delta is not there.
    Broken(String),
    Whole,
    Delta(Record),
}

/// Looks for a file of `bytes` bytes; `None` if the length is not known.
pub(super) async fn find(store: &ArtifactStore, file: &Digest, bytes: Option<u64>) -> Result<Stored, Error> {
    let whole = store.length(file).await?;
    if whole.is_some_and(|length| bytes.is_none_or(|bytes| bytes == length)) {
        return Ok(Stored::Whole);
    }
    let Some(record) = store.record(file).await? else { return Ok(Stored::No) };
    let record: Record = match serde_json::from_slice(&record) {
        Ok(record) => record,
        Err(error) => return Ok(Stored::Broken(format!("it is not a record: {error}"))),
    };
    if record.codec != delta::CODEC {
        let (known, codec) = (delta::CODEC, &record.codec);
        return Ok(Stored::Broken(format!("its codec is `{codec}`; this version knows `{known}`")));
    }
    if store.length(&record.delta.digest).await? != Some(record.delta.bytes) {
        return Ok(Stored::Broken(format!("its delta {} is not in the store", record.delta.digest)));
    }
    Ok(Stored::Delta(record))
}

pub(super) async fn remember(
    store: &ArtifactStore,
    file: &Digest,
    record: &Record,
    replace: bool,
) -> Result<(), Error> {
    let unusable = |error: serde_json::Error| Error::Record { file: *file, problem: error.to_string() };
    let bytes = serde_json::to_vec(record).map_err(unusable)?;
    store.put_record(file, Bytes::from(bytes), replace).await
}

/// Puts a file at `to`, whole and checked or not at all.
pub(super) async fn place(
    store: &ArtifactStore,
    artifact: &ArtifactRef,
    to: &Path,
    sharing: Sharing,
    cache: Option<&Path>,
) -> Result<(), Error> {
    let first = match find(store, &artifact.digest, None).await? {
        Stored::Whole => {
            store.bring(&artifact.digest, to, sharing).await?;
            return Ok(());
        }
        Stored::No => return Err(Error::Absent { digest: artifact.digest }),
        Stored::Broken(problem) => return Err(Error::Record { file: artifact.digest, problem }),
        Stored::Delta(record) => record,
    };
    let (mut base, steps) = chain(store, artifact.digest, first, cache).await?;
    let mut scratch: Option<NamedTempFile> = None;
    for (file, record) in steps.into_iter().rev() {
        let delta = store.blob_file(&record.delta.digest);
        let (to, from) = (to.to_owned(), base);
        let rebuilt = blocking(move || apply(&Step { file, record, delta, base: from }, &to)).await?;
        base = rebuilt.path().to_owned();
        // The base of this step is not needed any more.
        drop(scratch.replace(rebuilt));
    }
    match scratch {
        Some(rebuilt) => finish(rebuilt, to),
        None => Err(Error::Absent { digest: artifact.digest }),
    }
}

type Steps = Vec<(Digest, Record)>;

/// The nearest ancestor that is a file already, and the deltas from `file` down to it.
async fn chain(
    store: &ArtifactStore,
    file: Digest,
    record: Record,
    cache: Option<&Path>,
) -> Result<(PathBuf, Steps), Error> {
    let mut steps = vec![(file, record)];
    while let Some((child, record)) = steps.last() {
        let base = record.base;
        if let Some(cached) = cache.and_then(|cache| in_cache(cache, record)) {
            return Ok((cached, steps));
        }
        match find(store, &base, None).await? {
            Stored::Whole => return Ok((store.blob_file(&base), steps)),
            Stored::Delta(_) if steps.len() >= MAX_CHAIN as usize => {
                return Err(Error::Chain { file, most: MAX_CHAIN });
            }
            Stored::Delta(next) => steps.push((base, next)),
            Stored::No => return Err(Error::NoBase { file: *child, base }),
            Stored::Broken(problem) => return Err(Error::Record { file: base, problem }),
        }
    }
    Err(Error::Absent { digest: file })
}

fn in_cache(cache: &Path, record: &Record) -> Option<PathBuf> {
    let path = cache.join(record.parent.hex()).join(&record.name);
    (is_plain_name(&record.name) && path.is_file()).then_some(path)
}

/// One delta to apply: where its parts lie.
struct Step {
    file: Digest,
    record: Record,
    delta: PathBuf,
    base: PathBuf,
}

/// The rebuilt and checked file, beside `to`.
fn apply(step: &Step, to: &Path) -> Result<NamedTempFile, Error> {
    let mut rebuilt = partial(to)?;
    let decoded = decode(step, rebuilt.as_file_mut());
    let found = match decoded {
        Ok(found) if found == step.file => return Ok(rebuilt),
        other => other,
    };
    blame(step)?;
    match found {
        Ok(found) => Err(Error::Damaged { digest: step.file, found }),
        Err(source) => Err(Error::Delta { file: step.file, base: step.record.base, source }),
    }
}

fn decode(step: &Step, out: &mut File) -> Result<Digest, Problem> {
    let delta = File::open(&step.delta).map_err(Problem::file("open", &step.delta))?;
    delta::decode(&mut BufReader::with_capacity(1 << 20, delta), step.record.bytes, &step.base, out)
}

/// Which of the parts is damaged, if one is.
fn blame(step: &Step) -> Result<(), Error> {
    let (found, _) = hash_file(&step.delta)?;
    check(step.record.delta.digest, found)?;
    let (found, _) = hash_file(&step.base)?;
    let Record { base, .. } = step.record;
    if found == base {
        return Ok(());
    }
    Err(Error::DamagedBase { base, found, path: step.base.clone() })
}
