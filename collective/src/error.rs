//! What can go wrong between ranks, each with the operation and the ranks concerned.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use galapagos_telemetry::SpawnError;
use tch::TchError;

/// A list of ranks, for messages: `rank 1`, `ranks 1, 3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranks(pub Vec<u32>);

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("none, every rank answered"),
            [one] => write!(f, "rank {one}"),
            [first, rest @ ..] => {
                write!(f, "ranks {first}")?;
                rest.iter().try_for_each(|rank| write!(f, ", {rank}"))
            }
        }
    }
}

/// Why a call of this crate failed.
///
/// After `Timeout`, `PeerLost`, `Backend` and `Unfinished` the group is broken: every later call on it gives `Broken`.
/// `Argument`, `Mismatch` and `Tensor` leave it as it was; with `NotBuilt` and `NoDevice` there is no group yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be carried out as made; nothing was sent to other ranks.
    #[error("{op}: {wrong}")]
    Argument { op: &'static str, wrong: String },
    /// The backend is not in this build.
    #[error("{}", not_built(backend))]
    NotBuilt { backend: &'static str },
    /// The backend needs a CUDA device that libtorch does not find. Nothing was sent to other ranks.
    #[error("{}", no_device(*device, *found))]
    NoDevice { device: usize, found: usize },
    /// The listening socket of a store could not be made.
    #[error("could not listen on {addr} for the store of a round")]
    Bind { addr: SocketAddr, source: io::Error },
    /// The store could not be reached, or not be served.
    #[error("could not reach the store at {addr} after {waited_ms} ms: {message}")]
    Rendezvous { addr: SocketAddr, waited_ms: u64, message: String },
    /// The connection to the store failed; the rank that serves it is probably gone.
    #[error("the store at {addr} failed while we tried to {action}: {message}")]
    Store { addr: SocketAddr, action: String, message: String },
    /// Nobody set these keys in time.
    #[error("waited {waited_ms} ms for the store keys [{}]", keys.join(", "))]
    KeysMissing { keys: Vec<String>, waited_ms: u64 },
    /// Somebody already joined as this rank under this prefix: the prefix was used before, or a rank number twice.
    #[error("rank {rank} was already taken in group `{prefix}`; a new try needs a new prefix")]
    RankTaken { prefix: String, rank: u32 },
    /// The deadline passed. `missing` did not arrive, or did not answer the roll call after the failure.
    #[error("`{op}` timed out after {waited_ms} ms; missing: {missing}")]
    Timeout { op: String, waited_ms: u64, missing: Ranks },
    /// A connection to another rank broke. `missing` did not answer the roll call after the failure.
    #[error("`{op}` lost a peer after {waited_ms} ms ({message}); missing: {missing}")]
    PeerLost { op: String, waited_ms: u64, missing: Ranks, message: String },
    /// Another rank is about to do something else. Nothing was exchanged, and all ranks get this error.
    #[error("ranks disagree on `{op}`: rank {rank} has `{theirs}`, this rank has `{mine}`")]
    Mismatch { op: String, mine: String, theirs: String, rank: u32 },
    /// The group failed before.
    #[error("`{op}` was not started: the group broke earlier ({cause}); make a new group under a new prefix")]
    Broken { op: String, cause: String },
    /// c10d refused or failed for a reason that is neither time nor a lost peer.
    #[error("`{op}` failed: {message}")]
    Backend { op: String, message: String },
    /// Backward ended but not every gradient was reduced: a parameter took no part in the loss.
    #[error(
        "backward left gradients unreduced ({message}); set `find_unused` if some parameters take no part in the loss"
    )]
    Unfinished { message: String },
    /// A tensor operation on this rank alone failed.
    #[error("could not {action}")]
    Tensor { action: &'static str, source: TchError },
    /// The watchdog got no thread.
    #[error("could not start the watchdog `{name}`")]
    Watchdog { name: String, source: SpawnError },
}

fn not_built(backend: &str) -> String {
    format!(
        "this build has no {backend}: build galapagos-collective with its cargo feature `cuda`, with LIBTORCH set to a libtorch for \
         CUDA (the folder `torch` of the PyPI wheel)"
    )
}

fn no_device(device: usize, found: usize) -> String {
    match found {
        0 => {
            "no CUDA device: libtorch finds none; `nvidia-smi` must list one, and CUDA_VISIBLE_DEVICES must not hide it"
                .to_owned()
        }
        _ => format!("no CUDA device {device}: libtorch finds {found}, numbered from 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_operation_and_the_ranks() {
        let timeout = Error::Timeout { op: "barrier".to_owned(), waited_ms: 2000, missing: Ranks(vec![1, 3]) };
        assert_eq!(timeout.to_string(), "`barrier` timed out after 2000 ms; missing: ranks 1, 3");
        let lost = Error::PeerLost {
            op: "backward".to_owned(),
            waited_ms: 7,
            missing: Ranks(vec![1]),
            message: "Connection reset by peer".to_owned(),
        };
        assert_eq!(lost.to_string(), "`backward` lost a peer after 7 ms (Connection reset by peer); missing: rank 1");
        assert_eq!(Ranks::default().to_string(), "none, every rank answered");
    }
}
