//! The addresses of served environments, and the command that serves them until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Host, Refusal};
use crate::env::NAMES;
use crate::env::http::PROTOCOL;
use crate::serve::asked_to_end;

/// Largest body in bytes.
const LARGEST_BODY: usize = 8 << 20;

/// Threads that play; a turn of a built-in environment takes far less than a millisecond.
const THREADS: usize = 2;

/// Why environments cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    #[error("cannot listen on {address}; is another server there?")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("serving failed")]
    Io { source: std::io::Error },
}

/// Serves all built-in environments at `listen`; prints one line when it does.
///
/// # Errors
/// [`ServedError`].
pub fn run(listen: SocketAddr, out: &mut dyn Write) -> Result<(), ServedError> {
    let io = |source| ServedError::Io { source };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().map_err(io)?;
    runtime.block_on(async {
        let failed = |source| ServedError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        writeln!(out, "serving {} at http://{address}/NAME", NAMES.join(", "))
            .and_then(|()| out.flush())
            .map_err(io)?;
        let end = asked_to_end().map_err(io)?;
        axum::serve(listener, router(Arc::new(Host::default()))).with_graceful_shutdown(end).await.map_err(io)
    })
}

/// `/NAME/v1/CALL` for every environment.
pub fn router(host: Arc<Host>) -> Router {
    Router::new()
        .route(&format!("/{{environment}}/v{PROTOCOL}/info"), get(info))
        .route(&format!("/{{environment}}/v{PROTOCOL}/{{call}}"), post(call))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(host)
}

async fn nowhere(uri: Uri) -> Response {
    let known = NAMES.join(", ");
    let why = format!("nothing is at {}; use /NAME/v{PROTOCOL}/CALL with a NAME of {known}", uri.path());
    told(Err(Refusal::BadRequest(why)))
}

async fn info(Path(environment): Path<String>) -> Response {
    told(Host::info(&environment))
}

async fn call(
    State(host): State<Arc<Host>>,
    Path((environment, call)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice::<Value>(&body)
        .map_err(|error| Refusal::BadRequest(format!("the body is no JSON: {error}")));
    told(body.and_then(|body| host.call(&environment, &call, body)))
}

fn told(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => {
            let status = match refusal {
                Refusal::BadRequest(_) | Refusal::Protocol(_) => StatusCode::BAD_REQUEST,
                Refusal::NoSession(_) => StatusCode::NOT_FOUND,
                Refusal::WrongTurn { .. } => StatusCode::CONFLICT,
                Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
                Refusal::Environment(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, Json(refusal.as_json())).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::env::http::{HttpServer, Options};
    use crate::env::{EnvError, Environment, Start, builtin};
    use galapagos_domain::seed::Seed;
    use galapagos_telemetry::{TaskHandle, spawn_task};

    /// A server of this process, and the runtime that it lives on.
    fn server() -> (tokio::runtime::Runtime, TaskHandle<()>, String) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = axum::serve(listener, router(Arc::new(Host::default()))).into_future();
        let inside = runtime.enter();
        let task = spawn_task("served", async move { drop(serve.await) });
        drop(inside);
        (runtime, task, url)
    }

    #[test]
    fn a_served_environment_plays_as_the_one_here() {
        let (runtime, _serving, url) = server();
        for name in NAMES {
            let there = HttpServer::connect(Options::new(format!("{url}/{name}")), runtime.handle().clone()).unwrap();
            assert_eq!(there.name(), name);
            let (mut there, mut here) = (there.environment(), builtin(name).unwrap());
            let start = Start::new(Seed(5));
            assert_eq!(there.reset(&start).unwrap(), here.reset(&start).unwrap());
            assert_eq!((there.players(), there.max_turns()), (here.players(), here.max_turns()));
            let actions: Vec<Option<&str>> = vec![Some("up"); here.players()];
            loop {
                let (a, b) = (there.step(&actions).unwrap(), here.step(&actions).unwrap());
                assert_eq!(a, b, "{name}");
                assert_eq!(there.legal(0).unwrap(), here.legal(0).unwrap());
                assert_eq!(there.score(0).unwrap(), here.score(0).unwrap());
                if b.done.is_some() {
                    break;
                }
            }
            assert!(matches!(there.step(&actions), Err(EnvError::Order { .. })));
        }
    }

    #[test]
    fn steps_are_numbered_and_what_is_wrong_is_told() {
        let host = Host::default();
        let session = host.call("grid", "create", json!({"protocol": PROTOCOL})).unwrap()["session"].clone();
        let reset = json!({"session": session, "start": Start::new(Seed(1))});
        let first = host.call("grid", "reset", reset).unwrap();
        assert_eq!((&first["turn"], &first["players"]), (&json!(0), &json!(1)));
        let step = |turn: u32| json!({"session": session, "turn": turn, "actions": ["up"]});
        let once = host.call("grid", "step", step(1)).unwrap();
        assert_eq!(host.call("grid", "step", step(1)).unwrap(), once, "it is not played twice");
        assert_eq!(host.call("grid", "observe", json!({"session": session})).unwrap(), once);
        for (call, body, kind, part) in [
            ("step", step(3), "wrong_turn", "turn 1 was played last, turn 3"),
            ("step", json!({"session": "gone", "turn": 1, "actions": []}), "no_session", "no session `gone`"),
            ("step", json!({"session": session, "turn": 2, "actions": ["up", "up"]}), "bad_request", "2 actions"),
            ("step", json!({"session": session}), "bad_request", "missing field `turn`"),
            ("create", json!({"protocol": 7}), "protocol", "protocol 1, the client 7"),
            ("dance", json!({}), "bad_request", "no call is named `dance`"),
        ] {
            let refusal = host.call("grid", call, body).unwrap_err();
            assert_eq!(refusal.kind(), kind);
            assert!(refusal.to_string().contains(part), "{refusal}");
        }
        assert!(Host::info("chess").unwrap_err().to_string().contains("no environment is named `chess`"));
        let batch =
            host.call("grid", "batch", json!({"calls": [{"call": "observe", "session": session}, {"call": "info"}]}));
        let batch = batch.unwrap();
        assert_eq!(batch["results"][0], once, "a wrong step has changed nothing");
        assert_eq!(batch["results"][1]["error"]["kind"], "bad_request");
        host.call("grid", "close", json!({"session": session})).unwrap();
        assert_eq!(host.call("grid", "observe", json!({"session": session})).unwrap_err().kind(), "no_session");
    }
}
