//! The flag that stops an attempt. Whoever works looks at it between two small pieces of work and ends by itself;
//! nothing is torn down under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A cheap-to-clone flag, raised once.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks everyone who holds a clone to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// The flag itself, for libraries that look at a plain one.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Whether the work is to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
