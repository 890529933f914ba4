//! The crate between real processes: every test starts its ranks by running this executable again (`harness.rs`).
#![expect(clippy::unwrap_used, reason = "a test panics on what it does not expect, in helpers too")]

mod backends;
mod bucket_view;
mod collectives;
mod dead_ranks;
mod failures;
mod harness;
mod mlp;
mod reducer;
mod reference;
mod store;
mod torch_distributed;
