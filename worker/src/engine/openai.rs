//! Rollouts by a server that speaks OpenAI's completions: vLLM, SGLang, or `galapagos serve`.
//!
//! Before and after every batch the server is asked for the log-probabilities of fixed sequences, which are compared with what
//! the checkpoint says here: a batch counts only if the right version was served all along. Tokenizers, critics and new
//! models stay with the local engine.

pub mod client;
pub mod probe;
pub mod update;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::guided::{self, Guided};
use super::tch::TchEngine;
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Progress, Request, ScoreBatch, Watch};
use crate::device::Place;
use client::{Client, ClientError};
use probe::Finding;
use update::{Update, UpdateError};

/// Requests in flight: enough to fill the server's batch, few enough to cancel soon.
const IN_FLIGHT: usize = 64;

/// How often a waiting call looks whether it is cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(200);

/// Versions whose log-probabilities are remembered, to tell them apart.
const REMEMBERED: usize = 4;

/// Adapters that this worker leaves on the server; older ones are taken off.
const ADAPTERS_THERE: usize = 64;

/// How to use a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model's name there.
    pub model: String,
    /// How versions get there.
    pub update: Update,
    /// The base that adapters of this cluster stand on.
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
    /// What the base says, once an adapter was asked for.
    bare: Option<Version>,
    /// The version brought last, and its name at the server.
    served: Option<(Digest, String)>,
    /// Names of the adapters brought, oldest first.
    adapters: Vec<String>,
}

/// What a version says about the probe's sequences.
#[derive(Debug)]
struct Version {
    /// `None` for the base without an adapter, which a server serves that ignores the adapter's name.
    checkpoint: Option<Digest>,
    vocabulary: u32,
    log_probs: Vec<f64>,
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

    /// Brings `checkpoint` to the server if it is not the version brought last, and checks what is served. Gives the name to
    /// ask for.
    fn ensure(&mut self, checkpoint: &CheckpointDir) -> Result<String, EngineError> {
        let known = self.served.take().filter(|(version, _)| *version == checkpoint.checkpoint);
        let name = match known {
            Some((_, name)) => name,
            None => self.bring(checkpoint)?,
        };
        self.check(checkpoint, &name)?;
        self.served = Some((checkpoint.checkpoint, name.clone()));
        Ok(name)
    }

    fn bring(&mut self, checkpoint: &CheckpointDir) -> Result<String, EngineError> {
        let bring = update::bring(&self.options.update, &self.client, &self.options.model, checkpoint);
        let name = self
            .runtime
            .block_on(bring)
            .map_err(|source| remote(checkpoint, RemoteError::Update { checkpoint: checkpoint.checkpoint, source }))?;
        if name != self.options.model {
            self.adapters.retain(|known| *known != name);
            self.adapters.push(name.clone());
        }
        if self.adapters.len() > ADAPTERS_THERE {
            let oldest = self.adapters.remove(0);
            self.runtime.block_on(update::unload(&self.client, &oldest));
        }
        Ok(name)
    }

    /// Asks the server about the probe's sequences.
    fn check(&mut self, checkpoint: &CheckpointDir, name: &str) -> Result<(), EngineError> {
        self.remember(checkpoint)?;
        let this = |version: &&Version| version.checkpoint == Some(checkpoint.checkpoint);
        let expected = self.versions.iter().find(this).ok_or(EngineError::Panicked)?;
        let asked = probe::sequences(expected.vocabulary);
        let ask = async {
            let mut said = Vec::new();
            for sequence in &asked {
                said.extend(log_probs_of(&self.client, name, sequence).await?);
            }
            Ok::<_, ClientError>(said)
        };
        let said = self.runtime.block_on(ask).map_err(|source| remote(checkpoint, RemoteError::Call { source }))?;
        let bare = self.bare.as_ref().filter(|_| checkpoint.is_adapter());
        let fit = |version: &&Version| !this(version) && version.vocabulary == expected.vocabulary;
        let others: Vec<&Version> = self.versions.iter().chain(bare).filter(fit).collect();
        let numbers: Vec<&[f64]> = others.iter().map(|version| version.log_probs.as_slice()).collect();
        let finding = match probe::judge(&said, &expected.log_probs, &numbers) {
            Finding::Right => return Ok(()),
            Finding::Far { difference } => {
                format!(
                    "its log-probabilities are {difference:.3} nats away on average, {} are allowed",
                    probe::TOLERANCE
                )
            }
            Finding::Other { version, coefficient } => {
                let name = others.get(version).and_then(|version| version.checkpoint);
                let name = name.map_or_else(|| "the base without the adapter".to_owned(), |id| format!("version {id}"));
                format!("what it says is nearer to {name} (coefficient {coefficient:.2} of 1)")
            }
            Finding::Unusable { expected, found } => {
                format!("it sent {found} usable log-probabilities where {expected} were asked for")
            }
        };
        let url = self.client.url("");
        Err(remote(checkpoint, RemoteError::WrongVersion { url, checkpoint: checkpoint.checkpoint, finding }))
    }

