//! A child beside its parent: each file of weights is stored as a delta to the parent's file of that name where that is smaller.
//!
//! The form is a matter of the store alone. Two workers that store the same child, one whole and one as a delta, name the same
//! checkpoint.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use galapagos_domain::artifact::{ArtifactRef, CheckpointManifest};
use galapagos_domain::ids::Digest;

use super::rebuild::{MAX_CHAIN, Record, Stored, find, remember};
use super::{ADAPTER_CONFIG, Cached, is_weights, open, plain_files, put_manifest};
use crate::delta::{self, Encoded, Problem};
use crate::hashing::{Beside, Hashing};
use crate::store::{Staged, blocking};
use crate::{ArtifactStore, Error};

/// A delta is used up to this share of the whole file.
const WORTH_PERCENT: u64 = 90;

/// What storing a checkpoint came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// The checkpoint's digest; the same for every form.
    pub checkpoint: Digest,
    /// Length of all its files.
    pub whole_bytes: u64,
    /// Bytes written for them; 0 for files the store had.
    pub stored_bytes: u64,
    pub form: Form,
}

/// In which form the weights of a checkpoint were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The store had them all.
    Known,
    /// At least one file as a delta; the longest chain of deltas down to a whole file.
    Delta { depth: u32 },
    /// No file as a delta.
    Whole,
}

/// Uploads a child of `parent`: as [`upload`](super::upload), but files of weights as deltas to the parent's where that saves a
/// tenth or more and the chain stays at [`MAX_CHAIN`]. `cache` is the cache that `parent` is opened in. The child of an adapter is an adapter on the same base.
///
/// # Errors
/// As [`upload`](super::upload), and as [`open`] for the parent; [`Error::DamagedBase`] if the parent's copy in the cache is not
/// what its manifest says; [`Error::Adapter`] if one of child and parent is an adapter and the other is not.
pub async fn upload_child(
    store: &ArtifactStore,
    folder: &Path,
    weights: Digest,
    parent: &Digest,
    cache: &Path,
) -> Result<Uploaded, Error> {
    let base = open(store, parent, cache).await?;
    let names = plain_files(folder)?;
    let is_adapter = names.iter().any(|(name, _)| name == ADAPTER_CONFIG);
    if is_adapter != base.manifest.base.is_some() {
        let problem = format!("one of it and its parent {parent} is an adapter and the other a whole model");
        return Err(Error::Adapter { folder: folder.to_owned(), problem });
    }
    let mut files = BTreeMap::new();
    let mut uploaded = Uploaded { checkpoint: *parent, whole_bytes: 0, stored_bytes: 0, form: Form::Known };
    for (name, path) in names {
        let pair = pair(&name, &path, (parent, &base));
        let (artifact, stored_bytes, form) = match pair {
            Some(pair) => store_near(store, pair).await?,
            None => store_whole(store, &path).await?,
        };
        uploaded.whole_bytes += artifact.bytes;
        uploaded.stored_bytes += stored_bytes;
        if is_weights(&name) {
            uploaded.form = uploaded.form.and(form);
        }
        files.insert(name, artifact);
    }
    let manifest = CheckpointManifest { files, weights, base: base.manifest.base };
    uploaded.checkpoint = put_manifest(store, &manifest).await?;
    Ok(uploaded)
}

impl Form {
    /// The form of two files together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Delta { depth: a }, Self::Delta { depth: b }) => Self::Delta { depth: a.max(b) },
            (delta @ Self::Delta { .. }, _) | (_, delta @ Self::Delta { .. }) => delta,
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Known, Self::Known) => Self::Known,
        }
    }
}

/// A file of the child, and the parent's that it may be a delta to.
struct Pair {
    path: PathBuf,
    base: PathBuf,
    base_digest: Digest,
    parent: Digest,
    name: String,
}

fn pair(name: &str, path: &Path, (parent, base): (&Digest, &Cached)) -> Option<Pair> {
    let file = base.manifest.files.get(name).filter(|_| is_weights(name))?;
    let (path, name) = (path.to_owned(), name.to_owned());
    Some(Pair { path, base: base.path.join(&name), base_digest: file.digest, parent: *parent, name })
}

type StoredFile = (ArtifactRef, u64, Form);

async fn store_whole(store: &ArtifactStore, path: &Path) -> Result<StoredFile, Error> {
    let (artifact, new) = store.put_new_file(path).await?;
    let (bytes, form) = if new { (artifact.bytes, Form::Whole) } else { (0, Form::Known) };
    Ok((artifact, bytes, form))
}

async fn store_near(store: &ArtifactStore, pair: Pair) -> Result<StoredFile, Error> {
    let depth = match find(store, &pair.base_digest, None).await? {
        Stored::Delta(record) => record.depth.saturating_add(1),
        Stored::Whole => 1,
        Stored::No | Stored::Broken(_) => return store_whole(store, &pair.path).await,
    };
    if depth > MAX_CHAIN {
        return store_whole(store, &pair.path).await;
    }
    let staging = store.clone();
    let (pair, encoded) = blocking(move || encode(&pair, &staging).map(|encoded| (pair, encoded))).await?;
    let Some(encoded) = encoded else { return store_whole(store, &pair.path).await };
    let artifact = ArtifactRef { digest: encoded.whole.digest, bytes: encoded.whole.whole_bytes, rows: 0 };
    let replace = match find(store, &artifact.digest, Some(artifact.bytes)).await? {
        Stored::Whole | Stored::Delta(_) => return Ok((artifact, 0, Form::Known)),
        Stored::No => false,
        Stored::Broken(_) => true,
    };
    let Delta { digest, staged, whole } = encoded;
    let delta = ArtifactRef { digest, bytes: whole.delta_bytes, rows: 0 };
    blocking(move || staged.commit(&digest, whole.delta_bytes)).await?;
    let Pair { base_digest: base, parent, name, .. } = pair;
    let codec = delta::CODEC.to_owned();
    let stored_bytes = delta.bytes;
    let record = Record { codec, bytes: artifact.bytes, delta, base, parent, name, depth };
    remember(store, &artifact.digest, &record, replace).await?;
    Ok((artifact, stored_bytes, Form::Delta { depth }))
}

/// A delta that is in the store, but not visible there yet.
struct Delta {
    whole: Encoded,
    digest: Digest,
    staged: Staged,
}

/// None if the file is no safetensors file or its delta is not worth it.
fn encode(pair: &Pair, store: &ArtifactStore) -> Result<Option<Delta>, Error> {
    // A delta to a damaged copy of the parent could never be read again.
    let checked = Beside::start(pair.base.clone())?;
    let mut staged = store.stage()?;
    let whole_bytes = std::fs::metadata(&pair.path).map_err(Error::file("look at", &pair.path))?.len();
    let limit = whole_bytes / 100 * WORTH_PERCENT;
    let mut hashing = Hashing::start()?;
    let encoded = delta::encode(&pair.path, &pair.base, limit, |piece| {
        staged.file().write_all(piece)?;
        hashing.update(piece).map_err(std::io::Error::other)
    });
    let digest = hashing.finish()?;
    let found = checked.finish()?;
    match encoded {
        Ok(None) | Err(Problem::Layout { .. }) => Ok(None),
        Err(source) => Err(Error::NotEncoded { path: pair.path.clone(), source }),
        Ok(Some(_)) if found != pair.base_digest => {
            let (path, base) = (pair.base.clone(), pair.base_digest);
            Err(Error::DamagedBase { base, found, path })
        }
        Ok(Some(whole)) => Ok(Some(Delta { whole, digest, staged })),
    }
}
