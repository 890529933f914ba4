//! Servers that die, hang, raise, lie, lose an answer or speak another version: always a typed error, never a reward.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use galapagos_domain::seed::Seed;
use galapagos_worker::env::http::{HttpServer, Options};
use galapagos_worker::env::{EnvError, Environment, Episode, Start};
use serde_json::json;

use crate::process::{Server, connect, impatient, runtime};

#[test]
fn a_killed_server_is_dead_and_the_episode_goes_on_at_another() {
    let runtime = runtime();
    let mut first = Server::start(&["games:HigherLower"]);
    let client = connect(&first.url, &runtime);
    let mut episode = Episode::begin(Box::new(client.environment()), Start::new(Seed(3))).unwrap();
    episode.step(&[Some("2000")]).unwrap();
    episode.step(&[Some("1000")]).unwrap();
    first.kill();
    let error = episode.step(&[Some("500")]).unwrap_err();
    assert!(matches!(error, EnvError::Dead { .. }) && error.may_pass(), "{error}");
    assert_eq!(episode.log().len(), 2, "what failed is no turn");
    let error = HttpServer::connect(Options::new(&*first.url), runtime.handle().clone()).unwrap_err();
    assert!(matches!(error, EnvError::Dead { .. }), "{error}");

    let second = Server::start(&["games:HigherLower"]);
    let other = connect(&second.url, &runtime);
    let mut episode = Episode::resume(Box::new(other.environment()), episode.save_for_replay()).unwrap();
    episode.step(&[Some("500")]).unwrap();
    assert_eq!(episode.log().len(), 3);
    episode.prove(&mut other.environment()).unwrap();
}

#[test]
fn a_hanging_server_is_a_timeout_and_a_new_session_works() {
    let runtime = runtime();
    let server = Server::start(&["games:Unruly"]);
    drop(connect(&server.url, &runtime));
    let deadline = Duration::from_millis(1500);
    let client = HttpServer::connect(impatient(&server.url, deadline), runtime.handle().clone()).unwrap();
    let mut environment = client.environment();
    environment.reset(&Start::new(Seed(1))).unwrap();
    let error = environment.step(&[Some("hang")]).unwrap_err();
    assert!(matches!(error, EnvError::Timeout { call: "step", waited_ms: 1500, .. }), "{error}");
    // The step may be asked for again, and the session is still at work on it.
    let busy = environment.step(&[Some("hang")]).unwrap_err();
    assert!(matches!(busy, EnvError::Timeout { .. } | EnvError::Busy { .. }), "{busy}");
    assert_eq!(environment.reset(&Start::new(Seed(1))).unwrap(), ["0"]);
    assert_eq!(environment.step(&[Some("go")]).unwrap().observations, ["1"]);
}

#[test]
fn what_an_environment_raises_is_its_failure() {
    let runtime = runtime();
    let server = Server::start(&["games:Unruly"]);
    let client = connect(&server.url, &runtime);
    let mut environment = client.environment();
    environment.reset(&Start::new(Seed(1))).unwrap();
    let error = environment.step(&[Some("raise")]).unwrap_err();
    assert!(error.to_string().contains("RuntimeError: the engine overheated"), "{error}");
    let after = environment.step(&[Some("go")]).unwrap_err();
    assert!(after.to_string().contains("broke off"), "nobody knows how far it got: {after}");
    environment.reset(&Start::new(Seed(1))).unwrap();
    let score = environment.step(&[Some("score")]).unwrap_err();
    assert!(matches!(&score, EnvError::Failed { problem, .. } if problem.contains("between 0 and 1")), "{score}");
    let refused = Start { config: json!({"refuse": true}).as_object().cloned().unwrap(), ..Start::new(Seed(1)) };
    assert!(matches!(environment.reset(&refused), Err(EnvError::Failed { call: "reset", .. })));
    assert!(matches!(environment.step(&[Some("go")]), Err(EnvError::Order { .. })));
}

#[test]
fn calls_from_a_task_are_refused_instead_of_panicking() {
    let runtime = runtime();
    let server = Server::start(&["games:Unruly"]);
    let mut environment = connect(&server.url, &runtime).environment();
    let error = runtime.block_on(async { environment.reset(&Start::new(Seed(1))) }).unwrap_err();
    assert!(matches!(error, EnvError::Order { .. }), "{error}");
}

/// Reads one HTTP message whole.
fn message(stream: &mut TcpStream) -> Vec<u8> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return read;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return read,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Answers connections, one after the other, by `answer` of the request; `None` breaks the connection. Ends with the test's process.
fn listen(mut answer: impl FnMut(Vec<u8>) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = message(&mut stream);
            if let Some(answer) = answer(request) {
                stream.write_all(&answer).unwrap();
            }
            drop(stream.shutdown(Shutdown::Both));
        }
    };
    drop(galapagos_telemetry::spawn_thread("test-listener", serve).unwrap());
    url
}

#[test]
fn a_step_whose_answer_was_lost_is_not_applied_twice() {
    let runtime = runtime();
    let server = Server::start(&["games:Unruly"]);
    let upstream = server.url.trim_start_matches("http://").to_owned();
    let mut lost = 0;
    let url = listen(move |request| {
        let mut to = TcpStream::connect(&upstream).unwrap();
        to.write_all(&request).unwrap();
        let answer = message(&mut to);
        let is_step = request.starts_with(b"POST /v1/step");
        lost += usize::from(is_step);
        // The server has done it; every other answer gets lost.
        (!is_step || lost % 2 == 0).then_some(answer)
    });
    let mut environment = connect(&url, &runtime).environment();
    environment.reset(&Start::new(Seed(1))).unwrap();
    let counted: Vec<String> =
        (0..3).map(|_| environment.step(&[Some("go")]).unwrap().observations.remove(0)).collect();
    assert_eq!(counted, ["1", "2", "3"]);
}

fn says(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn other_versions_and_other_servers_are_told() {
    let runtime = runtime();
    let connect = |answer: Vec<u8>| {
        let url = listen(move |_| Some(answer.clone()));
        HttpServer::connect(Options::new(url), runtime.handle().clone()).unwrap_err()
    };
    let newer = connect(says("200 OK", r#"{"protocol": 2, "environment": "x", "max_batch": 1}"#));
    assert!(matches!(&newer, EnvError::Protocol { problem, .. } if problem.contains("version 2")), "{newer}");
    assert!(matches!(connect(says("200 OK", "<html>")), EnvError::Protocol { .. }));
    assert!(matches!(connect(says("404 Not Found", "{}")), EnvError::Protocol { .. }));
    assert!(matches!(connect(says("502 Bad Gateway", "away")), EnvError::Dead { .. }));
    assert!(matches!(connect(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{".to_vec()), EnvError::Dead { .. }));
    for url in ["localhost:80", "http://", "ftp://x"] {
        let error = HttpServer::connect(Options::new(url), runtime.handle().clone()).unwrap_err();
        assert!(matches!(error, EnvError::Config { .. }), "{error}");
    }
}
