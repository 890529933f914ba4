//! Transformer models of the Llama family on libtorch: Hugging Face folders in and out, tokenizer and chat template, the
//! training forward, and batched generation with a key/value cache.
//!
//! Start at [`ModelFolder::open`], which checks everything on disk; [`ModelFolder::load`] gives a [`Llama`]. Training uses
//! [`Llama::hidden_states`]; rollouts use [`Generator`]; critics use [`ScalarModel`]. Nothing here knows of jobs, workers
//! or rounds, reads a clock, or draws randomness that was not seeded by the caller.
#![deny(unsafe_code)]

pub mod chat;
pub mod compute;
pub mod config;
pub mod detokenize;
pub mod digest;
pub mod folder;
pub mod generate;
pub mod gguf;
pub mod guide;
pub mod llama;
pub mod sampling;
pub mod score;
pub mod speculate;
pub mod stop;
pub mod tokenizer;
pub mod weights;

#[expect(dead_code, reason = "the engine that calls it is being built")]
mod engine;
mod files;
#[expect(dead_code, reason = "the engine that calls it is being built")]
mod inference;
#[expect(unsafe_code, reason = "kernels work on slices of tensors' memory")]
#[cfg_attr(not(test), expect(dead_code, reason = "the blocks that call the kernels are being built"))]
mod tensors;

pub use chat::{ChatMessage, ChatTemplate};
pub use compute::{ComputeError, Precision};
pub use config::{ConfigError, ModelConfig, ModelKind};
pub use digest::weights_digest;
pub use folder::{FolderError, ModelFolder};
pub use generate::{Completion, Finish, GenerateError, Generator, GeneratorOptions, Request, RunControl, Sampling};
pub use llama::Llama;
pub use score::ScalarModel;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use weights::{Parameters, WeightsError};
