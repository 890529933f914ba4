//! All conversions between the wire (`v1`) and the types of `galapagos_domain`, both ways, one submodule per contract
//! file. Reading refuses what the contract forbids with an error that names message and field; writing cannot fail.

mod admin;
mod common;
mod job;
mod round;
mod session;

pub use admin::{EvolutionSummary, document, parse_document};

use std::str::FromStr;

use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::{Digest, InvalidId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::v1;

/// A message that breaks the wire contract.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error("{message} lacks `{field}`")]
    Missing { message: &'static str, field: &'static str },
    #[error("{message} has a bad `{field}`")]
    Id { message: &'static str, field: &'static str, source: InvalidId },
    #[error("{message}.{field} has {found} bytes; a digest has 32")]
    DigestLength { message: &'static str, field: &'static str, found: usize },
    #[error("{message}.{field} is {value}, which is none of {allowed}")]
    OutOfRange { message: &'static str, field: &'static str, value: i64, allowed: &'static str },
    #[error("{message}.{field} is {value}; it must be finite (a rank that diverged fails instead of reporting)")]
    NotFinite { message: &'static str, field: &'static str, value: f64 },
    #[error("{message}.{field} is not what it must be in the recipe language")]
    Fragment { message: &'static str, field: &'static str, source: serde_json::Error },
    #[error("{document} has version {found}; this program reads version {supported}")]
    DocumentVersion { document: &'static str, found: u32, supported: u32 },
    #[error("{document} of version {version} cannot be read")]
    Document { document: &'static str, version: u32, source: serde_json::Error },
}

/// The error and its causes on one line: only text crosses the wire.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Reads the fields of one message; knows its name for the errors.
#[derive(Clone, Copy)]
struct Fields(&'static str);

impl Fields {
    fn required<T>(self, field: &'static str, value: Option<T>) -> Result<T, ConvertError> {
        value.ok_or(ConvertError::Missing { message: self.0, field })
    }

    /// A required message, converted.
    fn message<W, T>(self, field: &'static str, value: Option<W>) -> Result<T, ConvertError>
    where
        T: TryFrom<W, Error = ConvertError>,
    {
        self.required(field, value)?.try_into()
    }

    fn id<T: FromStr<Err = InvalidId>>(self, field: &'static str, text: &str) -> Result<T, ConvertError> {
        text.parse().map_err(|source| ConvertError::Id { message: self.0, field, source })
    }

    fn text(self, field: &'static str, text: String) -> Result<String, ConvertError> {
        if text.is_empty() { Err(ConvertError::Missing { message: self.0, field }) } else { Ok(text) }
    }

    fn token(self, value: Option<v1::FencingToken>) -> Result<FencingToken, ConvertError> {
        match self.required("token", value)?.value {
            0 => Err(ConvertError::Missing { message: self.0, field: "token.value" }),
            value => Ok(FencingToken(value)),
        }
    }

    fn digest(self, field: &'static str, value: Option<v1::Digest>) -> Result<Digest, ConvertError> {
        self.digest_bytes(field, &self.required(field, value)?.blake3)
    }

    fn optional_digest(self, field: &'static str, value: Option<v1::Digest>) -> Result<Option<Digest>, ConvertError> {
        value.map(|digest| self.digest_bytes(field, &digest.blake3)).transpose()
    }

    fn digest_bytes(self, field: &'static str, bytes: &[u8]) -> Result<Digest, ConvertError> {
        let bytes =
            bytes.try_into().map_err(|_| ConvertError::DigestLength { message: self.0, field, found: bytes.len() })?;
        Ok(Digest::from_bytes(bytes))
    }

    fn finite(self, field: &'static str, value: f64) -> Result<f64, ConvertError> {
        if value.is_finite() { Ok(value) } else { Err(ConvertError::NotFinite { message: self.0, field, value }) }
    }

    fn out_of_range(self, field: &'static str, value: impl Into<i64>, allowed: &'static str) -> ConvertError {
        ConvertError::OutOfRange { message: self.0, field, value: value.into(), allowed }
    }

    fn fragment<T: DeserializeOwned>(self, field: &'static str, json: &str) -> Result<T, ConvertError> {
        serde_json::from_str(json).map_err(|source| ConvertError::Fragment { message: self.0, field, source })
    }
}

/// A fragment of the recipe language as its JSON.
fn to_json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "the recipe language has string keys and no failing Serialize")]
    serde_json::to_string(value).expect("a recipe fragment is valid JSON")
}

fn all<W, T: TryFrom<W, Error = ConvertError>>(values: Vec<W>) -> Result<Vec<T>, ConvertError> {
    values.into_iter().map(T::try_from).collect()
}

fn all_into<W: Into<T>, T>(values: Vec<W>) -> Vec<T> {
    values.into_iter().map(Into::into).collect()
}
