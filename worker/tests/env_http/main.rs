//! Environments behind HTTP: real servers of the Python package, played from here, and what goes wrong with servers.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod faults;
mod process;
#[path = "../common/python.rs"]
mod python;
mod real;
