//! The sandbox: foreign code, such as models write it, runs here and nowhere else, and cannot forge what is said about it.
//!
//! Read in this order: [`layer`] (the walls, the probe, the floor), [`launch`] (what puts them up: an executable of its own,
//! because a process can only wall in itself), `cage` (one sandboxed program seen from outside), [`Sandbox`] (the entrance),
//! [`Pool`] (interpreters that wait), [`check`] (verdicts on programs). It knows nothing of models, tasks or clusters.
#![forbid(unsafe_code)]

pub mod bench;
mod cage;
mod cgroup;
pub mod check;
mod error;
pub mod launch;
pub mod layer;
mod plan;
mod pool;
mod runtime;
mod sandbox;
mod wire;

pub use error::SandboxError;
pub use layer::{BelowFloor, Floor, Layer, Probe, Tried};
pub use plan::Limits;
pub use pool::Pool;
pub use runtime::{Python, PythonError};
pub use sandbox::{End, Program, Report, Sandbox, Settings, probe};
