//! `make check-vllm`: the remote engine against a real vLLM server with SmolLM2 and adapters that are loaded while it runs.
//!
//! `check_vllm PYTHON MODEL FOLDER`: a Python with vLLM, the model's folder, and a folder for adapters, the server's log and its
//! process id. Prints one line per check; fails if one does. The server ends with this process.
#![expect(clippy::unwrap_used, reason = "a test that is run by hand")]

#[path = "../../tests/serve/adapter_folder.rs"]
mod adapter_folder;
mod policy;
mod talk;
mod vllm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use galapagos_domain::recipe::guide::Guide;
use galapagos_telemetry::{ErrorChain, clock};
use galapagos_worker::engine::conversation::Speaker;
use galapagos_worker::engine::openai::client::{Client, Server};
use galapagos_worker::engine::openai::update::{Update, adapter_name};
use galapagos_worker::engine::openai::{OpenAiEngine, Options, probe};
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{CheckpointDir, Engine, Watch};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use adapter_folder::write_adapter;
use policy::{batch, judge};
use vllm::{NAME, Vllm};

/// What a check says when it passed, or why it failed.
type Verdict = Result<String, String>;

/// Tries of a request; with the pauses between them a dead server is given up after about 8 seconds.
const TRIES: u32 = 6;

/// Longest time until a dead server is given up: the pauses, and as much again for a busy machine.
const GIVE_UP_LIMIT_MS: u64 = 30_000;

