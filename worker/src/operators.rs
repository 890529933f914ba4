//! Data operators: pure functions from records to records, with the counts in and out. Order is kept unless an operator
//! says otherwise; randomness comes from the seed given. Nothing here knows of jobs or of the artifact store.
//!
//! Read in this order: `stage` (what shapes of operators there are), `plan` (which operator is which), the operators themselves,
//! `memory` (operators over records in memory: what they mean) and `stream` (the same over more records than memory holds).

mod certainty;
mod error;
mod hindsight;
mod joined;
mod journey;
mod keep;
mod labels;
mod likeness;
mod mask;
mod measure;
mod memory;
mod mix;
mod normalise;
mod pair;
mod plan;
mod pool;
mod repairs;
mod reward;
mod sample;
mod shuffle;
mod splice;
mod stage;
mod stream;
mod tally;
#[cfg(test)]
pub(crate) mod test_records;
#[cfg(test)]
mod tests;
mod top;
mod weighted;
mod wood;

pub use error::OperatorError;
pub(crate) use measure::measure;
pub use memory::apply;
pub use stage::{Again, Estimate, Joined, Means, Records, Reverify, Sources, Trees};
pub use stream::{Limits, Streamed, stream};
