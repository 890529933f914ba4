//! Transformer models of the Llama family on libtorch: Hugging Face folders in and out, tokenizer and chat template, the
//! training forward, and batched generation with a key/value cache.
//!
//! Start at [`ModelFolder::open`], which checks everything on disk; [`ModelFolder::load`] gives a [`Llama`]. Training uses
//! [`Llama::hidden_states`]; rollouts and critics use an [`Engine`]. Nothing here knows of jobs, workers
//! or rounds, reads a clock, or draws randomness that was not seeded by the caller.
#![deny(unsafe_code)]

pub mod chat;
pub mod compute;
pub mod config;
pub mod detokenize;
pub mod digest;
pub mod engine;
pub mod folder;
pub mod gguf;
pub mod guide;
pub mod llama;
pub mod sampling;
pub mod speculate;
pub mod stop;
pub mod tokenizer;
pub mod weights;

mod files;
mod inference;
#[expect(unsafe_code, reason = "kernels work on slices of tensors' memory")]
mod tensors;

pub use chat::{ChatMessage, ChatTemplate};
pub use compute::{ComputeError, Precision};
pub use config::{ConfigError, ModelConfig, ModelKind};
pub use digest::weights_digest;
pub use engine::{
    Completion, Engine, EngineError, EngineOptions, Event, GenerateError, Request, RequestError, RunControl,
    ScoreRequest,
};
pub use folder::{FolderError, ModelFolder};
pub use llama::Llama;
pub use sampling::Sampling;
pub use stop::Finish;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use weights::{Parameters, WeightsError};
