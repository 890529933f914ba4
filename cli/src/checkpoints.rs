//! Checkpoints on this machine's disk: whole models, and adapters with the base that they stand on. What needs libtorch is done by the
//! sibling executable `galapagos-worker`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::ids::Digest;
use tokio::process::Command;

use crate::error::Error;
use crate::local;

/// A checkpoint on this machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub folder: PathBuf,
    /// The folder of the whole model that an adapter stands on.
    pub base: Option<PathBuf>,
}

impl Found {
    /// A folder with a whole model.
    #[must_use]
    pub fn whole(folder: PathBuf) -> Self {
        Self { folder, base: None }
    }
}

/// The checkpoint in `cache`, fetched if it is not there; of an adapter, its base too.
///
/// # Errors
/// [`Error::Artifact`].
pub async fn fetch(store: &ArtifactStore, checkpoint: &Digest, cache: &Path) -> Result<Found, Error> {
    let failed = |source| Error::Artifact { source: Box::new(source) };
    let cached = checkpoint::open(store, checkpoint, cache).await.map_err(failed)?;
    let base = match &cached.manifest.base {
        Some(base) => Some(checkpoint::materialise(store, base, cache).await.map_err(failed)?),
        None => None,
    };
    Ok(Found { folder: cached.path, base })
}

/// Writes `adapter` put into `base` as one model folder, `to`, which is new or empty.
///
/// # Errors
/// [`Error::Failed`] with what the sibling says.
pub async fn merge(base: &Path, adapter: &Path, to: &Path) -> Result<(), Error> {
    let path = local::sibling("galapagos-worker").map_err(|source| Error::Process { source })?;
    let mut command = Command::new(&path);
    command.arg("merge").args([base, adapter, to]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|source| Error::Exec { path, source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("error: ");
    Err(Error::Failed { message: format!("the adapter cannot be merged into its base: {said}") })
}
