//! How versions get to a server: adapters at runtime, and SGLang's endpoint. Whatever the way, a server with another version
//! than the one asked for gives no rollout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use galapagos_worker::engine::openai::client::Client;
use galapagos_worker::engine::openai::update::{Update, adapter_name};
use galapagos_worker::engine::{Engine, EngineError, Watch};
use serde_json::{Value, json};

use crate::adapter_folder::write_adapter;
use crate::engines::{adapter_checkpoint, batch, chain, checkpoint, engine, engine_at, made_here, runtime, server};
use crate::process::{Served, write_model};

/// A base and two adapters of it.
fn adapters() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["base", "first", "second"].map(|name| folder.path().join(name));
    write_model(&paths[0], 1);
    write_adapter(&paths[0], &paths[1], 1, 0.3);
    write_adapter(&paths[0], &paths[2], 2, 0.3);
    (folder, paths)
}

#[test]
fn adapters_reach_the_server_at_runtime_and_each_is_the_right_one() {
    let (_folder, [base, first, second]) = adapters();
    let served = Served::start_with(&base, "darwin", &["--allow-runtime-adapters"]);
    let runtime = runtime();
    let mut remote = engine_at(&runtime, server(&served.url), Update::Adapter, Some(&base));
    let whole = checkpoint(&base);
    let (first, second) = (adapter_checkpoint(&base, &first), adapter_checkpoint(&base, &second));
    let mut all = Vec::new();
    for version in [&whole, &first, &second, &first] {
        let asked = batch(version);
        let made = remote.generate(&asked, &Watch::nobody()).unwrap();
        assert_eq!(made, made_here(asked, Some(&base)));
        all.push(made);
    }
    assert!(all[0] != all[1] && all[1] != all[2] && all[1] == all[3]);
}

#[test]
fn another_adapter_under_a_versions_name_gives_no_rollout() {
    let (_folder, [base, first, second]) = adapters();
    let served = Served::start_with(&base, "darwin", &["--allow-runtime-adapters"]);
    let runtime = runtime();
    let mut remote = engine_at(&runtime, server(&served.url), Update::Adapter, Some(&base));
    let (first, second) = (adapter_checkpoint(&base, &first), adapter_checkpoint(&base, &second));
    remote.generate(&batch(&second), &Watch::nobody()).unwrap();

    let client = Client::new(server(&served.url)).unwrap();
    let (name, path) = (adapter_name(&first), second.path.clone());
    let load = |path: PathBuf| json!({"lora_name": name, "lora_path": path});
    runtime.block_on(client.post("/v1/load_lora_adapter", &load(path))).unwrap();
    let error = remote.generate(&batch(&first), &Watch::nobody()).unwrap_err();
    let said = chain(&error);
    assert!(said.contains("nearer to version") && said.contains(&second.checkpoint.to_string()), "{said}");

    // Mended there, the next attempt is right.
    runtime.block_on(client.post("/v1/unload_lora_adapter", &json!({"lora_name": name}))).unwrap();
    assert_eq!(remote.generate(&batch(&first), &Watch::nobody()).unwrap(), made_here(batch(&first), Some(&base)));
}

#[test]
fn the_bare_base_is_no_adapter_however_close_the_two_are() {
    let folder = tempfile::tempdir().unwrap();
    let (base, adapter) = (folder.path().join("base"), folder.path().join("adapter"));
    write_model(&base, 1);
    write_adapter(&base, &adapter, 1, 0.001);
    let served = Served::start(&base, "darwin");
    let runtime = runtime();
    // The server has the base's name for it, and this engine has never seen the base as a version.
    let mut remote = engine_at(&runtime, server(&served.url), Update::Fixed, Some(&base));
    let error = remote.generate(&batch(&adapter_checkpoint(&base, &adapter)), &Watch::nobody()).unwrap_err();
    assert!(chain(&error).contains("nearer to the base without the adapter"), "{}", chain(&error));
}

