//! What can go wrong with artifacts, and whether another try may help.

use std::path::PathBuf;

use galapagos_domain::ids::Digest;

/// A failed artifact operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot open the artifact store at `{location}`: give a folder or a file:// URL")]
    Open { location: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the artifact store has no artifact {digest}")]
    Absent { digest: Digest },
    #[error("cannot {what} artifact {digest}")]
    Store { what: &'static str, digest: Digest, source: object_store::Error },
    #[error("artifact {digest} is damaged: its bytes hash to {found}; delete the file and run again from its producer")]
    Damaged { digest: Digest, found: Digest },
    #[error("cannot {what} `{}`", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("checkpoint manifest {digest} cannot be read")]
    Manifest { digest: Digest, source: serde_json::Error },
    #[error("checkpoint manifest {digest} names the file `{name}`, which is not a plain file name")]
    ManifestPath { digest: Digest, name: String },
    #[cfg(feature = "trajectories")]
    #[error("cannot {what} a trajectory table")]
    Table { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    /// Another attempt may succeed: the place or the moment is at fault, not the content.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { .. } | Self::File { .. } => true,
            Self::Open { .. }
            | Self::Absent { .. }
            | Self::Damaged { .. }
            | Self::Manifest { .. }
            | Self::ManifestPath { .. } => false,
            #[cfg(feature = "trajectories")]
            Self::Table { .. } => false,
        }
    }
}
