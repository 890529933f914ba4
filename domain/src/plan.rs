//! What a recipe will cost, before anything runs.

mod chunk;

pub use chunk::chunks;
