//! What an engine tells about its requests.

use super::ids::{RequestId, WeightVersion};
use crate::TokenizerError;
use crate::speculate::VerifyError;
use crate::stop::Finish;

/// Something that happened in a step.
#[derive(Debug)]
pub enum Event {
    /// A completion grew.
    Token(TokenEvent),
    /// A completion began again with new weights: its tokens so far are void.
    Restarted {
        /// Whose.
        request: RequestId,
        /// Which completion.
        sample: usize,
    },
    /// A completion ended.
    Finished {
        /// Whose.
        request: RequestId,
        /// Which completion.
        sample: usize,
        /// All of it.
        completion: Completion,
    },
    /// A score request ended.
    Scored {
        /// Which.
        request: RequestId,
        /// What was read, in order of position; at a position in order of labels.
        values: Vec<f32>,
        /// The weights it was computed with.
        version: WeightVersion,
    },
    /// A completion or score came to nothing; others go on.
    Failed {
        /// Whose.
        request: RequestId,
        /// Which completion.
        sample: usize,
        /// Why.
        error: SampleError,
    },
}

/// One more token of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEvent {
    /// Whose.
    pub request: RequestId,
    /// Which completion.
    pub sample: usize,
    /// The token.
    pub token: u32,
    /// Its log-probability under the model itself: temperature 1, no cut-off.
    pub log_prob: f32,
    /// The most probable tokens with their log-probabilities, as many as were asked for.
    pub top: Vec<(u32, f32)>,
    /// Text that is certain now, if the engine knows the texts of tokens.
    pub text: String,
    /// The weights it was computed with.
    pub version: WeightVersion,
}

/// One completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// New tokens, with the stop token if one was hit.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the model itself: temperature 1, no cut-off, 32-bit floats.
    pub log_probs: Vec<f32>,
    /// For each token the most probable ones; empty unless asked for.
    pub top: Vec<Vec<(u32, f32)>>,
    /// Its text up to a stop token or string, if the engine knows the texts of tokens.
    pub text: String,
    /// The weights all of its tokens were computed with.
    pub version: WeightVersion,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a completion or a score came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No token could be chosen.
    #[error("the next token cannot be chosen")]
    Choose {
        /// Why, and where.
        #[source]
        source: VerifyError,
    },
    /// A token without text.
    #[error("the text of the completion cannot be made")]
    Text {
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// A score that is no number.
    #[error("the score at position {position} is {value}: the model's weights or activations are broken there")]
    NotFinite {
        /// The position in the sequence.
        position: usize,
        /// What came out.
        value: f32,
    },
}
