//! One rank of a training round, as one process.
//!
//! In reading order: `data` (pure: trajectories to batches), `plan` (which batch each step is on), `advantage` and `losses` (the
//! mathematics), `objective` (what of it a recipe names), `optim` (how weights move), `subject` (the model in training), `step` (one
//! update over all ranks), `guard` (whether it can be right), `ledger` (which record was used when), `saved` (in-round checkpoints),
//! `prepare` (weights and data from the artifact store), `run` (all steps), `finish` and `vote` (what a rank says at the end), `rank`
//! (the life of a rank), `runlog` (what people see of it) and `commands`, `reports`, `exit` (how it talks to the worker).
//! A rank never decides whether a round is tried again, and it ends when its worker is gone.
#![forbid(unsafe_code)]

pub mod advantage;
pub mod args;
pub mod commands;
pub mod data;
pub mod device;
mod error;
pub mod exit;
mod finish;
mod gather;
pub mod guard;
pub mod ledger;
pub mod losses;
pub mod objective;
pub mod optim;
pub mod plan;
pub mod prepare;
pub mod rank;
pub mod reports;
pub mod run;
pub mod runlog;
pub mod saved;
pub mod step;
pub mod subject;
pub mod vote;

pub use error::RankError;