    /// Checks what came against the guides: a server that does not know them answers all the same.
    fn check_guides(
        &self,
        batch: &Batch,
        guides: &[Option<Guided>],
        completions: &[Completion],
    ) -> Result<(), EngineError> {
        let mut completions = completions.iter();
        for (request, guided) in batch.requests.iter().zip(guides) {
            for made in completions.by_ref().take(request.samples as usize) {
                let Some(guided) = guided else { continue };
                guided.check(&made.tokens, &batch.stop, batch.max_tokens).map_err(|finding| {
                    let (url, guide) = (self.client.url(""), guided.named.clone());
                    remote(&batch.checkpoint, RemoteError::Guide { url, guide, finding })
                })?;
            }
        }
        Ok(())
    }

    /// The completions of a batch, between two checks of the version.
    fn rollouts(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let guides = guided::of_batch(batch, &mut self.local)?;
        let name = self.ensure(&batch.checkpoint)?;
        let work = async {
            let name = &name;
            let this = &*self;
            let one = |asked| async move {
                let (request, guided): (&Request, &Option<Guided>) = asked;
                if watch.cancel.is_raised() {
                    return Err(EngineError::Cancelled);
                }
                let answer =
                    this.client.post("/v1/completions", &wire::body(name, batch, request, guided.as_ref())).await;
                let failed = |source| remote(&batch.checkpoint, RemoteError::Call { source });
                let answer = answer.map_err(failed)?;
                wire::completions(&answer, request.samples, batch.max_tokens)
                    .map_err(|problem| failed(ClientError::Answer { url: this.client.url("/v1/completions"), problem }))
            };
            let mut answers = futures::stream::iter(batch.requests.iter().zip(&guides).map(one)).buffered(IN_FLIGHT);
            let (mut completions, mut progress) = (Vec::new(), Progress::default());
            loop {
                // A cancelled attempt ends soon: what is in flight is dropped, which closes its connections.
                let Ok(next) = tokio::time::timeout(CANCEL_CHECK, answers.next()).await else {
                    if watch.cancel.is_raised() {
                        return Err(EngineError::Cancelled);
                    }
                    continue;
                };
                let Some(made) = next else { return Ok(completions) };
                let made = made?;
                progress.ended += made.len() as u64;
                progress.tokens += made.iter().map(|completion| completion.tokens.len() as u64).sum::<u64>();
                (watch.progress)(progress);
                completions.extend(made);
            }
        };
        let completions = self.runtime.block_on(work)?;
        self.check_guides(batch, &guides, &completions)?;
        // The server may have been restarted or changed in the meantime.
        self.check(&batch.checkpoint, &name)?;
        Ok(completions)
    }

    /// Computes what `checkpoint` says about the probe's sequences, once, and what its base says.
    fn remember(&mut self, checkpoint: &CheckpointDir) -> Result<(), EngineError> {
        if self.bare.is_none() && checkpoint.is_adapter() {
            let (vocabulary, log_probs) = self.local.probe_base(checkpoint, probe::sequences)?;
            self.bare = Some(Version { checkpoint: None, vocabulary, log_probs });
        }
        if self.versions.iter().any(|version| version.checkpoint == Some(checkpoint.checkpoint)) {
            return Ok(());
        }
        let (vocabulary, log_probs) = self.local.probe(checkpoint, probe::sequences)?;
        if self.versions.len() >= REMEMBERED {
            self.versions.remove(0);
        }
        self.versions.push(Version { checkpoint: Some(checkpoint.checkpoint), vocabulary, log_probs });
        Ok(())
    }
}

/// The server's log-probability of every token of `sequence` but the first.
async fn log_probs_of(client: &Client, name: &str, sequence: &[u32]) -> Result<Vec<f64>, ClientError> {
    let body = json!({
        "model": name, "prompt": sequence, "max_tokens": 1, "temperature": 0.0, "logprobs": 0, "echo": true,
    });
    let answer = client.post("/v1/completions", &body).await?;
    let listed = answer.pointer("/choices/0/logprobs/token_logprobs").and_then(Value::as_array);
    let Some(listed) = listed.filter(|listed| listed.len() >= sequence.len()) else {
        let problem =
            "it lists no log-probabilities of the prompt (`echo` with `logprobs`), which the version check needs";
        return Err(ClientError::Answer { url: client.url("/v1/completions"), problem: problem.to_owned() });
    };
    Ok(listed[1..sequence.len()].iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
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
        if matches!(made, Err(EngineError::Remote { .. })) {
            // Whatever is served there now, the next attempt brings its version again.
            self.served = None;
        }
        made
    }

    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        self.local.score(batch, watch)
    }

    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        self.local.inspect(folder)
    }

    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        self.local.initialise(shape, seed, folder)
    }
}
