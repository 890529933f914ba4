//! A server that speaks OpenAI's API as an engine: rollouts by vLLM, SGLang or `galapagos serve`, and conversations with these or any
//! other.
//!
//! Before and after every batch (every few answers of a stream) the server is asked for the log-probabilities of fixed sequences, which
//! are compared with what the checkpoint says here: answers count only if the right version was served all along. A conversation with a model that is no
//! checkpoint of ours goes without. Tokenizers, critics and new
//! models stay with the local engine.

mod ask;
pub mod client;
pub mod probe;
mod served;
mod stream;
pub mod update;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use serde_json::Value;
use tokio::runtime::Handle;

use super::conversation::{ChatBatch, Ending, Reply, Speaker};
use super::guided::{self, Guided, TextGuide};
use super::stream::Flow;
use super::tch::TchEngine;
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Request, ScoreBatch, Watch};
use crate::device::Place;
use ask::{AskError, Read};
use client::{Client, ClientError};
use served::Version;
use update::{Update, UpdateError};

/// How to use a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model's name there.
    pub model: String,
    /// How versions get there.
    pub update: Update,
    /// The base of adapters that name none.
    pub base: Option<PathBuf>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct OpenAiEngine {
    options: Options,
    client: Arc<Client>,
    runtime: Handle,
    local: TchEngine,
    /// Oldest first.
    versions: Vec<Version>,
    /// What the base of the adapter asked for last says, and the checkpoint that it is, if the adapter names it.
    bare: Option<(Option<Digest>, Version)>,
    /// The version brought last, and its name at the server.
    served: Option<(Digest, String)>,
    /// Names of the adapters brought, oldest first.
    adapters: Vec<String>,
}

/// Whom a batch of conversations goes to.
struct Addressed {
    /// At the server.
    name: String,
    /// The tokens that it must render the conversations as, where they are known.
    prompts: Option<Vec<Vec<u32>>>,
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A call failed.
    #[error("the inference server failed")]
    Call {
        /// How.
        #[source]
        source: ClientError,
    },
    /// A version did not arrive.
    #[error("version {checkpoint} could not be brought to the inference server")]
    Update {
        /// The version.
        checkpoint: Digest,
        /// Why.
        #[source]
        source: UpdateError,
    },
    /// The wrong weights answer.
    #[error(
        "the inference server at {url} does not serve version {checkpoint}: {finding}; nothing was taken from it. Load the version there \
         (--engine-update), or look whether another client changed it"
    )]
    WrongVersion {
        /// The server.
        url: String,
        /// The version that should be served.
        checkpoint: Digest,
        /// What the probe found.
        finding: String,
    },
    /// A completion is not what its guide says.
    #[error(
        "the inference server at {url} does not hold completions to the guide {{{guide}}}: the completion {finding}; nothing was taken \
         from it. It must know `structured_outputs` (vLLM from 0.12, galapagos serve); others leave such a field out silently"
    )]
    Guide {
        /// The server.
        url: String,
        /// The guide.
        guide: String,
        /// What came instead.
        finding: String,
    },
}

impl OpenAiEngine {
    /// An engine that asks by `client`; calls run on `runtime`.
    #[must_use]
    pub fn new(options: Options, client: Arc<Client>, runtime: Handle) -> Self {
        let local = TchEngine::new().standing_on(options.base.clone());
        Self { options, client, runtime, local, versions: Vec::new(), bare: None, served: None, adapters: Vec::new() }
    }

    /// The same with its own computations (critics, and what the server should say) at `place`.
    #[must_use]
    pub fn computing_on(self, place: Place) -> Self {
        Self { local: TchEngine::on(place).standing_on(self.options.base.clone()), ..self }
    }

    /// The same; after a failure, whatever is served there now, the next attempt brings its version again.
    fn after<T>(&mut self, made: Result<T, EngineError>) -> Result<T, EngineError> {
        if matches!(made, Err(EngineError::Remote { .. })) {
            self.served = None;
        }
        made
    }

    /// The completions of a batch, between two checks of the version.
    fn rollouts(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let guides = guided::of_batch(batch, &mut self.local)?;
        let name = self.ensure(&batch.checkpoint)?;
        let body = |(request, guided): (&Request, &Option<Guided>)| {
            wire::completions::body(&name, batch, request, guided.as_ref())
        };
        let bodies = batch.requests.iter().zip(&guides).map(body).collect();
        let read = |place: usize, answer: &Value| self.read(batch, place, guides[place].as_ref(), answer);
        let asked = ask::all(&self.client, wire::completions::PATH, bodies, read, watch);
        let completions = self.runtime.block_on(asked).map_err(|error| match error {
            AskError::Cancelled => EngineError::Cancelled,
            AskError::Server(source) => remote(&batch.checkpoint, source),
        })?;
        // The server may have been restarted or changed in the meantime.
        self.check(&batch.checkpoint, &name)?;
        Ok(completions)
    }

