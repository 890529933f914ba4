//! Where the time of a computation goes, by phase: exclusive wall time of the calling thread, off unless asked for.
//!
//! Kernels fork to other threads and join before they return, so the calling thread's time is what a caller waits for.

use std::cell::RefCell;

use galapagos_telemetry::clock;
use serde::Serialize;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything that is not one of the others: tensors made and reshaped, rows embedded and picked.
    Rest,
    /// Which rows come next, and what they share.
    Schedule,
    /// Products with weights.
    Products,
    /// Low-rank updates.
    Adapters,
    /// Attention, and writing keys and values.
    Attention,
    /// Norms and rotations.
    Rows,
    /// Drawing tokens, guides, and reading log-probabilities.
    Choose,
}

const PHASES: usize = 7;

/// Wall seconds of each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Products with weights, the head's among them.
    pub products: f64,
    /// Low-rank updates of adapters.
    pub adapters: f64,
    /// Attention, and writing keys and values.
    pub attention: f64,
    /// Norms and rotary embeddings.
    pub rows: f64,
    /// Drawing tokens, guides, and reading log-probabilities.
    pub choose: f64,
    /// Planning: which rows come next, and what they share.
    pub schedule: f64,
    /// Everything else.
    pub rest: f64,
}

impl Profile {
    /// All phases together.
    #[must_use]
    pub fn total(&self) -> f64 {
        let Self { products, adapters, attention, rows, choose, schedule, rest } = self;
        products + adapters + attention + rows + choose + schedule + rest
    }

    /// Adds the phases of another.
    pub fn add(&mut self, other: &Self) {
        let Self { products, adapters, attention, rows, choose, schedule, rest } = self;
        *products += other.products;
        *adapters += other.adapters;
        *attention += other.attention;
        *rows += other.rows;
        *choose += other.choose;
        *schedule += other.schedule;
        *rest += other.rest;
    }

    fn of(spent: [u64; PHASES]) -> Self {
        let seconds = |phase: Phase| spent[phase as usize] as f64 / 1e9;
        Self {
            products: seconds(Phase::Products),
            adapters: seconds(Phase::Adapters),
            attention: seconds(Phase::Attention),
            rows: seconds(Phase::Rows),
            choose: seconds(Phase::Choose),
            schedule: seconds(Phase::Schedule),
            rest: seconds(Phase::Rest),
        }
    }
}

struct Running {
    phase: Phase,
    since: u64,
    spent: [u64; PHASES],
}

impl Running {
    /// Goes over to `phase`; gives the one before.
    fn turn(&mut self, phase: Phase) -> Phase {
        let now = clock::monotonic_ns();
        self.spent[self.phase as usize] += now - self.since;
        self.since = now;
        std::mem::replace(&mut self.phase, phase)
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Runs `work` and measures what this thread does meanwhile.
pub(crate) fn measure<T>(work: impl FnOnce() -> T) -> (T, Profile) {
    let fresh = Running { phase: Phase::Rest, since: clock::monotonic_ns(), spent: [0; PHASES] };
    let before = RUNNING.replace(Some(fresh));
    let result = work();
    let measured = RUNNING.replace(before).map(|mut running| {
        running.turn(Phase::Rest);
        running.spent
    });
    (result, Profile::of(measured.unwrap_or_default()))
}

/// Runs `work`, whose time belongs to `phase` but for what it says belongs to another.
pub(crate) fn phase<T>(phase: Phase, work: impl FnOnce() -> T) -> T {
    let before = RUNNING.with_borrow_mut(|running| running.as_mut().map(|running| running.turn(phase)));
    let result = work();
    if let Some(before) = before {
        RUNNING.with_borrow_mut(|running| running.as_mut().map(|running| running.turn(before)));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(milliseconds: u64) {
        let end = clock::monotonic_ns() + milliseconds * 1_000_000;
        while clock::monotonic_ns() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn time_belongs_to_the_innermost_phase_and_the_phases_are_everything() {
        let start = clock::monotonic_ns();
        let (value, profile) = measure(|| {
            phase(Phase::Products, || {
                spin(20);
                phase(Phase::Adapters, || spin(30));
            });
            spin(10);
            7
        });
        let all = (clock::monotonic_ns() - start) as f64 / 1e9;
        assert_eq!(value, 7);
        assert!(profile.products >= 0.02 && profile.adapters >= 0.03 && profile.rest >= 0.01, "{profile:?}");
        assert!(profile.total() <= all && profile.attention == 0.0, "{profile:?} of {all}");
    }

    #[test]
    fn nothing_is_measured_outside() {
        assert_eq!(phase(Phase::Products, || 3), 3);
        assert_eq!(measure(|| ()).1.products, 0.0);
    }
}
