//! Harness of the whole-system tests: real processes, watched from outside as a person would.
//!
//! [`RunCommand`] starts `galapagos run` in a [`Sandbox`]; [`Run`] hears its JSON lines and reaches its processes through
//! [`tree`]; [`Faults`] kills them by a seeded schedule. Every wait has a deadline and fails with the ends of the logs. The
//! harness panics with what it expected and saw: it is part of the tests. It must not look inside the product's state.
#![forbid(unsafe_code)]

pub mod binaries;
pub mod client;
pub mod crew;
mod deadline;
mod ended;
mod faults;
mod hunt;
mod lines;
mod page;
pub mod python;
mod reference;
mod run;
pub mod sandbox;
pub mod service;
mod tmpfs;
pub mod tree;
pub mod wire;

pub use client::Client;
pub use deadline::{Deadline, eventually};
pub use ended::{Ended, Exit};
pub use faults::{Faults, Kill};
pub use hunt::Hunt;
pub use page::{Sample, http_get, parse_metrics};
pub use reference::{SEED, Undisturbed, undisturbed};
pub use run::{END_LIMIT, Progress, Run, RunCommand};
pub use sandbox::Sandbox;
pub use service::Service;
pub use tmpfs::Tmpfs;
pub use tree::Role;