    /// The completions of one request of a batch.
    fn read(
        &self,
        batch: &Batch,
        place: usize,
        guided: Option<&Guided>,
        answer: &Value,
    ) -> Result<Read<Completion>, RemoteError> {
        let samples = batch.requests[place].samples;
        let read = wire::completions::completions(answer, samples, batch.max_tokens);
        let read = read.map_err(|problem| self.unreadable(wire::completions::PATH, problem))?;
        // A server that does not know guides answers all the same.
        if let Some(guided) = guided {
            let check = |made: &Completion| guided.check(&made.tokens, &batch.stop, batch.max_tokens);
            let checked = read.made.iter().try_for_each(check);
            checked.map_err(|finding| self.off_guide(&guided.named, finding))?;
        }
        Ok(read)
    }

    /// The replies of a batch; with a version between two checks of it.
    fn replies(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        let samplings = batch.conversations.iter().map(|asked| &asked.sampling);
        let guides = guided::each(samplings, TextGuide::new)?;
        let Addressed { name, prompts } = self.address(batch)?;
        let bodies = batch.conversations.iter().map(|asked| wire::chat::body(&name, batch, asked)).collect();
        let read = |place: usize, answer: &Value| {
            let prompt = prompts.as_ref().map(|prompts| prompts[place].as_slice());
            let read = wire::chat::replies(answer, batch, &batch.conversations[place], prompt);
            let read = read.map_err(|problem| self.unreadable(wire::chat::PATH, problem))?;
            if let Some(guide) = &guides[place] {
                let check = |made: &Reply| guide.check(&made.text, made.ending == Ending::Length);
                read.made.iter().try_for_each(check).map_err(|finding| self.off_guide(&guide.named, finding))?;
            }
            Ok(read)
        };
        let asked = ask::all(&self.client, wire::chat::PATH, bodies, read, watch);
        let mut replies = self.runtime.block_on(asked).map_err(|error| match (error, &batch.speaker) {
            (AskError::Cancelled, _) => EngineError::Cancelled,
            (AskError::Server(source), Speaker::Version(checkpoint)) => remote(checkpoint, source),
            (AskError::Server(source), Speaker::Named(model)) => {
                EngineError::Named { model: model.clone(), source: Box::new(source) }
            }
        })?;
        if let Speaker::Version(checkpoint) = &batch.speaker {
            self.check(checkpoint, &name)?;
            // Whatever the server calls it.
            replies.iter_mut().for_each(|reply| reply.model = checkpoint.checkpoint.to_string());
        }
        Ok(replies)
    }

    /// What to ask for; a version is checked.
    fn address(&mut self, batch: &ChatBatch) -> Result<Addressed, EngineError> {
        let checkpoint = match &batch.speaker {
            Speaker::Named(name) => return Ok(Addressed { name: name.clone(), prompts: None }),
            Speaker::Version(checkpoint) => checkpoint,
        };
        let codec = self.local.codec(checkpoint)?;
        let prompts = batch.conversations.iter().map(|asked| codec.conversation(&asked.messages));
        let prompts = prompts.collect::<Result<_, _>>()?;
        Ok(Addressed { name: self.ensure(checkpoint)?, prompts: Some(prompts) })
    }

    /// An answer that cannot be read, and why.
    fn unreadable(&self, path: &str, problem: String) -> RemoteError {
        RemoteError::Call { source: ClientError::Answer { url: self.client.url(path), problem } }
    }

    /// What was made is not what the guide says.
    fn off_guide(&self, guide: &str, finding: String) -> RemoteError {
        RemoteError::Guide { url: self.client.url(""), guide: guide.to_owned(), finding }
    }
}

fn remote(checkpoint: &CheckpointDir, source: RemoteError) -> EngineError {
    EngineError::Remote { checkpoint: checkpoint.checkpoint, source: Box::new(source) }
}

impl Engine for OpenAiEngine {
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        self.local.codec(checkpoint)
    }

    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let made = self.rollouts(batch, watch);
        self.after(made)
    }

    fn stream(&mut self, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
        let made = stream::run(self, flow, watch);
        self.after(made)
    }

    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        let made = self.replies(batch, watch);
        self.after(made)
    }

    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        self.local.score(batch, watch)
    }

    fn likely(
        &mut self,
        checkpoint: &CheckpointDir,
        behind: &[u32],
        next: &[u32],
        watch: &Watch,
    ) -> Result<Vec<f32>, EngineError> {
        self.local.likely(checkpoint, behind, next, watch)
    }

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        self.local.inspect(folder)
    }

    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        self.local.initialise(shape, seed, folder)
    }
}
