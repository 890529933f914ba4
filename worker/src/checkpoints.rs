//! Checkpoints on this machine's disk: fetched from the artifact store once, then opened from the cache. An adapter comes with the base
//! that its checkpoint names.

use std::path::PathBuf;
use std::sync::Arc;

use galapagos_artifacts::checkpoint::{self, Cached};
use galapagos_artifacts::{ArtifactStore, Error};
use galapagos_domain::ids::Digest;

use crate::engine::CheckpointDir;
use crate::jobs::JobError;

/// The cache of one worker; cheap to clone. Other processes may share the folder.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    store: ArtifactStore,
    cache: PathBuf,
}

impl Checkpoints {
    /// A cache in the folder `cache`.
    #[must_use]
    pub fn new(store: ArtifactStore, cache: PathBuf) -> Self {
        Self { store, cache }
    }

    /// Where the cache lies; also the place for scratch folders.
    #[must_use]
    pub fn cache(&self) -> &std::path::Path {
        &self.cache
    }

    /// The checkpoint as a folder, and of an adapter its base as another.
    ///
    /// # Errors
    /// [`JobError::Checkpoint`] for what cannot be fetched, and for an adapter on an adapter.
    pub async fn open(&self, checkpoint: &Digest) -> Result<CheckpointDir, JobError> {
        let cached = self.fetch(checkpoint).await?;
        let Some(below) = cached.manifest.base else { return Ok(folder(checkpoint, cached, None)) };
        let base = self.fetch(&below).await?;
        if let Some(further) = base.manifest.base {
            let problem = format!("its base {below} is an adapter itself, on {further}");
            let source = Box::new(Error::Adapter { folder: cached.path, problem });
            return Err(JobError::Checkpoint { checkpoint: *checkpoint, source });
        }
        let base = Arc::new(folder(&below, base, None));
        Ok(folder(checkpoint, cached, Some(base)))
    }

    async fn fetch(&self, checkpoint: &Digest) -> Result<Cached, JobError> {
        let fetched = checkpoint::open(&self.store, checkpoint, &self.cache).await;
        fetched.map_err(|source| JobError::Checkpoint { checkpoint: *checkpoint, source: Box::new(source) })
    }
}

fn folder(checkpoint: &Digest, cached: Cached, base: Option<Arc<CheckpointDir>>) -> CheckpointDir {
    CheckpointDir { checkpoint: *checkpoint, weights: cached.manifest.weights, path: cached.path, base }
}
