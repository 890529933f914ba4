//! The coordinator: the shell around `galapagos_domain::cluster`, which makes every decision.
//!
//! Read in this order: [`run()`] (wires the parts and ends them), `driver` (one task owns the state: applies events, then
//! executes their effects, the durable one first), `effects` (store, sessions, watchers behind one trait), `handle` (how
//! everybody else talks to the driver), `grpc` (thin services), `store` (what is durable). Nothing here decides anything.
#![forbid(unsafe_code)]

mod census;
mod codec;
mod config;
mod driver;
mod effects;
mod error;
mod grpc;
mod handle;
mod http;
mod metrics;
mod run;
mod sessions;
mod stop;
mod store;
mod watch;

pub use config::Config;
pub use error::Error;
pub use run::run;
pub use store::StoreError;
