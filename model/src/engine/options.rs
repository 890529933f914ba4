//! How an engine computes, and what it counts.

use super::memory::PageCounts;
use crate::Precision;

/// How an [`Engine`](super::Engine) computes. Nothing here changes a token or a bit of a log-probability but `precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Number format of weights, keys and values.
    pub precision: Precision,
    /// Threads of the kernels, with the caller's.
    pub threads: usize,
    /// Tokens computed in a step; at least `max_sequences`.
    pub max_rows: usize,
    /// Sequences computed at a time.
    pub max_sequences: usize,
    /// Completions that may wait; more are refused.
    pub max_waiting: usize,
    /// Bytes of keys and values: a hard limit, in whole pages.
    pub kv_bytes: usize,
    /// Whether sequences share the keys and values of common prefixes. Off only to measure what it is worth.
    pub share_prefixes: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            precision: Precision::Bf16,
            threads: 1,
            max_rows: 256,
            max_sequences: 64,
            max_waiting: 4096,
            kv_bytes: 1 << 30,
            share_prefixes: true,
        }
    }
}

/// What an engine did since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Steps.
    pub steps: u64,
    /// Tokens fed to the model.
    pub computed_tokens: u64,
    /// Tokens whose keys and values were found instead of computed.
    pub reused_tokens: u64,
    /// Tokens drawn.
    pub drawn_tokens: u64,
    /// Guessed tokens fed to the model.
    pub drafted_tokens: u64,
    /// Guessed tokens that were right.
    pub accepted_drafts: u64,
    /// Sequences that gave way and are computed again.
    pub preemptions: u64,
    /// Cached pages given up.
    pub evictions: u64,
    /// Pages now.
    pub pages: PageCounts,
    /// Bytes of one page.
    pub page_bytes: usize,
    /// Sequences with pages now.
    pub active: usize,
    /// Sequences waiting now.
    pub waiting: usize,
}
