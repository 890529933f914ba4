//! The mathematics of every loss, as pure functions on tensors: no model, no records, no reduction.
//!
//! Each function takes f32 tensors and returns one loss for each item (`[n]`); the caller weighs, masks, sums and
//! divides. Gradients flow through the arguments that are learned, which come first and are named so; old, reference
//! and target values are detached inside. Shapes must match exactly: nothing broadcasts. A NaN or an infinity in a
//! tensor is not looked for, it comes out as a loss that is not finite.
//!
//! Errors of every function: `TchError::Shape` and `TchError::Kind` for a tensor of another shape or kind,
//! `TchError::Convert` for a value out of its range (an option, an index, a label), `TchError::Torch` if a kernel
//! fails. Only the last may come from the machine; the others would come again.

mod check;
pub mod contrastive;
pub mod kl;
pub mod likelihood;
pub mod policy_gradient;
pub mod preference;
pub mod reward;
pub mod segments;
pub mod td;