#[test]
fn a_server_takes_adapters_only_if_it_was_told_to_and_says_what_is_wrong_with_them() {
    let (folder, [base, first, _]) = adapters();
    let runtime = runtime();
    let call = |served: &Served, path: &str, body: Value| {
        let client = Client::new(server(&served.url)).unwrap();
        runtime.block_on(client.post(path, &body)).map_err(|error| error.to_string())
    };
    let load = |name: &str, path: &Path| json!({"lora_name": name, "lora_path": path});

    let closed = Served::start(&base, "darwin");
    let said = call(&closed, "/v1/load_lora_adapter", load("a", &first)).unwrap_err();
    assert!(said.contains("--allow-runtime-adapters"), "{said}");

    let open = Served::start_with(&base, "darwin", &["--allow-runtime-adapters"]);
    let said = call(&open, "/v1/load_lora_adapter", load("a", &folder.path().join("nowhere"))).unwrap_err();
    assert!(said.contains("nowhere"), "{said}");
    call(&open, "/v1/load_lora_adapter", load("a", &first)).unwrap();
    for name in ["a", "darwin"] {
        let said = call(&open, "/v1/load_lora_adapter", load(name, &first)).unwrap_err();
        assert!(said.contains("already been loaded"), "{said}");
    }
    let ask = json!({"model": "a", "prompt": [3, 4], "max_tokens": 2});
    call(&open, "/v1/completions", ask.clone()).unwrap();
    call(&open, "/v1/unload_lora_adapter", json!({"lora_name": "a"})).unwrap();
    assert!(call(&open, "/v1/completions", ask).unwrap_err().contains("not served here"));
    assert!(call(&open, "/v1/unload_lora_adapter", json!({"lora_name": "a"})).unwrap_err().contains("404"));
}

/// A server with SGLang's endpoint, whose models are computed by others: it passes completions on to the one in use.
struct Sglang {
    models: BTreeMap<PathBuf, Client>,
    current: Mutex<PathBuf>,
    /// Says that it loaded the weights, and does not.
    lies: Mutex<bool>,
}

async fn update(State(state): State<Arc<Sglang>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let path = PathBuf::from(body["model_path"].as_str().unwrap());
    if !state.models.contains_key(&path) {
        let message = "Failed to load weights: no such folder.";
        return (StatusCode::BAD_REQUEST, Json(json!({"success": false, "message": message})));
    }
    if !*state.lies.lock().unwrap() {
        *state.current.lock().unwrap() = path;
    }
    (StatusCode::OK, Json(json!({"success": true, "message": "Succeeded to update model weights."})))
}

async fn pass_on(State(state): State<Arc<Sglang>>, Json(body): Json<Value>) -> Json<Value> {
    let current = state.current.lock().unwrap().clone();
    Json(state.models[&current].post("/v1/completions", &body).await.unwrap())
}

#[test]
fn whole_weights_go_in_by_sglangs_endpoint_and_a_server_that_keeps_the_old_ones_gives_no_rollout() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first", "second", "third"].map(|name| folder.path().join(name));
    for (seed, path) in (1..).zip(&paths) {
        write_model(path, seed);
    }
    let served: Vec<Served> = paths[..2].iter().map(|path| Served::start(path, "darwin")).collect();
    let client = |served: &Served| Client::new(server(&served.url)).unwrap();
    let models = paths.iter().cloned().zip(served.iter().map(client)).collect();
    let state = Arc::new(Sglang { models, current: Mutex::new(paths[0].clone()), lies: Mutex::new(false) });
    let runtime = runtime();
    let router = axum::Router::new()
        .route("/update_weights_from_disk", post(update))
        .route("/v1/completions", post(pass_on))
        .with_state(Arc::clone(&state));
    let url = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(galapagos_telemetry::spawn_task("sglang", async move { axum::serve(listener, router).await }));
        url
    });

    let mut remote = engine(&runtime, &url, Update::Endpoint);
    for path in [&paths[1], &paths[0]] {
        let asked = batch(&checkpoint(path));
        assert_eq!(remote.generate(&asked, &Watch::nobody()).unwrap(), made_here(asked, None));
    }
    *state.lies.lock().unwrap() = true;
    let error = remote.generate(&batch(&checkpoint(&paths[1])), &Watch::nobody()).unwrap_err();
    assert!(matches!(error, EngineError::Remote { .. }) && chain(&error).contains("does not serve version"), "{error}");
    let error = remote.generate(&batch(&checkpoint(&paths[2])), &Watch::nobody()).unwrap_err();
    assert!(chain(&error).contains("Failed to load weights: no such folder."), "{}", chain(&error));
}
