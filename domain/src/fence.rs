//! Logical order: fencing tokens, incarnations and leader epochs. Never a wall clock.

use serde::{Deserialize, Serialize};

/// Minted once per attempt of a job or per try of a round; only the current one is accepted at the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

/// Grows each time a worker process of the same name starts anew.
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
}

impl std::fmt::Display for FencingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}
