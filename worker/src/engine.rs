//! What turns prompts into completions: the `Engine` trait, and the types that go in and come out.
//!
//! A result is a function of the batch alone: each request brings its own seed, and which other requests share a batch
//! or which job ran before must not show in it. Jobs reach an engine through an [`EngineHandle`], never directly.

pub mod conversation;
pub mod guided;
mod handle;
pub mod mock;
pub mod openai;
mod recent;
pub mod stream;
pub mod tch;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::job::{FailureClass, Sampling};
use galapagos_domain::recipe::Characters;
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::seed::Seed;
use galapagos_model::probe::ProbeError;
use galapagos_model::{ChatMessage, GenerateError};

pub use handle::EngineHandle;

use crate::cancel::Cancel;
use conversation::{ChatBatch, Reply};
use guided::Guided;
use stream::Flow;

/// A checkpoint as a folder on this machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointDir {
    /// The manifest's digest.
    pub checkpoint: Digest,
    /// Digest of the named tensors (of an adapter: and of its scales), as the manifest says; a load that finds another one fails.
    pub weights: Digest,
    pub path: PathBuf,
    /// Of an adapter, the whole model that its checkpoint names as its base.
    pub base: Option<Arc<CheckpointDir>>,
}

impl CheckpointDir {
    /// Whether it is an adapter, which stands on a base, and not a whole model.
    #[must_use]
    pub fn is_adapter(&self) -> bool {
        self.base.is_some() || is_adapter(&self.path)
    }
}

/// Whether the folder holds an adapter in PEFT's layout.
#[must_use]
pub fn is_adapter(folder: &Path) -> bool {
    folder.join("adapter_config.json").is_file()
}

/// Text to tokens and back, for one checkpoint.
pub trait Codec: Send + Sync + Debug {
    /// Tokens of `text`; nothing is added in front or behind.
    ///
    /// # Errors
    /// [`EngineError::Text`] if the text has no tokens in this vocabulary.
    fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError>;

    /// Tokens of a conversation, up to where the assistant is to speak: the chat template's.
    ///
    /// # Errors
    /// [`EngineError::Text`] without a template, or for messages that it refuses.
    fn conversation(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, EngineError>;

    /// Text of `tokens`, without special tokens.
    ///
    /// # Errors
    /// [`EngineError::Text`] for tokens outside the vocabulary.
    fn decode(&self, tokens: &[u32]) -> Result<String, EngineError>;

    /// The tokens that end a completion: end-of-sequence, and every token whose text contains `terminator`, if there is one. Sorted.
    ///
    /// # Errors
    /// [`EngineError::Text`] if the vocabulary cannot be decoded.
    fn stop_tokens(&self, terminator: Option<char>) -> Result<Vec<u32>, EngineError>;

    /// Compiles `guide` for completions that the tokens `stop` end, as [`Batch`] has them; remembers it.
    ///
    /// # Errors
    /// [`EngineError::Guide`] if completions in this vocabulary cannot be held to it.
    fn guided(&self, guide: &Guide, stop: &[u32], terminator: Option<char>) -> Result<Guided, EngineError>;
}

/// Completions that are asked for from one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tokens after the batch's shared prefix.
    pub prompt: Vec<u32>,
    /// At least 1.
    pub samples: u32,
    /// Sample i draws from a stream of (seed, i).
    pub seed: Seed,
    /// How tokens are chosen; how many is for the batch to say.
    pub sampling: Arc<Sampling>,
}

/// Requests to one checkpoint that share a prefix and a stop rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub checkpoint: CheckpointDir,
    pub prefix: Vec<u32>,
    pub requests: Vec<Request>,
    /// Tokens that end a completion.
    pub stop: Vec<u32>,
    /// The character that every stop token with a text holds; a completion's text ends before it. `None` if none has a text.
    pub terminator: Option<char>,
    pub max_tokens: u32,
}

/// One sample of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// With the stop token, if it stopped.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each token at temperature 1.
    pub log_probs: Vec<f32>,
}

/// Sequences to one checkpoint that share a prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreBatch {
    /// With a scalar head.
    pub checkpoint: CheckpointDir,
    pub prefix: Vec<u32>,
    /// Tokens after the prefix.
    pub sequences: Vec<Vec<u32>>,
}

/// How far a batch is: completions ended and tokens sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub ended: u64,
    pub tokens: u64,
}

/// The caller's side of a running engine call.
#[derive(Clone)]
pub struct Watch {
    pub cancel: Cancel,
    /// Called now and then from the engine's thread; must return at once.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Watch {
    /// For callers that neither cancel nor look.
    #[must_use]
    pub fn nobody() -> Self {
        Self { cancel: Cancel::default(), progress: Arc::new(|_| {}) }
    }
}

/// Computes with checkpoints. Made on a thread of its own and never leaves it; calls block.
pub trait Engine {
    /// The checkpoint's tokenizer.
    ///
    /// # Errors
    /// [`EngineError::Load`] if the folder cannot be read.
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError>;

    /// The completions of every request, in order of (request, sample).
    ///
    /// # Errors
    /// [`EngineError`]; a cancelled call gives nothing.
    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError>;

    /// The replies to every conversation, in order of (conversation, sample).
    ///
    /// # Errors
    /// [`EngineError`]; a cancelled call gives nothing, and so does one of which any part failed.
    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError>;

    /// The scalar head's number at the last token of each sequence.
    ///
    /// # Errors
    /// [`EngineError`]; among them a checkpoint without a scalar head and a number that is not finite.
    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError>;

