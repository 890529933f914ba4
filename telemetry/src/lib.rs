//! What every Galapagos executable needs before it does its own work, and nothing that knows the product.
//!
//! Logging set-up ([`init`]), the printer of error chains ([`ErrorChain`], [`report`]), named tasks and threads
//! ([`spawn_task`], [`spawn_thread`]), the only readings of the clock ([`clock`]) and the pipe that ends a child with
//! its parent ([`lifeline`]). The bans in `clippy.toml` send everybody here; the exceptions to them live here and say
//! why.
#![forbid(unsafe_code)]

pub mod clock;
mod error_chain;
pub mod lifeline;
mod logging;
pub mod machine;
pub mod memory;
mod spawn;

pub use error_chain::{ErrorChain, report};
pub use logging::{Format, InitError, LOG_ENV, init, init_with};
pub use spawn::{SpawnError, TaskError, TaskHandle, ThreadHandle, spawn_task, spawn_thread};
