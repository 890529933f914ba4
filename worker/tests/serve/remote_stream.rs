//! Streams at a server: what is under way holds no other, tokens are those of batches, and nothing is handed over of a wrong version.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Uri;
use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;
use galapagos_worker::engine::stream::{Asked, Continue, Given, Stop, Stream, Wanted};
use galapagos_worker::engine::{CheckpointDir, EngineHandle, Watch};
use serde_json::Value;
use tokio::sync::Notify;

use crate::engines::{batch, chain, checkpoint, engine_on, made_here, runtime};
use crate::process::{Served, write_model};

/// A server in front of others: completions of `held` tokens wait until they are let go, and all calls go to the second address from
/// when they are turned.
struct Between {
    url: String,
    go: Arc<Notify>,
    turned: Arc<AtomicBool>,
}

async fn between(first: String, second: String, held: u64) -> Between {
    let (go, turned) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (wait, which) = (Arc::clone(&go), Arc::clone(&turned));
    let forward = move |uri: Uri, axum::Json(body): axum::Json<Value>| {
        let to = if which.load(Ordering::SeqCst) { &second } else { &first };
        let (url, wait) = (format!("{to}{}", uri.path()), Arc::clone(&wait));
        async move {
            if body["max_tokens"] == held {
                wait.notified().await;
            }
            let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
            axum::Json(answer.json::<Value>().await.unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(forward);
    drop(galapagos_telemetry::spawn_task("between", async move { axum::serve(listener, router).await }));
    Between { url, go, turned }
}

/// Three samples behind a prompt, as request `id` of [`batch`] asks for them.
fn asked(id: u64, checkpoint: &Arc<CheckpointDir>, max_tokens: u32) -> Asked {
    let sampling = Arc::new(Sampling { top_p: 0.95, ..Sampling::at(1.0) });
    let stop = Arc::new(Stop { tokens: vec![1, 9], terminator: None, texts: Vec::new() });
    let prompt = vec![3, 4, 2 + u32::try_from(id).unwrap() % 7, 5, 6];
    let what = Continue { prompt, samples: 3, seed: Seed(id * 2), sampling, stop, max_tokens };
    Asked { id, checkpoint: Arc::clone(checkpoint), what: Wanted::Completions(what) }
}

fn ask(stream: &Stream, asked: Asked) {
    let mut early = VecDeque::new();
    stream.ask(asked, &mut early).unwrap();
    assert!(early.is_empty());
}

#[test]
fn a_slow_answer_holds_no_other_and_all_are_those_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let runtime = runtime();
    let between = runtime.block_on(between(served.url.clone(), served.url.clone(), 13));
    let (calls, url) = (runtime.handle().clone(), between.url.clone());
    let engine = EngineHandle::start(move || Box::new(engine_on(&calls, &url))).unwrap();
    let checkpoint = Arc::new(checkpoint(folder.path()));
    let stream = engine.stream(Watch::nobody()).unwrap();
    ask(&stream, asked(9, &checkpoint, 13));
    // What comes behind is asked, made and asked again while the first one waits.
    let here = made_here(batch(&checkpoint), None);
    for id in 0..5 {
        ask(&stream, asked(id, &checkpoint, 12));
        let (came, Given::Completions(made)) = stream.answer().unwrap() else { panic!() };
        assert_eq!(came, id);
        let place = usize::try_from(id).unwrap() * 3;
        let tokens = |made: &[galapagos_worker::engine::Completion]| {
            made.iter().map(|one| one.tokens.clone()).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&made), tokens(&here[place..place + 3]));
    }
    between.go.notify_one();
    assert_eq!(stream.answer().unwrap().0, 9);
    stream.finish().unwrap();
}

#[test]
fn nothing_is_handed_over_once_another_version_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    write_model(&first, 1);
    write_model(&second, 2);
    let (served, other) = (Served::start(&first, "darwin"), Served::start(&second, "darwin"));
    let runtime = runtime();
    let between = runtime.block_on(between(served.url.clone(), other.url.clone(), 0));
    let (calls, url) = (runtime.handle().clone(), between.url.clone());
    let engine = EngineHandle::start(move || Box::new(engine_on(&calls, &url))).unwrap();
    let checkpoint = Arc::new(checkpoint(&first));
    let stream = engine.stream(Watch::nobody()).unwrap();
    ask(&stream, asked(0, &checkpoint, 12));
    assert_eq!(stream.answer().unwrap().0, 0);
    between.turned.store(true, Ordering::SeqCst);
    ask(&stream, asked(1, &checkpoint, 12));
    let error = stream.answer().unwrap_err();
    let said = chain(&error);
    assert!(said.contains("does not serve version") && said.contains("nothing was taken"), "{said}");
}
