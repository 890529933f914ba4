//! Why a GGUF file cannot be read or turned into a model folder. Each error names the place (key, tensor or byte) and what
//! would be right; the file's own path is the caller's to add where it is not part of the problem.

use std::path::PathBuf;

use crate::files::FileError;

/// Why a GGUF file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are not what the format says.
    #[error("{what} at byte {offset}: {problem}")]
    Format {
        /// Which part of the file.
        what: String,
        /// Where it begins.
        offset: u64,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A metadata entry is absent, of another type, or makes no sense.
    #[error("metadata key `{key}` {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A tensor is absent, unknown, misshapen or damaged.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The tokenizer's metadata contradict each other.
    #[error("the tokenizer in the file cannot be used: {problem}")]
    Tokenizer {
        /// What is wrong.
        problem: String,
    },
    /// The tokenizer made from the metadata is refused.
    #[error("the tokenizer made from the file's metadata cannot be used")]
    BadTokenizer {
        /// Why.
        #[source]
        source: crate::TokenizerError,
    },
    /// The folder to write is taken.
    #[error("{} {problem}", path.display())]
    Target {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
}

pub(super) fn key(key: &str, problem: impl Into<String>) -> GgufError {
    GgufError::Key { key: key.to_owned(), problem: problem.into() }
}

pub(super) fn tensor(name: &str, problem: impl Into<String>) -> GgufError {
    GgufError::Tensor { name: name.to_owned(), problem: problem.into() }
}

pub(super) fn tokenizer(problem: impl Into<String>) -> GgufError {
    GgufError::Tokenizer { problem: problem.into() }
}
