//! Why a configuration is refused: which field, what it says, and what would be right.

use serde_json::Value;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or not an object.
    #[error("it is not a JSON object")]
    Json {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A field that has no default is absent.
    #[error("`{field}` is missing")]
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
    #[error("`{field}` is {value}; only {supported} is implemented")]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is implemented.
        supported: String,
    },
}

pub(crate) fn invalid(field: &str, value: impl std::fmt::Display, expected: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
}

pub(crate) fn unsupported(field: &str, value: &Value, supported: &str) -> ConfigError {
    ConfigError::Unsupported { field: field.to_owned(), value: value.to_string(), supported: supported.to_owned() }
}
