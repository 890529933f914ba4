//! The version that a server is to serve: brought there, and checked before and after every batch.

use galapagos_domain::ids::Digest;
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::probe::Finding;
use super::wire::completions::PATH;
use super::{OpenAiEngine, RemoteError, probe, remote, update};
use crate::engine::{CheckpointDir, EngineError};

/// Versions whose log-probabilities are remembered, to tell them apart.
const REMEMBERED: usize = 4;

/// Adapters that this worker leaves on the server; older ones are taken off.
const ADAPTERS_THERE: usize = 64;

/// What a version says about the probe's sequences.
#[derive(Debug)]
pub(super) struct Version {
    /// `None` for the base without an adapter, which a server serves that ignores the adapter's name.
    checkpoint: Option<Digest>,
    vocabulary: u32,
    log_probs: Vec<f64>,
}

impl OpenAiEngine {
    /// Brings `checkpoint` to the server if it is not the version brought last, and checks what is served. Gives the name to
    /// ask for.
    pub(super) fn ensure(&mut self, checkpoint: &CheckpointDir) -> Result<String, EngineError> {
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
    pub(super) fn check(&mut self, checkpoint: &CheckpointDir, name: &str) -> Result<(), EngineError> {
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
        let bare = self.bare.as_ref().filter(|_| checkpoint.is_adapter()).map(|(_, version)| version);
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

    /// Computes what `checkpoint` says about the probe's sequences, once, and what its base says.
    fn remember(&mut self, checkpoint: &CheckpointDir) -> Result<(), EngineError> {
        let base = checkpoint.base.as_ref().map(|base| base.checkpoint);
        if checkpoint.is_adapter() && self.bare.as_ref().is_none_or(|(known, _)| *known != base) {
            let (vocabulary, log_probs) = self.local.probe_base(checkpoint, probe::sequences)?;
            self.bare = Some((base, Version { checkpoint: None, vocabulary, log_probs }));
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
    let answer = client.post(PATH, &body).await?;
    let listed = answer.pointer("/choices/0/logprobs/token_logprobs").and_then(Value::as_array);
    let Some(listed) = listed.filter(|listed| listed.len() >= sequence.len()) else {
        let problem =
            "it lists no log-probabilities of the prompt (`echo` with `logprobs`), which the version check needs";
        return Err(ClientError::Answer { url: client.url(PATH), problem: problem.to_owned() });
    };
    Ok(listed[1..sequence.len()].iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
}
