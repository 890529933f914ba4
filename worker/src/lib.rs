//! A worker: takes attempts and ranks from the coordinator, runs them, reports them.
//!
//! Read in this order: `node` (how the parts stand together), `session` (the one loop that talks to the coordinator, with
//! `session::desk` deciding), `slots` and `outbox` (pure), `crew` (threads and processes), `jobs` (what an attempt does,
//! with `search`, `verify` and `operators`), `engine` (what computes), `trainer_proc` (rank processes), `sandbox` (where code of models runs). `eval`, `chat`
//! and `bench` are tools for people on the same engine, `import` turns model files into folders.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cancel;
pub mod chat;
pub mod checkpoints;
pub mod code;
pub mod config;
pub mod crew;
pub mod device;
pub mod engine;
pub mod env;
pub mod eval;
pub mod failure;
pub mod ignored;
pub mod import;
pub mod jobs;
pub mod merge;
pub mod node;
pub mod operators;
pub mod outbox;
pub mod sandbox;
pub mod search;
pub mod serve;
pub mod session;
pub mod size;
pub mod slots;
pub mod trainer_proc;
pub mod verify;
