//! Randomness as an argument: a seed is derived from a parent seed and a label, never drawn from the machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// A 64-bit seed. `derive` makes independent child seeds by name, so adding a consumer never shifts another's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The child seed named `label`: the first eight bytes of BLAKE3(seed ‖ label).
    #[must_use]
    pub fn derive(self, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(label.as_bytes());
        let mut first = [0u8; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// The child seed number `index`.
    #[must_use]
    pub fn nth(self, index: u64) -> Self {
        self.derive(&index.to_string())
    }

    /// The random stream of this seed (ChaCha with 8 rounds: the same on every platform).
    #[must_use]
    pub fn stream(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }
}
