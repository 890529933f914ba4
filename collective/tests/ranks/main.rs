//! The crate between real processes: every test starts its ranks by running this executable again (`harness.rs`).
#![expect(clippy::unwrap_used, reason = "a test panics on what it does not expect, in helpers too")]

mod collectives;
mod failures;
mod harness;
mod mlp;
mod reducer;
mod store;
