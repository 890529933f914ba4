//! How far an attempt is: counts completions and tokens over all its engine calls and tells whoever listens, in the
//! job's own units.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cancel::Cancel;
use crate::engine::{Progress, Watch};

/// Units done and in all, and tokens sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    pub done: u64,
    pub total: u64,
    pub tokens: u64,
}

#[derive(Debug, Default)]
struct Counts {
    units: u64,
    completions: u64,
    ended: u64,
    tokens: u64,
}

impl Counts {
    fn reading(&self, running: Progress) -> Reading {
        let ended = (self.ended + running.ended).min(self.completions);
        let done = (ended * self.units).checked_div(self.completions).unwrap_or(0);
        Reading { done, total: self.units, tokens: self.tokens + running.tokens }
    }
}

/// The meter of one attempt.
pub struct Meter {
    cancel: Cancel,
    listener: Arc<dyn Fn(Reading) + Send + Sync>,
    counts: Arc<Mutex<Counts>>,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Meter {
    /// `listener` is called from the engine's thread and must return at once.
    #[must_use]
    pub fn new(cancel: Cancel, listener: Arc<dyn Fn(Reading) + Send + Sync>) -> Self {
        Self { cancel, listener, counts: Arc::default() }
    }

    /// What the attempt will do: so many units by so many completions.
    pub fn expect(&self, units: u64, completions: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts = Counts { units, completions, ..Counts::default() };
        (self.listener)(counts.reading(Progress::default()));
    }

    /// Completions that are done with.
    pub fn add(&self, ended: u64, tokens: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.ended += ended;
        counts.tokens += tokens;
    }

    /// Tokens of all completions that are done with.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).tokens
    }

    /// The eye on the next engine call: its progress comes on top of what was added before.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let (counts, listener) = (Arc::clone(&self.counts), Arc::clone(&self.listener));
        let progress = move |running: Progress| {
            let reading = counts.lock().unwrap_or_else(PoisonError::into_inner).reading(running);
            listener(reading);
        };
        Watch { cancel: self.cancel.clone(), progress: Arc::new(progress) }
    }

    /// The eye on an engine call whose answers are added as they come: it tells what was added.
    #[must_use]
    pub fn glance(&self) -> Watch {
        let (counts, listener) = (Arc::clone(&self.counts), Arc::clone(&self.listener));
        let progress = move |_: Progress| {
            let reading = counts.lock().unwrap_or_else(PoisonError::into_inner).reading(Progress::default());
            listener(reading);
        };
        Watch { cancel: self.cancel.clone(), progress: Arc::new(progress) }
    }

    /// Whether the attempt is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_raised()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_in_units_and_goes_on_over_calls() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let meter = Meter::new(Cancel::default(), Arc::new(move |reading| sink.lock().unwrap().push(reading)));
        meter.expect(2, 8);
        (meter.watch().progress)(Progress { ended: 4, tokens: 12 });
        meter.add(4, 12);
        (meter.watch().progress)(Progress { ended: 4, tokens: 10 });
        let readings: Vec<_> = seen.lock().unwrap().iter().map(|r| (r.done, r.total, r.tokens)).collect();
        assert_eq!(readings, [(0, 2, 0), (1, 2, 12), (2, 2, 22)]);
    }
}
