//! From rewards to advantages: what each sampled answer, turn or token is credited with in a policy-gradient loss.
//!
//! Plain arithmetic on `f64` slices, no tensors and no records. What is not finite is refused with its index, in the
//! input and in the result, because one NaN reward would spoil a whole group. Advantages of items that do not count are
//! 0; the caller leaves them out of the loss as well.

mod error;
mod gae;
mod group;
mod moments;
mod turns;

pub use error::AdvantageError;
pub use gae::{End, Gae, gae};
pub use group::{Advantages, Baseline, Samples, Scale, advantages};
pub use moments::{Moments, Whiten, whiten};
pub use turns::{spread, turn_returns};
