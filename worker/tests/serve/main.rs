//! `galapagos-worker serve` as a real process: under OpenAI's own Python client, and as the server of the remote engine.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod adapter_folder;
mod adapters;
mod conversations;
mod engines;
mod process;
#[path = "../common/python.rs"]
mod python;
mod python_client;
mod remote_engine;
mod remote_stream;
mod remote_update;
#[path = "../common/small_model.rs"]
mod small_model;
mod tls;