struct Bench {
    runtime: Runtime,
    url: String,
    base: CheckpointDir,
    adapters: Vec<CheckpointDir>,
    failed: Vec<&'static str>,
}

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [python, model, folder] = arguments.as_slice() else {
        eprintln!("usage: check_vllm PYTHON MODEL FOLDER");
        return ExitCode::from(2);
    };
    match run(python, model, folder) {
        Ok(failed) if failed.is_empty() => {
            println!("check-vllm: all checks passed");
            ExitCode::SUCCESS
        }
        Ok(failed) => {
            println!("check-vllm: FAILED: {}; the server's log is {}", failed.join(", "), vllm::log(folder).display());
            ExitCode::FAILURE
        }
        Err(problem) => {
            println!("check-vllm: FAILED before the first check: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(python: &Path, model: &Path, folder: &Path) -> Result<Vec<&'static str>, String> {
    let mut local = TchEngine::new().standing_on(Some(model.to_owned()));
    let mut adopt = |path: &Path| {
        let weights = local.inspect(path).map_err(|error| chain(&error))?;
        Ok::<_, String>(CheckpointDir { checkpoint: weights, weights, path: path.to_owned(), base: None })
    };
    let base = adopt(model)?;
    let mut adapters = Vec::new();
    // The third one hardly differs from the base.
    for (seed, bound) in (1..).zip([0.1, 0.1, 0.02]) {
        let path = folder.join(format!("adapter-{seed}"));
        write_adapter(model, &path, seed, bound);
        adapters.push(adopt(&path)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let from = clock::monotonic_ms();
    let mut server = Vllm::start(python, model, folder)?;
    let client = Client::new(at(server.url())).map_err(|error| chain(&error))?;
    runtime.block_on(server.ready(&client))?;
    println!("check-vllm: vLLM {} serves after {} s", server.version(&runtime), seconds_since(from));
    let mut bench = Bench { runtime, url: server.url().to_owned(), base, adapters, failed: Vec::new() };
    bench.versions(&mut local);
    bench.wrong_versions();
    bench.optional_fields(&mut local, &client);
    bench.conversations(&mut local, folder);
    bench.dying_server(&mut local, &mut server);
    Ok(bench.failed)
}

fn at(url: &str) -> Server {
    Server { url: url.to_owned(), ca: None, key: None, timeout: Duration::from_secs(300), tries: TRIES }
}

fn chain(error: &dyn std::error::Error) -> String {
    ErrorChain::new(error).to_string()
}

/// What the version check found, out of the whole chain of its error.
fn finding(chain: &str) -> Option<&str> {
    let (_, after) = chain.split_once("does not serve version ")?;
    let (_, finding) = after.split_once(": ")?;
    finding.split("; nothing was taken").next()
}

fn seconds_since(from: u64) -> u64 {
    (clock::monotonic_ms() - from) / 1000
}

impl Bench {
    fn check(&mut self, name: &'static str, check: impl FnOnce(&Self) -> Verdict) {
        let from = clock::monotonic_ms();
        let (word, said) = match check(self) {
            Ok(said) => ("ok", said),
            Err(said) => {
                self.failed.push(name);
                ("FAILED", said)
            }
        };
        println!("check-vllm: {word:<6} {name}: {said} ({} s)", seconds_since(from));
    }

    fn engine(&self, update: Update) -> OpenAiEngine {
        let client = Arc::new(Client::new(at(&self.url)).unwrap());
        let options = Options { model: NAME.to_owned(), update, base: Some(self.base.path.clone()) };
        OpenAiEngine::new(options, client, self.runtime.handle().clone())
    }

    /// Rollouts of `version`, whose tokens and log-probabilities are those that `local` computes for it.
    fn rollouts(engine: &mut OpenAiEngine, local: &mut TchEngine, version: &CheckpointDir) -> Verdict {
        let asked = batch(local, version, 24)?;
        let made = engine.generate(&asked, &Watch::nobody()).map_err(|error| chain(&error))?;
        let said = judge(local, &asked, &made)?;
        if !version.is_adapter() {
            return Ok(said);
        }
        let (_, here) = local.probe(version, probe::sequences).map_err(|error| chain(&error))?;
        let (_, base) = local.probe_base(version, probe::sequences).map_err(|error| chain(&error))?;
        let difference: f64 = here.iter().zip(&base).map(|(here, base)| (here - base).abs()).sum();
        Ok(format!("{said}; it is {:.4} nats from the base", difference / here.len() as f64))
    }

    fn versions(&mut self, local: &mut TchEngine) {
        self.check("(a) base, update `fixed`", |bench| {
            Self::rollouts(&mut bench.engine(Update::Fixed), local, &bench.base)
        });
        let mut engine = self.engine(Update::Adapter);
        for (name, place) in
            [("(b) adapter 1 loaded at runtime", 0), ("(c) adapter 2 loaded at runtime", 1), ("(c) adapter 1 again", 0)]
        {
            self.check(name, |bench| Self::rollouts(&mut engine, local, &bench.adapters[place]));
        }
        self.check("(c) the base under the adapter way", |bench| Self::rollouts(&mut engine, local, &bench.base));
    }

    fn wrong_versions(&mut self) {
        let wrong = |engine: &mut OpenAiEngine, local: &mut TchEngine, version: &CheckpointDir| {
            let asked = batch(local, version, 8)?;
            match engine.generate(&asked, &Watch::nobody()) {
                Ok(made) => Err(format!("{} rollouts of a wrong version were taken", made.len())),
                Err(error) => match finding(&chain(&error)) {
                    Some(finding) => Ok(format!("refused: {finding}")),
                    None => Err(format!("refused for another reason: {}", chain(&error))),
                },
            }
        };
        let mut local = TchEngine::new().standing_on(Some(self.base.path.clone()));
        self.check("(d) adapter 2 served under adapter 3's name", |bench| {
            let mut engine = bench.engine(Update::Adapter);
            Self::rollouts(&mut engine, &mut local, &bench.adapters[1])?;
            let third = &bench.adapters[2];
            let body = json!({"lora_name": adapter_name(third), "lora_path": bench.adapters[1].path});
            let client = Client::new(at(&bench.url)).map_err(|error| chain(&error))?;
            bench.runtime.block_on(client.post("/v1/load_lora_adapter", &body)).map_err(|error| chain(&error))?;
            let refused = wrong(&mut engine, &mut local, third)?;
            // Mended at the server, it is the right one.
            let unload = json!({"lora_name": adapter_name(third)});
            bench.runtime.block_on(client.post("/v1/unload_lora_adapter", &unload)).map_err(|error| chain(&error))?;
            let said = Self::rollouts(&mut engine, &mut local, third)?;
            Ok(format!("{refused}; mended: {said}"))
        });
        for (name, place) in [
            ("(d) the base served where adapter 1 is asked for, update `fixed`", 0),
            ("(d) the base served where adapter 3, close to it, is asked for", 2),
        ] {
            self.check(name, |bench| wrong(&mut bench.engine(Update::Fixed), &mut local, &bench.adapters[place]));
        }
    }

    /// Fields beyond OpenAI's that vLLM takes, on the wire.
    fn optional_fields(&mut self, local: &mut TchEngine, client: &Client) {
        let mut ask = |bench: &Self, fields: Value| -> Result<Vec<u64>, String> {
            let asked = batch(local, &bench.base, 12)?;
            let prompt = [asked.prefix, asked.requests[0].prompt.clone()].concat();
            let mut body = json!({"model": NAME, "prompt": prompt, "max_tokens": 12, "return_token_ids": true});
            for (name, value) in fields.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            let answer =
                bench.runtime.block_on(client.post("/v1/completions", &body)).map_err(|error| chain(&error))?;
            let tokens = answer.pointer("/choices/0/token_ids").and_then(Value::as_array).cloned().unwrap_or_default();
            Ok(tokens.iter().filter_map(Value::as_u64).collect())
        };
        self.check("(e) top_k 1 is greedy", |bench| {
            let greedy = ask(bench, json!({"temperature": 0.0}))?;
            let first = ask(bench, json!({"temperature": 1.0, "top_k": 1, "seed": 5}))?;
            let same = greedy == first && !greedy.is_empty();
            if same { Ok(format!("{} tokens", greedy.len())) } else { Err(format!("{greedy:?} and {first:?}")) }
        });
        let mut decoder = TchEngine::new();
        self.check("(e) guided by a regular expression", |bench| {
            let guided = json!({"temperature": 1.0, "seed": 5, "structured_outputs": {"regex": "[0-9]{2}x"}});
            let tokens: Vec<u32> = ask(bench, guided)?.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
            let codec = decoder.codec(&bench.base).map_err(|error| chain(&error))?;
            let text = codec.decode(&tokens).map_err(|error| chain(&error))?;
            let fits = text.len() == 3 && text.ends_with('x') && text[..2].parse::<u8>().is_ok();
            if fits { Ok(format!("{text:?}")) } else { Err(format!("{text:?}")) }
        });
    }

    /// Conversations with a version, with whatever has the model's name, and with a version of another template.
    fn conversations(&mut self, local: &mut TchEngine, folder: &Path) {
        let mut engine = self.engine(Update::Fixed);
        let version = self.base.clone();
        self.check("(f) a conversation with the base", |_| {
            let asked = talk::questions(Speaker::Version(version.clone()), None);
            let replies = engine.chat(&asked, &Watch::nobody()).map_err(|error| chain(&error))?;
            talk::compare(local, &version, &replies)
        });
        self.check("(f) a conversation by the model's name, guided", |_| {
            let choices = ["yes", "no"].map(str::to_owned).to_vec();
            let asked = talk::questions(Speaker::Named(NAME.to_owned()), Some(Guide::Choice(choices)));
            let replies = engine.chat(&asked, &Watch::nobody()).map_err(|error| chain(&error))?;
            // The engine has checked each against the guide.
            let said: Vec<String> =
                replies.iter().map(|reply| format!("{} said {}", reply.model, reply.text)).collect();
            Ok(said.join(", "))
        });
        self.check("(f) a conversation with a version of another chat template", |bench| {
            let other = talk::with_another_template(&bench.base, &folder.join("template"))?;
            // An engine that has not seen the base: it knows checkpoints by their digests.
            match bench.engine(Update::Fixed).chat(&talk::questions(Speaker::Version(other), None), &Watch::nobody()) {
                Err(error) if chain(&error).contains("chat template") => Ok(format!("refused: {}", chain(&error))),
                Err(error) => Err(format!("refused for another reason: {}", chain(&error))),
                Ok(replies) => Err(format!("{} replies to another question were taken", replies.len())),
            }
        });
    }

    /// The server is killed in the middle of a batch: an error in good time, and nothing of the batch.
    fn dying_server(&mut self, local: &mut TchEngine, server: &mut Vllm) {
        self.check("(g) server killed in the middle of a batch", |bench| {
            let asked = batch(local, &bench.base, 1024)?;
            // No stop rule: every completion runs to its end.
            let asked = galapagos_worker::engine::Batch { stop: Vec::new(), ..asked };
            let result = Arc::new(Mutex::new(None));
            let (mut engine, told) = (bench.engine(Update::Fixed), Arc::clone(&result));
            let thread = galapagos_telemetry::spawn_thread("batch", move || {
                *told.lock().unwrap() = Some(engine.generate(&asked, &Watch::nobody()));
            });
            let thread = thread.map_err(|error| chain(&error))?;
            server.wait_until_running(&bench.runtime)?;
            server.kill();
            let killed = clock::monotonic_ms();
            thread.join().map_err(|error| chain(&error))?;
            let took = clock::monotonic_ms() - killed;
            let said = result.lock().unwrap().take();
            match said {
                Some(Err(error)) if chain(&error).contains("failed 6 times") && took < GIVE_UP_LIMIT_MS => {
                    Ok(format!("{:.1} s after the kill: {}", took as f64 / 1000.0, chain(&error)))
                }
                Some(Err(error)) => Err(format!("{took} ms after the kill: {}", chain(&error))),
                Some(Ok(made)) => Err(format!("{} rollouts came from a dead server", made.len())),
                None => Err("the batch's thread gave nothing".to_owned()),
            }
        });
    }
}
