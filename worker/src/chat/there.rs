//! A model at an inference server, by its name: a judge before it is trusted, for example. Nothing but its words is known.

use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;
use tokio::runtime::Runtime;

use super::{ChatError, Partner, Turn, terminal};
use crate::config::Chat;
use crate::engine::conversation::{ChatBatch, Conversation, Speaker};
use crate::engine::openai::client::{Client, KEY, Server};
use crate::engine::openai::update::Update;
use crate::engine::openai::{OpenAiEngine, Options};
use crate::engine::{Engine, EngineError, Watch};

/// For one try of one answer.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A person waits: a server that is not there is told soon.
const TRIES: u32 = 3;

pub(super) struct There {
    name: String,
    seed: Seed,
    max_tokens: u32,
    sampling: Arc<Sampling>,
    engine: OpenAiEngine,
    /// Carries the engine's connections.
    _runtime: Runtime,
}

impl There {
    pub(super) fn open(config: &Chat, url: &str) -> Result<Self, ChatError> {
        let name = config.model.to_str().map(str::to_owned);
        let name = name.ok_or_else(|| ChatError::Name { name: config.model.clone() })?;
        let (url, ca, key) = (url.to_owned(), config.server_ca.clone(), std::env::var(KEY).ok());
        let server = Server { url, ca, key, timeout: TIMEOUT, tries: TRIES };
        let client = Client::new(server).map_err(|source| ChatError::Server { source })?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(terminal)?;
        let options = Options { model: name.clone(), update: Update::Fixed, base: None };
        let engine = OpenAiEngine::new(options, Arc::new(client), runtime.handle().clone());
        let sampling = Sampling {
            top_p: config.top_p,
            top_k: config.top_k,
            min_p: config.min_p,
            ..Sampling::at(config.temperature)
        };
        let (seed, max_tokens, sampling) = (Seed(config.seed), config.max_tokens, Arc::new(sampling));
        Ok(Self { name, seed, max_tokens, sampling, engine, _runtime: runtime })
    }
}

impl Partner for There {
    fn answer(&mut self, turn: Turn<'_>) -> Result<(), ChatError> {
        let conversation = Conversation {
            messages: turn.messages.to_vec(),
            samples: 1,
            seed: self.seed.nth(turn.number),
            sampling: Arc::clone(&self.sampling),
        };
        let batch = ChatBatch {
            speaker: Speaker::Named(self.name.clone()),
            conversations: vec![conversation],
            stop: Vec::new(),
            max_tokens: self.max_tokens,
            log_probs: None,
        };
        match self.engine.chat(&batch, &Watch { cancel: turn.cancel.clone(), ..Watch::nobody() }) {
            Ok(replies) => replies.iter().try_for_each(|reply| (turn.say)(&reply.text)),
            Err(EngineError::Cancelled) => Ok(()),
            Err(source) => Err(ChatError::Reply { source }),
        }
    }
}
