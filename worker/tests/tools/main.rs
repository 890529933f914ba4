//! The tools for people as real processes, on small random models: `chat`, `export`, and what all of them say of devices and of keys
//! they do not know.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod chat;
mod export;
mod process;
#[path = "../common/small_model.rs"]
mod small_model;
mod starting;
