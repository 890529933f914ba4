//! Everybody's bytes, however many: the collective's own gathering takes a bounded number at a time.

use galapagos_collective::{Group, MAX_GATHER_BYTES};
use serde::{Deserialize, Serialize};

use crate::RankError;
use crate::step::collective;

/// Every rank's bytes, in rank order.
///
/// # Errors
/// What the other ranks did.
pub fn bytes(group: &Group, own: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
    let failed = || collective("gather what the ranks have");
    let lengths = group.all_gather_bytes(&(own.len() as u64).to_le_bytes()).map_err(failed())?;
    let longest = lengths.iter().map(|length| read_length(length)).max().unwrap_or(0);
    let mut all = vec![Vec::new(); lengths.len()];
    let mut at = 0;
    while at < longest {
        let end = own.len().min(at + MAX_GATHER_BYTES);
        let pieces = group.all_gather_bytes(own.get(at..end).unwrap_or_default()).map_err(failed())?;
        for (whole, piece) in all.iter_mut().zip(pieces) {
            whole.extend(piece);
        }
        at += MAX_GATHER_BYTES;
    }
    Ok(all)
}

/// Every rank's value, in rank order.
///
/// # Errors
/// As [`bytes`], or if a rank sent something else.
pub fn values<T: Serialize + for<'de> Deserialize<'de>>(group: &Group, own: &T) -> Result<Vec<T>, RankError> {
    let failed = |source: serde_json::Error| RankError::State {
        what: "exchange it with the other ranks".to_owned(),
        source: source.into(),
    };
    let all = bytes(group, &serde_json::to_vec(own).map_err(failed)?)?;
    all.iter().map(|bytes| serde_json::from_slice(bytes).map_err(failed)).collect()
}

fn read_length(bytes: &[u8]) -> usize {
    let mut eight = [0; 8];
    let known = bytes.len().min(8);
    eight[..known].copy_from_slice(&bytes[..known]);
    usize::try_from(u64::from_le_bytes(eight)).unwrap_or(usize::MAX)
}
