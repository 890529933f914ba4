//! One rank of a training round, as one process.
//!
//! In reading order: `data` (pure: trajectories to batches), `schedule` and `optimiser` (how weights move), `loss` (what is
//! learned), `step` (one update over all ranks), `prepare` (weights and data from the artifact store), `vote` (what a rank says
//! at the end), `rank` (the life of a rank) and `commands`, `reports`, `exit` (how it talks to the worker that started it).
//! A rank never decides whether a round is tried again, and it ends when its worker is gone.
#![forbid(unsafe_code)]

pub mod args;
pub mod commands;
pub mod data;
mod error;
pub mod exit;
pub mod loss;
pub mod optim;
pub mod optimiser;
pub mod prepare;
pub mod rank;
pub mod reports;
pub mod runlog;
pub mod schedule;
pub mod step;
pub mod vote;

pub use error::RankError;
