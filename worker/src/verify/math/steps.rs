//! The budget of one comparison: every operation that may be repeated takes steps from it, so that the time is bounded whatever
//! the answers say. Steps are counted, never timed: the same answers end the same way on every machine.

use super::TooLarge;

/// Steps that one comparison may take: less than a second of an optimised build.
const LIMIT: u64 = 200_000;

/// What is left.
#[derive(Debug)]
pub(super) struct Steps(u64);

/// Why a value could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Undefined(&'static str),
    TooLarge(TooLarge),
}

impl From<TooLarge> for Stop {
    fn from(limit: TooLarge) -> Self {
        Self::TooLarge(limit)
    }
}

impl Steps {
    pub(super) fn new() -> Self {
        Self(LIMIT)
    }

    /// Takes `count` steps.
    ///
    /// # Errors
    /// If they are not left.
    pub(super) fn take(&mut self, count: u64) -> Result<(), TooLarge> {
        self.0 = self.0.checked_sub(count).ok_or(TooLarge::Steps)?;
        Ok(())
    }
}
