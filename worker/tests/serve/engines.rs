//! Checkpoints, batches and engines that the tests of this folder share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::seed::Seed;
use galapagos_worker::engine::openai::client::{Client, Server};
use galapagos_worker::engine::openai::update::Update;
use galapagos_worker::engine::openai::{OpenAiEngine, Options};
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{Batch, CheckpointDir, Completion, Engine, Request, Watch};
use serde_json::{Value, json};

/// A folder as a checkpoint of a whole model.
pub fn checkpoint(folder: &Path) -> CheckpointDir {
    let weights = TchEngine::new().inspect(folder).unwrap();
    CheckpointDir { checkpoint: weights, weights, path: folder.to_owned(), base: None }
}

/// An adapter's folder as a checkpoint.
pub fn adapter_checkpoint(base: &Path, folder: &Path) -> CheckpointDir {
    let weights = TchEngine::new().standing_on(Some(base.to_owned())).inspect(folder).unwrap();
    CheckpointDir { checkpoint: weights, weights, path: folder.to_owned(), base: None }
}

/// The whole chain of an error.
pub fn chain(error: &dyn std::error::Error) -> String {
    galapagos_telemetry::ErrorChain::new(error).to_string()
}

/// Five requests of three samples.
pub fn batch(checkpoint: &CheckpointDir) -> Batch {
    let request = |seed: u64| Request {
        prompt: vec![2 + seed as u32 % 7, 5, 6],
        samples: 3,
        // The wire carries half the numbers: seeds are even here, so that both engines draw alike.
        seed: Seed(seed * 2),
        sampling: Arc::new(Sampling { top_p: 0.95, ..Sampling::at(1.0) }),
    };
    Batch {
        checkpoint: checkpoint.clone(),
        prefix: vec![3, 4],
        requests: (0..5).map(request).collect(),
        stop: vec![1, 9],
        terminator: None,
        max_tokens: 12,
    }
}

/// A server with short patience.
pub fn server(url: &str) -> Server {
    Server { url: url.to_owned(), ca: None, key: None, timeout: Duration::from_secs(30), tries: 4 }
}

/// An engine that asks the server at `url` for `darwin`.
pub fn engine(runtime: &tokio::runtime::Runtime, url: &str, update: Update) -> OpenAiEngine {
    engine_at(runtime, server(url), update, None)
}

/// The same with every choice.
pub fn engine_at(
    runtime: &tokio::runtime::Runtime,
    server: Server,
    update: Update,
    base: Option<&Path>,
) -> OpenAiEngine {
    let client = Arc::new(Client::new(server).unwrap());
    let options = Options { model: "darwin".to_owned(), update, base: base.map(Path::to_owned) };
    OpenAiEngine::new(options, client, runtime.handle().clone())
}

/// [`engine`] for a thread of its own.
pub fn engine_on(calls: &tokio::runtime::Handle, url: &str) -> OpenAiEngine {
    let client = Arc::new(Client::new(server(url)).unwrap());
    let options = Options { model: "darwin".to_owned(), update: Update::Fixed, base: None };
    OpenAiEngine::new(options, client, calls.clone())
}

/// Where calls run.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What the built-in engine makes of a batch that went over the wire, where seeds lose a bit.
pub fn made_here(mut asked: Batch, base: Option<&Path>) -> Vec<Completion> {
    for request in &mut asked.requests {
        request.seed = Seed(request.seed.0 >> 1);
    }
    TchEngine::new().standing_on(base.map(Path::to_owned)).generate(&asked, &Watch::nobody()).unwrap()
}

/// A server in front of `url` that does not know `field` and leaves it out, as servers do. Gives its address.
pub async fn deaf(url: String, field: &'static str) -> String {
    let forward = move |uri: axum::http::Uri, axum::Json(mut body): axum::Json<Value>| {
        let url = format!("{url}{}", uri.path());
        async move {
            body.as_object_mut().unwrap().remove(field);
            let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
            axum::Json(answer.json::<Value>().await.unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(forward);
    drop(galapagos_telemetry::spawn_task("deaf", async move { axum::serve(listener, router).await }));
    url
}

/// Three texts.
pub fn choice() -> Guide {
    Guide::Choice(["12", "1", "a b"].map(str::to_owned).to_vec())
}

/// An object with one number.
pub fn schema() -> Guide {
    let schema = json!({"type": "object", "properties": {"b": {"enum": [1, 22]}}, "required": ["b"], "additionalProperties": false});
    Guide::JsonSchema(schema.as_object().unwrap().clone())
}
