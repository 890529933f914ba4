//! The announce file: a coordinator writes where it serves once it serves; workers and clients on the same machine read
//! it. A file may be stale (its coordinator was killed): a reader must expect that nobody answers, and read it again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Version of the file's JSON.
pub const ANNOUNCE_VERSION: u32 = 1;

/// Where a coordinator serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// [`ANNOUNCE_VERSION`].
    pub version: u32,
    /// gRPC.
    pub addr: SocketAddr,
    /// Metrics and health over HTTP.
    pub http: SocketAddr,
    /// The coordinator's process.
    pub pid: u32,
    /// The coordinator's term.
    pub leader_epoch: u64,
}

/// The announce file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    #[error("could not write the announce file {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not read the announce file {}; a running coordinator writes it", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not an announce file of a coordinator", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} is an announce file of version {found}; this program reads version {ANNOUNCE_VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
}

impl Announcement {
    /// Replaces `path` in one move, so that no reader sees half a file.
    ///
    /// # Errors
    /// [`AnnounceError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), AnnounceError> {
        let failed = |source| AnnounceError::Write { path: path.to_owned(), source };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", self.pid));
        let json = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let mut file = File::create(&temporary).map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If there is none, or it is not one that this program reads.
    pub fn read(path: &Path) -> Result<Self, AnnounceError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |source| AnnounceError::Malformed { path: path.to_owned(), source };
        let json = fs::read(path).map_err(|source| AnnounceError::Read { path: path.to_owned(), source })?;
        let Versioned { version } = serde_json::from_slice(&json).map_err(malformed)?;
        if version != ANNOUNCE_VERSION {
            return Err(AnnounceError::Version { path: path.to_owned(), found: version });
        }
        serde_json::from_slice(&json).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(pid: u32) -> Announcement {
        let addr = "127.0.0.1:7071".parse().unwrap();
        Announcement { version: ANNOUNCE_VERSION, addr, http: "127.0.0.1:7070".parse().unwrap(), pid, leader_epoch: 3 }
    }

    #[test]
    fn a_later_announcement_replaces_the_earlier_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.json");
        announcement(1).write(&path).unwrap();
        announcement(2).write(&path).unwrap();
        assert_eq!(Announcement::read(&path).unwrap(), announcement(2));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_another_version_is_refused_by_its_version_whatever_else_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.json");
        fs::write(&path, r#"{"version": 2, "address": "elsewhere"}"#).unwrap();
        assert!(matches!(Announcement::read(&path), Err(AnnounceError::Version { found: 2, .. })));
    }
}
