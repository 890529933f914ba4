//! The model crate against an independent implementation: `transformers` on PyTorch, run by `reference.py`.
//!
//! Every test here starts Python; tests that need none lie elsewhere.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

mod adapter;
mod chat;
mod classifiers;
mod families;
mod folder;
mod generation;
mod logits;
mod python;
mod sampling;
mod texts;
mod tokenizer;
mod vision;
mod vocabulary;
