//! The wire format of OpenAI's chat and text completions: what is read, what is answered, and its errors.
//!
//! Fields that would change an answer and are not implemented are refused by name; none is ignored silently. Extensions that
//! vLLM's users know (`top_k`, `min_p`, `stop_token_ids`, guided decoding) have vLLM's names.

pub mod error;
pub mod request;
pub mod response;
