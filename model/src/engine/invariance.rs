//! Whether this machine gives the same bits for a sequence in every batch: tested, not believed.

use galapagos_kernels::attention::{AttentionDefect, self_test as attention_self_test};
use galapagos_kernels::{KernelDefect, self_test};

use super::Engine;

/// What the self-test of [`Engine::invariance`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Invariance {
    /// A completion is the same in every batch, bit for bit.
    Proven,
    /// This device computes with operators that promise no such thing: results are right, but may depend on the batch in their
    /// last bits, and so may tokens.
    NotPromised,
    /// A product or a norm failed its test.
    Kernel(KernelDefect),
    /// Attention failed its test.
    Attention(AttentionDefect),
}

impl Invariance {
    /// Whether the same seed gives the same tokens whatever else is computed.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        *self == Self::Proven
    }
}

impl Engine {
    /// Tests the kernels on the shapes of the model, one row after the other against batches. Takes the time of some hundred tokens.
    #[must_use]
    pub fn invariance(&self) -> Invariance {
        let model = &self.models[&self.current];
        if !model.is_by_kernels() {
            return Invariance::NotPromised;
        }
        if let Err(defect) = self_test(&self.pool, model.packed()) {
            return Invariance::Kernel(defect);
        }
        match attention_self_test(&self.pool) {
            Ok(()) => Invariance::Proven,
            Err(defect) => Invariance::Attention(defect),
        }
    }
}
