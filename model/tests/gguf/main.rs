//! GGUF import against independent implementations: the `gguf` package writes the files and computes their values,
//! `transformers` has the models they were made from. Hostile files need neither.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

mod architectures;
mod formats;
mod hostile;
mod python;
mod smollm2;
#[path = "../reference/texts.rs"]
mod texts;
mod tokenizers;
