//! Conversations and the replies to them: what is asked of a model whose words count and not its tokens, such as a judge.
//!
//! Who is asked is either a version of this cluster, whose chat template is applied here, or whatever an inference server has
//! under a name. Of the latter nothing can be checked but the form of what it says.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;
use galapagos_model::ChatMessage;

use super::CheckpointDir;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// A version with a chat template. A server must serve it, before and after, and render conversations as it does.
    Version(CheckpointDir),
    /// The model that a server has under this name.
    Named(String),
}

/// A conversation that somebody is to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// At least one.
    pub messages: Vec<ChatMessage>,
    /// Replies wanted, at least 1.
    pub samples: u32,
    /// Sample i draws from a stream of (seed, i).
    pub seed: Seed,
    /// How tokens are chosen, and what a reply must be; how many is for the batch to say.
    pub sampling: Arc<Sampling>,
}

/// Conversations with one speaker.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatBatch {
    pub speaker: Speaker,
    pub conversations: Vec<Conversation>,
    /// Texts that end a reply and are no part of it.
    pub stop: Vec<String>,
    /// Longest reply.
    pub max_tokens: u32,
    /// Most probable tokens to list beside each one; `None` for no log-probabilities at all.
    pub log_probs: Option<u32>,
}

/// One sample of one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Without what ended it.
    pub text: String,
    /// With the token that ended it, if the back end lists it; empty if no log-probabilities were asked for.
    pub tokens: Vec<ReplyToken>,
    pub ending: Ending,
    /// Who spoke: the version's digest, or the model as the server calls it.
    pub model: String,
}

/// One token of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyToken {
    pub text: String,
    /// Natural logarithm, at temperature 1 as far as the back end keeps to that.
    pub log_prob: f32,
    /// The most probable tokens at this place and their log-probabilities, the most probable one first.
    pub top: Vec<(String, f32)>,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, or by a stop text.
    Stop,
    /// It is as long as it may be.
    Length,
}
