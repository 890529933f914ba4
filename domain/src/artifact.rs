//! Artifacts: immutable bytes in the artifact store, named by digest. Metadata refers to them; it never holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// One committed file of the artifact store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// BLAKE3 of the bytes; the file's name in the store.
    pub digest: Digest,
    /// Length of the file.
    pub bytes: u64,
    /// Rows, for tables; 0 for other files.
    pub rows: u64,
}

/// The manifest of a checkpoint: a Hugging Face folder, file by file. Its own digest (of its JSON, keys sorted) names
/// the checkpoint, so equal weights with equal tokenizer and configuration are one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    /// File name (no directories) to its artifact.
    pub files: BTreeMap<String, ArtifactRef>,
    /// Digest of the named tensors, as the ranks of a round vote it.
    pub weights: Digest,
    /// The checkpoint an adapter stands on; none for a whole model. Left out of the JSON when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
}

impl CheckpointManifest {
    /// The canonical bytes whose digest names the checkpoint.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "string keys and plain numbers always serialise")]
        serde_json::to_vec(self).expect("a manifest of strings and integers is valid JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_base_keeps_its_bytes_and_so_its_name() {
        let weights = Digest::of(b"weights");
        let old = format!(r#"{{"files":{{}},"weights":"{weights}"}}"#);
        let read: CheckpointManifest = serde_json::from_str(&old).unwrap();
        assert_eq!(read, CheckpointManifest { files: BTreeMap::new(), weights, base: None });
        assert_eq!(read.canonical_bytes(), old.as_bytes());
        let adapter = CheckpointManifest { base: Some(Digest::of(b"base")), ..read };
        let again: CheckpointManifest = serde_json::from_slice(&adapter.canonical_bytes()).unwrap();
        assert_eq!(again, adapter);
    }
}
