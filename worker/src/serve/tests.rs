//! A server whose engine fails: every request is told, and a dead engine ends the server.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use galapagos_model::engine::EngineError;
use galapagos_model::{Decoder, Sampling, Tokenizer};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::adapters::AdapterChange;
use super::api::error::ApiError;
use super::api::response::Part;
use super::line::{Ask, Letter, News, Work};
use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const CAUSE: &str = "the last page is on fire";

fn tokenizer() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::characters("0123456789 ").unwrap())
}

fn config(tokenizer: &Tokenizer) -> ModelConfig {
    ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 16,
        max_position_embeddings: 64,
        initializer_range: 0.1,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        ..ModelConfig::default()
    }
}

fn server(work: impl Work) -> Server {
    let tokenizer = tokenizer();
    let limits = limits(&config(&tokenizer), 1);
    let line = Line::start_on(work, Arc::clone(&tokenizer)).unwrap();
    Unlined {
        names: vec!["darwin".to_owned()],
        runtime_adapters: false,
        fingerprint: "f".to_owned(),
        limits,
        tokenizer,
    }
    .with_line(line)
}

async fn listener() -> (TcpListener, String) {
    // As the engine's client does it: reqwest has no TLS of its own here.
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn post(url: String, stream: bool) -> (u16, String) {
    let asked = json!({"model": "darwin", "prompt": [2, 3], "max_tokens": 9, "stream": stream});
    let answer = reqwest::Client::new().post(url + "/v1/completions").json(&asked).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Panics in a step once it holds two requests, each of which has heard one token.
struct DiesInAStep(Vec<Letter>);

impl Work for DiesInAStep {
    fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, letter: Letter) {
        letter.news.try_send(News::Part(Part { text: "7".to_owned(), ..Part::default() })).unwrap();
        self.0.push(letter);
    }

    fn change_adapter(&mut self, _: &AdapterChange) -> Result<(), ApiError> {
        panic!("no test asks for it")
    }

    fn step(&mut self) -> Result<(), String> {
        assert!(self.0.len() < 2, "{CAUSE}");
        std::thread::yield_now();
        Ok(())
    }

    fn abandon(&mut self, error: &ApiError) {
        for letter in self.0.drain(..) {
            letter.news.try_send(News::Failed(error.clone())).unwrap();
        }
    }
}

#[test]
fn a_panic_of_the_engine_is_told_to_all_and_ends_the_server_as_an_error() {
    let ended = runtime().block_on(async {
        let (listener, url) = listener().await;
        let serving = answer(listener, server(DiesInAStep(Vec::new())), std::future::pending());
        let asking = async { tokio::join!(post(url.clone(), false), post(url.clone(), true)) };
        tokio::time::timeout(LIMIT, async { tokio::join!(serving, asking) }).await
    });
    let (ended, ((status, plain), (_, streamed))) = ended.expect("the server hung");
    let error: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!((status, error["error"]["type"].as_str()), (503, Some("server_error")), "{plain}");
    assert!(error["error"]["message"].as_str().unwrap().contains(CAUSE), "{plain}");
    let events: Vec<&str> = streamed.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert!(events[0].contains("\"text\":\"7\""), "{streamed}");
    let told = events.iter().find(|event| event.starts_with("{\"error\"")).expect(&streamed);
    assert!(told.contains(CAUSE) && told.contains("engine_ended"), "{told}");
    let error = ended.unwrap_err();
    assert!(matches!(error, ServeError::EngineDied { .. }) && error.to_string().contains(CAUSE), "{error}");
}

/// Never works; does this with a letter.
struct Takes(fn(Letter));

/// Loses the letter, and itself with it.
const DIES: Takes = Takes(|_| panic!("{CAUSE}"));

impl Work for Takes {
    fn is_idle(&self) -> bool {
        true
    }

    fn take(&mut self, letter: Letter) {
        (self.0)(letter);
    }

    fn change_adapter(&mut self, _: &AdapterChange) -> Result<(), ApiError> {
        panic!("no test asks for it")
    }

    fn step(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn abandon(&mut self, _: &ApiError) {}
}

#[test]
fn a_connection_outlives_a_request_to_an_unknown_address() {
    let runtime = runtime();
    let url = runtime.block_on(async {
        let (listener, url) = listener().await;
        let router = http::router(Arc::new(server(Takes(drop))));
        drop(galapagos_telemetry::spawn_task("server", async move { axum::serve(listener, router).await }));
        url
    });
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"POST /nowhere HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n").unwrap();
    // The body comes late, as from a slow client: a server that does not wait for it has answered by now.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err(), "answered without the body");
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"{}GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("404") && heard.contains("200 OK") && heard.ends_with("ok"), "{heard}");
}

#[test]
fn a_lost_request_is_answered_and_health_is_not_ok_from_then_on() {
    runtime().block_on(async {
        let (listener, url) = listener().await;
        // Without the supervision that ends it, to look at what it says meanwhile.
        let router = http::router(Arc::new(server(DIES)));
        drop(galapagos_telemetry::spawn_task("server", async move { axum::serve(listener, router).await }));
        let health = || async { reqwest::get(format!("{url}/health")).await.unwrap().status().as_u16() };
        assert_eq!(health().await, 200);
        let (status, said) = tokio::time::timeout(LIMIT, post(url.clone(), false)).await.expect("it hung");
        assert!(status == 503 && said.contains("engine_ended"), "{status} {said}");
        let unhealthy = async {
            while health().await == 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, unhealthy).await.expect("the health page still says ok");
        assert_eq!(health().await, 503);
        let (status, said) = post(url.clone(), true).await;
        assert!(status == 503 && said.contains(CAUSE), "{status} {said}");
    });
}

#[test]
fn an_error_of_a_step_is_told_and_the_desk_goes_on() {
    tch::set_num_threads(1);
    let tokenizer = tokenizer();
    let config = config(&tokenizer);
    let model = Decoder::init(config.clone(), 1, Device::Cpu).unwrap();
    let texts = Arc::new(TokenTexts::new(tokenizer).unwrap());
    let options = EngineOptions { precision: Precision::F32, kv_bytes: 1 << 20, ..EngineOptions::default() };
    let mut engine = Engine::new(&model, options).unwrap();
    engine.set_texts(Arc::clone(&texts));
    let mut desk = Desk::new(engine, texts, config.eos_token_ids, BTreeMap::new());
    let asking = |desk: &mut Desk, echo| {
        let (sender, news) = mpsc::channel(64);
        desk.take(Letter { ask: ask(echo), news: sender });
        news
    };

    let mut lost = [asking(&mut desk, false), asking(&mut desk, true)];
    desk.step().unwrap();
    desk.stepped(failure()).unwrap();
    assert!(desk.is_idle());
    for news in &mut lost {
        let heard: Vec<News> = std::iter::from_fn(|| news.try_recv().ok()).collect();
        let Some(News::Failed(error)) = heard.last() else { panic!("{heard:?}") };
        assert_eq!(error.status().as_u16(), 500);
        assert!(error.body().to_string().contains("this is a defect"), "{}", error.body());
    }

    let mut next = asking(&mut desk, false);
    while !desk.is_idle() {
        desk.step().unwrap();
    }
    let heard: Vec<News> = std::iter::from_fn(|| next.try_recv().ok()).collect();
    assert!(matches!(heard.last(), Some(News::Part(Part { finish: Some(_), .. }))), "{heard:?}");

    // The good steps count: it takes three failures in a row to give the engine up.
    desk.stepped(failure()).unwrap();
    desk.stepped(failure()).unwrap();
    let why = desk.stepped(failure()).unwrap_err();
    assert!(why.contains("3 times in a row") && why.contains("this is a defect"), "{why}");
}

fn failure() -> Result<Vec<galapagos_model::Event>, EngineError> {
    Err(EngineError::Stuck { active: 2, waiting: 0 })
}

fn ask(echo: bool) -> Ask {
    Ask {
        prompt: vec![2, 3, 4],
        samples: 1,
        sampling: Sampling::GREEDY,
        max_new_tokens: 6,
        stop_tokens: Vec::new(),
        stop_strings: Vec::new(),
        seed: 1,
        guide: None,
        top_log_probs: 0,
        adapter: None,
        echo,
    }
}
