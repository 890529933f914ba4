//! The run folder: where a local cluster keeps its store, artifacts, logs and results, and the lock that one `run` holds.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// What a run was started with; a resumed run must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMark {
    pub recipe: String,
    pub recipe_digest: String,
    pub seed: u64,
    /// Known once the coordinator has accepted the recipe.
    pub evolution: Option<String>,
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot {what} `{}`", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("another `galapagos run` is using `{}`; wait for it, or choose another folder with --dir", path.display())]
    InUse { path: PathBuf },
    #[error("`{}` cannot be read as JSON; it was not written by galapagos, or it is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
}

/// Paths inside one run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

/// Held while a `run` uses its folder.
#[derive(Debug)]
pub struct FolderLock {
    // Dropping the file releases the lock.
    _file: File,
}

impl RunFolder {
    /// The folder at `root`, made absolute, created with its `logs` if absent.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(root: &Path) -> Result<Self, FolderError> {
        let failed = |what, path: &Path, source| FolderError::File { what, path: path.to_owned(), source };
        std::fs::create_dir_all(root.join("logs")).map_err(|e| failed("create", root, e))?;
        let root = root.canonicalize().map_err(|e| failed("resolve", root, e))?;
        Ok(Self { root })
    }

    /// Takes the folder for this process alone.
    ///
    /// # Errors
    /// [`FolderError::InUse`] while another process holds it.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.root.join("run.lock");
        let file = File::create(&path).map_err(|source| FolderError::File { what: "create", path, source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(_) => Err(FolderError::InUse { path: self.root.clone() }),
        }
    }

    /// The mark of the run that this folder holds, if it holds one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn mark(&self) -> Result<Option<RunMark>, FolderError> {
        read_json(&self.root.join("run.json"))
    }

    /// Replaces the mark; readers see the old or the new one, whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set_mark(&self, mark: &RunMark) -> Result<(), FolderError> {
        let path = self.root.join("run.json");
        let text =
            serde_json::to_vec_pretty(mark).map_err(|source| FolderError::Damaged { path: path.clone(), source })?;
        write_atomically(&path, &text)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The filled-in recipe of the run.
    #[must_use]
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.yaml")
    }

    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Run logs of the rounds: a folder for each, for TensorBoard.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    #[must_use]
    pub fn announcement_file(&self) -> PathBuf {
        self.root.join("coordinator.json")
    }

    #[must_use]
    pub fn log_file(&self, process: &str) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }

    #[must_use]
    pub fn export(&self, name: &str) -> PathBuf {
        self.root.join("export").join(name)
    }

    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// Writes a file so that it appears whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let partial = path.with_extension("partial");
    let failed = |what, path: &Path, source| FolderError::File { what, path: path.to_owned(), source };
    std::fs::write(&partial, bytes).map_err(|e| failed("write", &partial, e))?;
    std::fs::rename(&partial, path).map_err(|e| failed("replace", path, e))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| FolderError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::File { what: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_run_at_a_time() {
        let at = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&at.path().join("run")).unwrap();
        let lock = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(FolderError::InUse { .. })));
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn the_mark_is_kept_and_damage_is_named() {
        let at = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(at.path()).unwrap();
        assert_eq!(folder.mark().unwrap(), None);
        let mark = RunMark { recipe: "tiny".into(), recipe_digest: "ab".into(), seed: 1, evolution: None };
        folder.set_mark(&mark).unwrap();
        assert_eq!(folder.mark().unwrap(), Some(mark));
        std::fs::write(at.path().join("run.json"), "{").unwrap();
        assert!(matches!(folder.mark(), Err(FolderError::Damaged { .. })));
    }
}