    /// The log-probability, at temperature 1, of each of the tokens `next` as the one that comes behind `behind`.
    ///
    /// # Errors
    /// [`EngineError`]; among them a checkpoint without a language-model head.
    fn likely(
        &mut self,
        checkpoint: &CheckpointDir,
        behind: &[u32],
        next: &[u32],
        watch: &Watch,
    ) -> Result<Vec<f32>, EngineError> {
        let _ = (checkpoint, behind, next, watch);
        Err(EngineError::Unsupported { what: "say how likely given tokens are".to_owned() })
    }

    /// Computes what `flow` has until it ends; requests join while others run. The first failure ends all.
    ///
    /// # Errors
    /// [`EngineError`]; answers that were given before stand, but whoever asked must not use them.
    fn stream(&mut self, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
        stream::in_waves(self, flow, watch)
    }

    /// What was fed to models so far, if the engine knows.
    fn fed(&self) -> Option<Fed> {
        None
    }

    /// Checks a model or adapter folder completely and gives the digest of its weights.
    ///
    /// # Errors
    /// [`EngineError::Load`] names what is missing, corrupt or contradictory.
    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError>;

    /// Writes a character transformer drawn from `seed` into `folder`; gives the digest of its tensors.
    ///
    /// # Errors
    /// [`EngineError::Load`] for an impossible shape or a folder that cannot be written.
    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError>;
}

/// Tokens that models were to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fed {
    pub computed: u64,
    /// Whose keys and values were found instead: of shared prefixes.
    pub found: u64,
}

/// Why an engine gave no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the attempt was cancelled")]
    Cancelled,
    #[error("cannot use the model folder {}", path.display())]
    Load { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot write a new model into {}", path.display())]
    Initialise { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "the weights in {} hash to {found}, but the checkpoint was committed with {expected}; delete that folder, it is only a cache",
        path.display()
    )]
    WrongWeights { path: PathBuf, expected: Digest, found: Digest },
    #[error(
        "{} is an adapter that names no base, and there is none here to put it on; start the worker with --engine-base DIR, the folder of \
         the model it was made for, or merge it first (galapagos merge)",
        path.display()
    )]
    NoBase { path: PathBuf },
    #[error("cannot use {} as the base of adapters", path.display())]
    Base { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the adapter {} cannot be put on the base {}", path.display(), base.display())]
    Adapter { path: PathBuf, base: PathBuf, source: Box<galapagos_model::lora::AdapterError> },
    #[error("checkpoint {checkpoint}, in {}, does not compute here what it did when it was made; nothing is taken from it", path.display())]
    Probe { checkpoint: Digest, path: PathBuf, source: ProbeError },
    #[error("cannot {what} text with the tokenizer of this checkpoint")]
    Text { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("checkpoint {checkpoint} cannot {what}")]
    Compute { checkpoint: Digest, what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "there is no memory for checkpoint {checkpoint} beside the {loaded} models that this search has loaded: it needs {need} MiB, \
         and {free} MiB are free; ask fewer roles in one search, or give the worker more memory"
    )]
    NoRoom { checkpoint: Digest, loaded: usize, need: u64, free: u64 },
    #[error("a request to checkpoint {checkpoint} cannot be run")]
    Request { checkpoint: Digest, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("completions cannot be held to the guide {{{guide}}} in the vocabulary of this checkpoint")]
    Guide { guide: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("this engine cannot {what}")]
    Unsupported { what: String },
    #[error("checkpoint {checkpoint} cannot {what}")]
    WrongHead { checkpoint: Digest, what: String },
    #[error("checkpoint {checkpoint} scores sequence {sequence} with {value}; its training must have diverged")]
    NotFinite { checkpoint: Digest, sequence: usize, value: f32 },
    #[error("checkpoint {checkpoint} cannot be used on the inference server")]
    Remote { checkpoint: Digest, source: Box<openai::RemoteError> },
    #[error("the model `{model}` of the inference server gave no replies")]
    Named { model: String, source: Box<openai::RemoteError> },
    #[error(
        "the engine was asked for something else by the thread whose stream it serves, which would wait for itself; this is a fault of Galapagos"
    )]
    Streaming,
    #[error("the engine's thread panicked or ended while it worked on this; its log says why")]
    Panicked,
}

impl EngineError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Probe { source, .. } => probe_class(source),
            Self::Load { .. }
            | Self::Initialise { .. }
            | Self::Text { .. }
            | Self::Request { .. }
            | Self::Guide { .. }
            | Self::Unsupported { .. }
            | Self::WrongHead { .. }
            | Self::Streaming
            | Self::NotFinite { .. } => FailureClass::Invalid,
            // Whoever runs the server may mend it, and another worker may have the right base, or more memory.
            Self::Remote { .. }
            | Self::Named { .. }
            | Self::NoBase { .. }
            | Self::Base { .. }
            | Self::Adapter { .. }
            | Self::Cancelled
            | Self::NoRoom { .. }
            | Self::WrongWeights { .. }
            | Self::Compute { .. }
            | Self::Panicked => FailureClass::Transient,
        }
    }
}

/// What was computed differs, here and on every machine that computes alike; that nothing could be computed may pass.
fn probe_class(error: &ProbeError) -> FailureClass {
    match error {
        ProbeError::Engine { source } if matches!(**source, GenerateError::Engine { .. }) => FailureClass::Transient,
        ProbeError::Read { .. } => FailureClass::Transient,
        ProbeError::Parse { .. }
        | ProbeError::Empty
        | ProbeError::Engine { .. }
        | ProbeError::Count { .. }
        | ProbeError::Differs { .. } => FailureClass::Invalid,
    }
}
