//! How a new policy version reaches a server that we do not run.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::client::{Client, ClientError};
use crate::engine::CheckpointDir;

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The server is given its weights by others; versions are only checked.
    Fixed,
    /// Adapters by vLLM's `POST /v1/load_lora_adapter`, each version under a name of its own. Whole weights are taken for the
    /// base that the server was started with; the version check decides whether they are.
    Adapter,
    /// Whole weights by SGLang's `POST /update_weights_from_disk`.
    Endpoint,
    /// A program that is called with the checkpoint's folder and returns when the server serves it. It finds the checkpoint's digest in
    /// `GALAPAGOS_CHECKPOINT` and the folder of an adapter's base in `GALAPAGOS_BASE`.
    Hook {
        /// The program.
        program: String,
    },
}

/// How long a hook may take.
const HOOK_LIMIT: Duration = Duration::from_secs(1800);

/// Why a version did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The server did not take it.
    #[error("the server did not take the new version")]
    Server {
        /// What it said.
        #[source]
        source: ClientError,
    },
    /// The hook cannot be run.
    #[error("the reload hook `{program}` cannot be run")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The hook failed.
    #[error("the reload hook `{program}` failed with {status}: {output}")]
    Hook {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to its standard error.
        output: String,
    },
}

/// Brings `checkpoint` to the server; gives the model name to ask for.
///
/// # Errors
/// [`UpdateError`].
pub async fn bring(
    update: &Update,
    client: &Client,
    model: &str,
    checkpoint: &CheckpointDir,
) -> Result<String, UpdateError> {
    let server = |source| UpdateError::Server { source };
    match update {
        Update::Fixed => Ok(model.to_owned()),
        Update::Adapter if !checkpoint.is_adapter() => Ok(model.to_owned()),
        Update::Adapter => {
            let name = adapter_name(checkpoint);
            let body = json!({"lora_name": name, "lora_path": checkpoint.path});
            match client.post("/v1/load_lora_adapter", &body).await {
                Ok(_) => Ok(name),
                // A worker that was started again meets its own adapter; the probe decides whether it is the right one.
                Err(ClientError::Refused { message, .. }) if message.contains("already been loaded") => Ok(name),
                Err(source) => Err(server(source)),
            }
        }
        Update::Endpoint => {
            let answer = client.post("/update_weights_from_disk", &json!({"model_path": checkpoint.path})).await;
            let answer = answer.map_err(server)?;
            if answer.get("success").and_then(serde_json::Value::as_bool) == Some(false) {
                let problem = format!("it did not load the weights: {answer}");
                let url = client.url("/update_weights_from_disk");
                return Err(server(ClientError::Answer { url, problem }));
            }
            Ok(model.to_owned())
        }
        Update::Hook { program } => run_hook(program, checkpoint).await.map(|()| model.to_owned()),
    }
}

/// Takes an adapter off the server. That it is gone already, or that the server does not answer now, changes nothing here.
pub async fn unload(client: &Client, name: &str) {
    if let Err(error) = client.post("/v1/unload_lora_adapter", &json!({"lora_name": name})).await {
        tracing::warn!("adapter {name} stays on the server: {error}");
    }
}

/// The name a version's adapter is served under: never used for two versions.
#[must_use]
pub fn adapter_name(checkpoint: &CheckpointDir) -> String {
    format!("galapagos-{}", checkpoint.checkpoint)
}

async fn run_hook(program: &str, checkpoint: &CheckpointDir) -> Result<(), UpdateError> {
    let mut command = Command::new(program);
    command
        .arg(&checkpoint.path)
        .env("GALAPAGOS_CHECKPOINT", checkpoint.checkpoint.to_string())
        .envs(checkpoint.base.as_ref().map(|base| ("GALAPAGOS_BASE", base.path.as_os_str())))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let started = |source| UpdateError::Start { program: program.to_owned(), source };
    let child = command.spawn().map_err(started)?;
    let failed = |status: String, output: &[u8]| {
        let text = String::from_utf8_lossy(output);
        let skip = text.chars().count().saturating_sub(600);
        UpdateError::Hook { program: program.to_owned(), status, output: text.chars().skip(skip).collect() }
    };
    match tokio::time::timeout(HOOK_LIMIT, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(failed(output.status.to_string(), &output.stderr)),
        Ok(Err(source)) => Err(started(source)),
        Err(_elapsed) => Err(failed(format!("no end within {} s", HOOK_LIMIT.as_secs()), b"")),
    }
}
