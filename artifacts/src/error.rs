//! What can go wrong with artifacts, and whether another try may help.

use std::path::{Path, PathBuf};

use galapagos_domain::ids::Digest;

use crate::delta::Problem;

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
    #[error(
        "artifact {file} is stored as a delta to {base}, and the store has {base} in no form; store the base again"
    )]
    NoBase { file: Digest, base: Digest },
    #[error("artifact {file} cannot be rebuilt from its delta to {base}")]
    Delta { file: Digest, base: Digest, source: Problem },
    #[error("`{}` should be {base}, the base of a delta, but hashes to {found}; delete it and try again", path.display())]
    DamagedBase { base: Digest, found: Digest, path: PathBuf },
    #[error("cannot store `{}` as a delta", path.display())]
    NotEncoded { path: PathBuf, source: Problem },
    #[error(
        "artifact {file} is the end of more than {most} deltas; the records of its ancestors are damaged, store it again whole"
    )]
    Chain { file: Digest, most: u32 },
    #[error("the record of how to rebuild artifact {file} cannot be used: {problem}")]
    Record { file: Digest, problem: String },
    #[error("`{}` is no adapter to store: {problem}", folder.display())]
    Adapter { folder: PathBuf, problem: String },
    #[error("the check of an artifact's bytes did not run")]
    Check { source: Box<dyn std::error::Error + Send + Sync> },
    #[cfg(feature = "trajectories")]
    #[error("cannot {what} a trajectory table")]
    Table { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    /// Another attempt may succeed: the place or the moment is at fault, not the content.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { .. } | Self::File { .. } | Self::Check { .. } => true,
            Self::Delta { source, .. } | Self::NotEncoded { source, .. } => source.is_transient(),
            Self::Open { .. }
            | Self::Absent { .. }
            | Self::Damaged { .. }
            | Self::Manifest { .. }
            | Self::ManifestPath { .. }
            | Self::NoBase { .. }
            | Self::DamagedBase { .. }
            | Self::Chain { .. }
            | Self::Record { .. }
            | Self::Adapter { .. } => false,
            #[cfg(feature = "trajectories")]
            Self::Table { .. } => false,
        }
    }

    /// For `map_err`: that `what` failed on the file or folder `path`.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
