//! Transformer models of the common families on libtorch: Hugging Face folders in and out, tokenizer and chat template, the
//! training forward, and batched generation with a key/value cache.
//!
//! Start at [`ModelFolder::open`], which checks everything on disk; [`ModelFolder::load`] gives a [`Decoder`]. Training uses
//! [`Decoder::hidden_states`]; rollouts and critics use an [`Engine`]. Nothing here knows of jobs, workers
//! or rounds, reads a clock but for profiles, or draws randomness that was not seeded by the caller.
#![deny(unsafe_code)]

#[cfg(test)]
// Test modules that are shared with `tests/` name the crate as those do.
extern crate self as galapagos_model;

pub mod chat;
pub mod compute;
pub mod config;
pub mod decoder;
pub mod detokenize;
pub mod digest;
pub mod encoder;
pub mod engine;
pub mod family;
pub mod folder;
pub mod gguf;
pub mod guide;
pub mod lora;
pub mod probe;
pub mod profile;
pub mod sampling;
pub mod speculate;
pub mod stop;
pub mod tokenizer;
pub mod weights;

mod blocks;
mod files;
mod inference;
#[expect(unsafe_code, reason = "kernels work on slices of tensors' memory")]
mod tensors;
mod vision;

pub use chat::{ChatMessage, ChatTemplate};
pub use compute::{ComputeError, Precision};
pub use config::{Activation, ConfigError, ModelConfig, ModelKind, RopeScaling, VisionConfig};
pub use decoder::{Decoder, PackedOptions, PackedPass};
pub use digest::weights_digest;
pub use encoder::{Encoder, EncoderBatch, EncoderInput};
pub use engine::{
    Completion, Engine, EngineError, EngineOptions, Event, GenerateError, Request, RequestError, RunControl,
    ScoreRequest,
};
pub use family::Family;
pub use files::FileError;
pub use folder::{FolderError, Model, ModelFolder, SaveOptions};
pub use sampling::Sampling;
pub use stop::Finish;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use vision::UnreadableToken;
pub use weights::{Parameters, WeightsError};
