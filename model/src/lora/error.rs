//! Why an adapter cannot be used, read or written. Every text says what, where, and what would be right.

use std::path::PathBuf;

use crate::WeightsError;
use crate::files::FileError;

/// Why an adapter's settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum AdapterConfigError {
    /// Not JSON, or not an object.
    #[error("it is not a JSON object")]
    Json {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A field that has no default is absent.
    #[error("it lacks `{field}`")]
    Missing {
        /// The absent field.
        field: &'static str,
    },
    /// A value that makes no sense.
    #[error("`{field}` is {value}; it must be {expected}")]
    Invalid {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A value that makes sense but is not implemented here.
    #[error("`{field}` is {value}, which is not implemented; {supported}")]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is implemented.
        supported: String,
    },
    /// A regular expression that cannot be used.
    #[error("`{field}` holds `{pattern}`, which is not a regular expression that is implemented here (no look-around)")]
    Pattern {
        /// The field.
        field: &'static str,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// A module the base does not have.
    #[error("`target_modules` names `{module}`, which matches nothing in this base; its projections are {known}")]
    UnknownModule {
        /// The name or expression.
        module: String,
        /// What the base has.
        known: String,
    },
    /// A module of the base that is no projection of a layer.
    #[error("`target_modules` matches `{module}`; only the projections inside layers can have adapters: {known}")]
    OutsideLayers {
        /// The module.
        module: String,
        /// What would be right.
        known: String,
    },
    /// Two entries of a pattern give one module different values.
    #[error("`{field}` gives `{module}` two values, by `{first}` and by `{second}`; leave one of them")]
    Ambiguous {
        /// `rank_pattern` or `alpha_pattern`.
        field: &'static str,
        /// The module.
        module: String,
        /// An entry.
        first: String,
        /// Another.
        second: String,
    },
}

impl AdapterConfigError {
    pub(crate) fn invalid(field: &str, value: impl std::fmt::Display, expected: &str) -> Self {
        Self::Invalid { field: field.to_owned(), value: value.to_string(), expected: expected.to_owned() }
    }

    pub(crate) fn unsupported(field: &str, value: impl std::fmt::Display, supported: &str) -> Self {
        Self::Unsupported { field: field.to_owned(), value: value.to_string(), supported: supported.to_owned() }
    }
}

/// Why an adapter cannot be used, read or written.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Nothing there, or not a folder.
    #[error("there is no adapter folder at {}", path.display())]
    NoFolder {
        /// Where we looked.
        path: PathBuf,
    },
    /// A file every adapter folder has is absent.
    #[error("the adapter folder lacks {}{hint}", path.display())]
    NoFile {
        /// The absent file.
        path: PathBuf,
        /// What may help.
        hint: &'static str,
    },
    /// The system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// The settings in a file are refused, or do not fit the base.
    #[error("the adapter's {} cannot be used with this base", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: AdapterConfigError,
    },
    /// The settings of an adapter in memory do not fit the base.
    #[error("the adapter does not fit this base")]
    Unfit {
        /// Why.
        #[source]
        source: AdapterConfigError,
    },
    /// A tensor is missing, misshapen, not finite, or does not belong there.
    #[error("{place}: tensor `{tensor}` {problem}")]
    Tensor {
        /// The file, or `the adapter`.
        place: String,
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The weights' file is broken, or libtorch failed on a tensor.
    #[error("the weights of {place} cannot be used")]
    Weights {
        /// The file, or `the adapter`.
        place: String,
        /// Why.
        #[source]
        source: Box<WeightsError>,
    },
}
