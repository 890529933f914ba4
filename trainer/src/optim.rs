//! How weights move: optimisers over named f32 weights, the norm and clipping of gradients, a running mean of the
//! weights, and the learning rate of each step.
//!
//! In reading order: [`schedule`] (pure), `settings` (what a person chooses), `rule` (which update a weight gets, and
//! what state it needs), `update` and `muon` (what moves the weights of one rule), `optimiser` and `state` (all weights of
//! a rank, in and out), `gradients`, [`ema`], `partition` (who keeps which state). AdamW, SGD and the norm of gradients
//! are kernels of libtorch that `galapagos-collective` gives access to.
//! Nothing here talks to other ranks, reads files or looks at a clock.

pub mod ema;
pub mod schedule;

mod error;
mod gradients;
mod muon;
mod optimiser;
mod partition;
mod rule;
mod settings;
mod state;
mod update;

pub use ema::Ema;
pub use error::OptimError;
pub use gradients::{clip_scale, gradient_norm};
pub use muon::orthogonalise;
pub use optimiser::Optimiser;
pub use partition::{partition, state_bytes};
pub use schedule::{Schedule, Shape};
pub use settings::{Adamw, Muon, Settings, Sgd};
