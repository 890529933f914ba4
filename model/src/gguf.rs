//! GGUF files in: a model in llama.cpp's format becomes a Hugging Face folder.
//!
//! [`GgufModel::open`] reads and checks everything but the weights; [`GgufModel::stage`] writes the folder beside its place,
//! tensor by tensor, and [`Staged::publish`] gives it its name. What the folder's format cannot express, or what is not known
//! here, is refused by name; nothing is left out silently.

mod architecture;
mod cursor;
mod dequantise;
mod error;
mod file;
mod import;
mod kinds;
mod metadata;
mod stream;
mod tokenizer;

pub use error::GgufError;
pub use import::{GgufModel, Progress, Staged, StoredType, Summary};
pub use kinds::GgmlType;
