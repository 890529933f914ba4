//! Where the time of a step goes.

use galapagos_domain::round::StepTime;
use galapagos_telemetry::clock::monotonic_ns;

/// A stopwatch with five hands: each call books the time since the last one.
#[derive(Debug)]
pub struct Spent {
    last_ns: u64,
    /// Nanoseconds of data, forward, backward, communication and optimiser.
    booked: [u64; 5],
}

impl Spent {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { last_ns: monotonic_ns(), booked: [0; 5] }
    }

    fn book(&mut self, hand: usize) {
        let now = monotonic_ns();
        self.booked[hand] += now.saturating_sub(self.last_ns);
        self.last_ns = now;
    }

    pub fn data(&mut self) {
        self.book(0);
    }

    pub fn forward(&mut self) {
        self.book(1);
    }

    pub fn backward(&mut self) {
        self.book(2);
    }

    /// What is left of communication after what overlaps with the backward pass.
    pub fn communication(&mut self) {
        self.book(3);
    }

    pub fn optimiser(&mut self) {
        self.book(4);
    }

    /// All of it, in milliseconds.
    #[must_use]
    pub fn time(&self) -> StepTime {
        let ms = |hand: usize| u32::try_from(self.booked[hand] / 1_000_000).unwrap_or(u32::MAX);
        StepTime { data_ms: ms(0), forward_ms: ms(1), backward_ms: ms(2), communication_ms: ms(3), optimiser_ms: ms(4) }
    }
}
