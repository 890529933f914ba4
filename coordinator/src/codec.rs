//! Records as the bytes that the store keeps: JSON with a version, so that a store can be read by eye and by later
//! versions. A record that could not be read back is refused before it is written.

use galapagos_domain::cluster::Record;
use serde::{Deserialize, Serialize};

/// Version of a record's JSON.
const RECORD_VERSION: u32 = 3;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    record: &'a Record,
}

#[derive(Deserialize)]
struct Read {
    record: Record,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// A record without a durable form, or bytes that are no record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("record {key} cannot be written as JSON")]
    Encode { key: String, source: serde_json::Error },
    #[error("record {key} would not be read back as it is: it holds a number that is not finite, or a key twice")]
    Lossy { key: String },
    #[error("record {key} cannot be read")]
    Decode { key: String, source: serde_json::Error },
    #[error(
        "record {key} has version {found}; this program reads version {RECORD_VERSION}: go on with the Galapagos that wrote it, or begin in another folder"
    )]
    Version { key: String, found: u32 },
    #[error("the record under key {key} calls itself {claimed}")]
    Misplaced { key: String, claimed: String },
}

/// The key and the bytes of a record.
pub(crate) fn encode(record: &Record) -> Result<(String, Vec<u8>), CodecError> {
    let key = record.key();
    let bytes = match serde_json::to_vec(&Written { v: RECORD_VERSION, record }) {
        Ok(bytes) => bytes,
        Err(source) => return Err(CodecError::Encode { key, source }),
    };
    // JSON turns a NaN into null, which no later start could read: better to stop before it is acknowledged.
    match decode(&key, &bytes) {
        Ok(back) if back == *record => Ok((key, bytes)),
        Ok(_) | Err(_) => Err(CodecError::Lossy { key }),
    }
}

/// The record that the store keeps under `key`.
pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<Record, CodecError> {
    let failed = |source| CodecError::Decode { key: key.to_owned(), source };
    let Version { v } = serde_json::from_slice(bytes).map_err(failed)?;
    if v != RECORD_VERSION {
        return Err(CodecError::Version { key: key.to_owned(), found: v });
    }
    let Read { record } = serde_json::from_slice(bytes).map_err(failed)?;
    let claimed = record.key();
    if claimed == key { Ok(record) } else { Err(CodecError::Misplaced { key: key.to_owned(), claimed }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use galapagos_domain::fence::Mint;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let mut mint = Mint::default();
        mint.token();
        let (key, bytes) = encode(&Record::Mint(mint.clone())).unwrap();
        assert_eq!(key, "mint");
        assert_eq!(decode(&key, &bytes).unwrap(), Record::Mint(mint));
    }

    #[test]
    fn a_record_of_another_version_or_place_is_refused() {
        let (_, bytes) = encode(&Record::Mint(Mint::default())).unwrap();
        assert!(matches!(decode("job/a-1/g1/x/0", &bytes), Err(CodecError::Misplaced { .. })));
        let newer = br#"{"v": 999, "record": {"wheel": 1}}"#;
        assert!(matches!(decode("mint", newer), Err(CodecError::Version { found: 999, .. })));
    }
}
