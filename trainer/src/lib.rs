//! One rank of a training round, as one process.
//!
//! In reading order: `data` (pure: trajectories to batches), `advantage` and `losses` (the mathematics), `objective` (what of it a
//! recipe names), `optim` (how weights move), `subject` (the model in training), `step` (one update over all ranks), `prepare`
//! (weights and data from the artifact store), `vote` (what a rank says at the end), `rank` (the life of a rank) and `commands`,
//! `reports`, `exit` (how it talks to the worker that started it).
//! A rank never decides whether a round is tried again, and it ends when its worker is gone.
#![forbid(unsafe_code)]

pub mod advantage;
pub mod args;
pub mod commands;
pub mod data;
mod error;
pub mod exit;
pub mod losses;
pub mod objective;
pub mod optim;
pub mod prepare;
pub mod rank;
pub mod reports;
pub mod step;
pub mod subject;
pub mod vote;

pub use error::RankError;
