//! How long to wait before the next try to connect: doubling up to a limit, with jitter so that workers which lost the
//! same coordinator do not come back in one wave. Pure: the spread comes from a seed.

use galapagos_domain::seed::Seed;

/// First wait, before jitter.
const FIRST_MS: u64 = 100;

/// Longest wait.
const LIMIT_MS: u64 = 5_000;

/// The waits of one worker.
#[derive(Debug)]
pub(super) struct Backoff {
    seed: Seed,
    failures: u32,
    draws: u64,
}

impl Backoff {
    /// `seed` should differ between workers.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, failures: 0, draws: 0 }
    }

    /// A connection stood: the next wait is short again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Milliseconds to wait after one more failure: between half and the whole of the doubled wait.
    pub(super) fn next_ms(&mut self) -> u64 {
        let whole = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LIMIT_MS);
        self.failures = self.failures.saturating_add(1);
        self.draws += 1;
        whole / 2 + self.seed.nth(self.draws).0 % (whole / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_anew_after_a_connection() {
        let mut backoff = Backoff::new(Seed(3));
        let waits: Vec<u64> = (0..10).map(|_| backoff.next_ms()).collect();
        for (wait, whole) in waits.iter().zip([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]) {
            assert!((whole / 2..=whole).contains(wait), "{waits:?}");
        }
        backoff.reset();
        assert!(backoff.next_ms() <= 100);
    }

    #[test]
    fn two_workers_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Seed(seed));
            (0..10).map(|_| backoff.next_ms()).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }
}
