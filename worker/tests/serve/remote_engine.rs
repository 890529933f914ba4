//! The remote engine: the same tokens as the built-in one, and no rollout from a wrong version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::seed::Seed;
use galapagos_worker::engine::openai::client::{Client, ClientError, Server};
use galapagos_worker::engine::openai::update::Update;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{Batch, CheckpointDir, Engine, EngineError, Watch};
use serde_json::{Value, json};

use crate::engines::{batch, checkpoint, choice, deaf, engine, runtime, schema, server};
use crate::process::{Served, write_model};

#[test]
fn a_servers_tokens_are_those_of_the_built_in_engine_and_another_version_gives_none() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    write_model(&first, 1);
    write_model(&second, 2);
    let served = Served::start(&first, "darwin");
    let runtime = runtime();
    let mut remote = engine(&runtime, &served.url, Update::Fixed);

    let mut asked = batch(&checkpoint(&first));
    let over_the_wire = remote.generate(&asked, &Watch::nobody()).unwrap();
    for request in &mut asked.requests {
        request.seed = Seed(request.seed.0 >> 1);
    }
    let here = TchEngine::new().generate(&asked, &Watch::nobody()).unwrap();
    assert_eq!(over_the_wire.len(), 15);
    for (there, here) in over_the_wire.iter().zip(&here) {
        assert_eq!(there.tokens, here.tokens);
        assert_eq!(there.log_probs, here.log_probs);
    }

    let error = remote.generate(&batch(&checkpoint(&second)), &Watch::nobody()).unwrap_err();
    let said = galapagos_telemetry::ErrorChain::new(&error).to_string();
    assert!(matches!(error, EngineError::Remote { .. }), "{said}");
    assert!(said.contains("does not serve version") && said.contains("nothing was taken"), "{said}");
}

/// The alphabet's `x`, which ends answers here, and end-of-sequence.
const ENDS: [u32; 2] = [1, 13];

/// [`batch`] under `guide`; an `x` ends an answer.
fn guided(checkpoint: &CheckpointDir, guide: Guide) -> Batch {
    let mut batch = batch(checkpoint);
    let sampling = Arc::new(Sampling { guide: Some(guide), top_k: Some(12), min_p: 0.001, ..Sampling::at(1.3) });
    batch.requests.iter_mut().for_each(|request| request.sampling = Arc::clone(&sampling));
    Batch { stop: ENDS.to_vec(), terminator: Some('x'), ..batch }
}

#[test]
fn a_guide_over_the_wire_gives_the_tokens_it_gives_here() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let runtime = runtime();
    let mut remote = engine(&runtime, &served.url, Update::Fixed);
    let checkpoint = checkpoint(folder.path());
    for guide in [choice(), Guide::Regex("[0-9]{2,4}".to_owned())] {
        let mut asked = guided(&checkpoint, guide.clone());
        let there = remote.generate(&asked, &Watch::nobody()).unwrap();
        for request in &mut asked.requests {
            request.seed = Seed(request.seed.0 >> 1);
        }
        let here = TchEngine::new().generate(&asked, &Watch::nobody()).unwrap();
        assert_eq!(there, here, "{guide:?}");
        assert!(here.iter().all(|made| ENDS.contains(made.tokens.last().unwrap())), "{guide:?}");
    }
    // These two end otherwise there, but what they say is checked all the same.
    for guide in [schema(), Guide::Lark("start: \"a\" \"b\"+ /[0-9]/".to_owned())] {
        remote.generate(&guided(&checkpoint, guide), &Watch::nobody()).unwrap();
    }
}

#[test]
fn a_server_that_leaves_the_guide_out_gives_no_rollout() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let runtime = runtime();
    let url = runtime.block_on(deaf(served.url.clone(), "structured_outputs"));
    let mut remote = engine(&runtime, &url, Update::Fixed);
    let checkpoint = checkpoint(folder.path());
    remote.generate(&batch(&checkpoint), &Watch::nobody()).unwrap();
    for (guide, name) in [(choice(), "choice: "), (schema(), "json_schema: ")] {
        let error = remote.generate(&guided(&checkpoint, guide), &Watch::nobody()).unwrap_err();
        let said = galapagos_telemetry::ErrorChain::new(&error).to_string();
        assert!(said.contains(name) && said.contains("does not hold completions"), "{said}");
        assert!(said.contains("vLLM from 0.12") && said.contains("nothing was taken"), "{said}");
    }
    // What cannot be compiled is refused before anything is asked.
    let broken = guided(&checkpoint, Guide::Regex("(".to_owned()));
    assert!(matches!(remote.generate(&broken, &Watch::nobody()), Err(EngineError::Guide { .. })));
}

#[test]
fn a_hook_that_fails_is_an_error_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let hook = folder.path().join("hook");
    std::fs::write(&hook, "#!/bin/sh\necho no room for \"$1\" >&2\nexit 3\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    let runtime = runtime();
    let update = Update::Hook { program: hook.display().to_string() };
    let mut remote = engine(&runtime, "http://127.0.0.1:9", update);
    let error = remote.generate(&batch(&checkpoint(folder.path())), &Watch::nobody()).unwrap_err();
    let said = galapagos_telemetry::ErrorChain::new(&error).to_string();
    assert!(said.contains("no room for") && said.contains("exit status: 3"), "{said}");
}

/// A server that answers with `statuses` in turn, then with success. Gives its address and the number of calls it had.
async fn flaky(statuses: &'static [u16]) -> (String, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let answer = move || async move {
        let call = counted.fetch_add(1, Ordering::SeqCst) as usize;
        let status = statuses.get(call).map_or(StatusCode::OK, |status| StatusCode::from_u16(*status).unwrap());
        (status, [("retry-after", "0")], axum::Json(json!({"error": {"message": "the moon"}, "fine": true})))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/call", post(answer));
    drop(galapagos_telemetry::spawn_task("flaky", async move { axum::serve(listener, router).await }));
    (url, calls)
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    runtime().block_on(async {
        let call = |url: String| async move { Client::new(server(&url)).unwrap().post("/call", &Value::Null).await };

        let (url, calls) = flaky(&[503, 429]).await;
        assert_eq!(call(url).await.unwrap()["fine"], true);
        assert_eq!(calls.load(Ordering::SeqCst), 3);

        let (url, calls) = flaky(&[500, 500, 500, 500, 500]).await;
        let error = call(url).await.unwrap_err();
        assert!(
            matches!(error, ClientError::GaveUp { tries: 4, .. }) && error.to_string().contains("the moon"),
            "{error}"
        );
        assert_eq!(calls.load(Ordering::SeqCst), 4);

        let (url, calls) = flaky(&[400]).await;
        let error = call(url).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }) && error.to_string().contains("the moon"), "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_server_that_never_answers_is_given_up_after_its_time() {
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // The system takes the connections; nobody reads them.
        let patience = Server { timeout: Duration::from_millis(100), tries: 2, ..server(&url) };
        let error = Client::new(patience).unwrap().post("/call", &Value::Null).await.unwrap_err();
        assert!(matches!(error, ClientError::GaveUp { tries: 2, .. }), "{error}");
        assert!(error.to_string().contains("timed out"), "{error}");
        drop(listener);
    });
}

#[test]
fn an_address_that_cannot_be_used_is_refused_before_any_call() {
    for url in ["ftp://h", "https://h/v1", "https://", "h:80", "http://", "http://h/v1"] {
        assert!(matches!(Client::new(server(url)), Err(ClientError::Url { .. })), "{url}");
    }
}
