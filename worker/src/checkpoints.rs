//! Checkpoints on this machine's disk: fetched from the artifact store once, then opened from the cache.

use std::path::PathBuf;
use std::sync::Arc;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::ids::Digest;
use tokio::sync::Mutex;

use crate::engine::CheckpointDir;
use crate::jobs::JobError;

/// The cache of one worker; cheap to clone. Other processes may share the folder.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    store: ArtifactStore,
    cache: PathBuf,
    /// One fetch at a time within this process: two attempts that want the same checkpoint must not write the same files.
    fetching: Arc<Mutex<()>>,
}

impl Checkpoints {
    /// A cache in the folder `cache`.
    #[must_use]
    pub fn new(store: ArtifactStore, cache: PathBuf) -> Self {
        Self { store, cache, fetching: Arc::new(Mutex::new(())) }
    }

    /// Where the cache lies; also the place for scratch folders.
    #[must_use]
    pub fn cache(&self) -> &std::path::Path {
        &self.cache
    }

    /// The checkpoint as a folder.
    ///
    /// # Errors
    /// [`JobError::Checkpoint`].
    pub async fn open(&self, checkpoint: &Digest) -> Result<CheckpointDir, JobError> {
        let failed = |source| JobError::Checkpoint { checkpoint: *checkpoint, source: Box::new(source) };
        let manifest = checkpoint::manifest(&self.store, checkpoint).await.map_err(failed)?;
        let _fetching = self.fetching.lock().await;
        let path = checkpoint::materialise(&self.store, checkpoint, &self.cache).await.map_err(failed)?;
        Ok(CheckpointDir { checkpoint: *checkpoint, weights: manifest.weights, path })
    }
}
