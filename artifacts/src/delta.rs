//! Lossless deltas of safetensors files: a child's file as its difference to the file of the same name of its parent.
//!
//! A delta holds the child's header as it is and then its tensors, in the order they lie in the file, in blocks of 4 MiB. A
//! block is the same as the base's, or a difference to it, or, if the base has no tensor of that name, dtype and shape, itself.
//! Memory stays at a few blocks, whatever the size of the file. Whether the rebuilt file is the right one is decided by whoever
//! knows its digest, not here.
//!
//! ```text
//! "GPDELTA1"
//! u64 length of the child's header; u64 length of it compressed; that much zstd
//! per tensor, per block of 4 MiB (the last one shorter):
//!     u8 kind: 0 same, 1 difference, 2 itself
//!     for 1 and 2, per place of a byte in the element, lowest first:
//!         u32 length, top bit set if not compressed; that much zstd or plain bytes
//! ```
//!
//! All integers are little-endian.

mod decode;
mod encode;
mod layout;
mod planes;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

pub use decode::decode;
pub use encode::{Encoded, encode};

/// Name of the format in the store's records; another format gets another name.
pub const CODEC: &str = "gpdelta1";

const MAGIC: &[u8; 8] = b"GPDELTA1";
const SAME: u8 = 0;
const DIFFERENCE: u8 = 1;
const ITSELF: u8 = 2;

/// Why a delta cannot be made or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("cannot {what} `{}`", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("`{}` has no deltas: {problem}", path.display())]
    Layout { path: PathBuf, problem: String },
    #[error("cannot {what} the delta")]
    Stream { what: &'static str, source: std::io::Error },
    #[error("the delta is damaged: {problem}")]
    Delta { problem: String },
    #[error("the digest of the file could not be computed")]
    Check { source: Box<crate::Error> },
    #[error("the delta does not belong to this base: {problem}")]
    Base { problem: String },
}

impl Problem {
    /// Another attempt may succeed: the place or the moment is at fault, not the content.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::File { .. } | Self::Stream { .. } | Self::Check { .. } => true,
            Self::Layout { .. } | Self::Delta { .. } | Self::Base { .. } => false,
        }
    }

    fn delta(problem: impl Into<String>) -> Self {
        Self::Delta { problem: problem.into() }
    }

    fn read(source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::delta("it ends early"),
            _ => Self::Stream { what: "read", source },
        }
    }

    fn check(source: crate::Error) -> Self {
        Self::Check { source: Box::new(source) }
    }

    pub(crate) fn write(source: std::io::Error) -> Self {
        Self::Stream { what: "write", source }
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    fn layout(path: &Path) -> impl FnOnce(String) -> Self {
        let path = path.to_owned();
        move |problem| Self::Layout { path, problem }
    }
}
