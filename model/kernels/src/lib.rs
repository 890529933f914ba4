//! CPU kernels for inference: products with packed weights, attention over pages of keys and values that sequences share,
//! norms, rotary embeddings and the vocabulary's softmax.
//!
//! Activations are 32-bit floats in row-major slices; weights and cached keys and values are bfloat16 or 32-bit floats. Every
//! kernel is **row-invariant**: a row's result is a function of that row (and of what it attends to) alone, bit for bit,
//! whatever the number of rows, threads or the way rows are grouped. That is what lets requests join and leave a running
//! batch without changing anybody's tokens.
//!
//! Each kernel has a plain form, which serves CPUs without the vector instructions and is what the fast forms are tested
//! against; [`Isa`] says which form this CPU runs. No libtorch, no IO, no clock.

pub mod attention;
pub mod isa;
pub mod lora;
pub mod matrix;
pub mod pages;
pub mod pool;
pub mod rows;
pub mod self_test;
pub mod vocabulary;

mod loops;
mod memory;
mod slices;
#[cfg(target_arch = "x86_64")]
mod vector;

pub use attention::{AttentionCall, AttentionSpec, Segment};
pub use isa::Isa;
pub use lora::{LowRank, LowRankPart, LowRankRows, add_low_rank};
pub use matrix::{Epilogue, PackedMatrix, Product, Source, multiply_all};
pub use pages::{KvFormat, KvGeometry, KvPages, KvRows, KvSlot, PAGE_TOKENS, PageId};
pub use pool::Pool;
pub use self_test::{KernelDefect, self_test};

/// Number format of weights and cached keys and values. Sums are 32-bit floats in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// bfloat16; inputs of products are rounded to it, to the nearest even.
    Bf16,
}
