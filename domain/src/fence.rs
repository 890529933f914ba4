//! Logical order: fencing tokens, incarnations and leader epochs. Never a wall clock.

use serde::{Deserialize, Serialize};

/// Minted once per attempt of a job or per try of a round; only the current one is accepted at the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

/// Grows each time a worker of the same name registers, after a restart or a reconnect, so that what is left of an earlier
/// session cannot be taken for the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// The coordinator's term; grows each time a coordinator opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaderEpoch(pub u64);

/// Mints fencing tokens in strictly growing order; its state is persisted with the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mint {
    next: u64,
}

impl Default for Mint {
    fn default() -> Self {
        Self { next: 1 }
    }
}

impl Mint {
    /// A token greater than every earlier one.
    pub fn token(&mut self) -> FencingToken {
        let token = FencingToken(self.next);
        self.next += 1;
        token
    }

    /// Whether `token` came from here.
    #[must_use]
    pub fn has_minted(&self, token: FencingToken) -> bool {
        token.0 > 0 && token.0 < self.next
    }
}

impl std::fmt::Display for FencingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}
