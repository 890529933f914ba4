//! Safe Rust over libtorch's own collectives (c10d): the store where ranks meet, a process group, gradient all-reduce
//! that overlaps with backward, and a watchdog for the process.
//!
//! A rank is one process. It serves or connects to a [`Store`], joins a [`Group`] on a [`Backend`], hooks its parameters
//! with a [`Reducer`], and lets a [`Watchdog`] end the process when a step passes its deadline. Every wait has a deadline
//! and every failure names the operation and the ranks that are missing. Ranks agree on what a collective is about to do
//! before they do it, because a disagreement inside c10d aborts a process instead of failing a call.
//!
//! Gloo (CPU) is in every build and is what the tests run on. NCCL (CUDA) is in builds with the feature `cuda`; it goes
//! through the same code, and none of it has run on a GPU yet.
//!
//! Beside that it has what else of libtorch tch does not expose and training needs: fused updates of weights
//! ([`fused_adamw`], [`fused_sgd`]), the [`norm`] of a gradient, and clearing gradients ([`clear_grads`]).
//!
//! This crate knows nothing of rounds, members or recipes, and never decides whether to try again: after a failure a
//! group is broken, and recovery is a new group under a new prefix.

mod agree;
mod backend;
mod classify;
mod collectives;
mod error;
mod ffi;
mod fused;
mod grads;
mod group;
mod handle;
mod reducer;
mod signature;
mod store;
mod watchdog;

pub use backend::Backend;
pub use collectives::{MAX_GATHER_BYTES, Reduce};
pub use error::{Error, Ranks};
pub use fused::{AdamwUpdate, SgdUpdate, fused_adamw, fused_sgd, norm};
pub use grads::clear_grads;
pub use group::{Group, GroupSpec};
pub use reducer::{Reducer, ReducerOptions};
pub use store::Store;
pub use watchdog::{Armed, Expired, Watchdog, exit_now};
