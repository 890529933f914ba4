//! Episodes on the libtorch engine: token ids and log-probabilities are the policy's own over many turns; what a task finds depends on it
//! alone, in a world that slips; a server that dies or hangs gives errors, and the others go on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use galapagos_artifacts::{trajectories, trees};
use galapagos_domain::ids::{Digest, JobId};
use galapagos_domain::job::{
    CurateFrom, CurateSpec, EvaluateSpec, FailureClass, JobKind, JobOutput, JobSpec, RolloutSpec, Sampling, TaskSlice,
};
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::recipe::search::{Search, Trust};
use galapagos_domain::recipe::tasks::{Split, TaskSet};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use galapagos_domain::tree::{NodeEnd, TreeNode, TreeTurn};
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, EngineOptions, ModelConfig, Precision, RunControl, ScoreRequest, Tokenizer};
use galapagos_worker::cancel::Cancel;
use galapagos_worker::failure;
use galapagos_worker::jobs;
use galapagos_worker::jobs::meter::Meter;
use serde_json::json;
use tch::Device;

use crate::bench::Bench;
use crate::probes::commit;

/// A model that reads whatever an environment writes.
fn model() -> (Decoder, Tokenizer) {
    let alphabet: String = (' '..='~').chain(['\n']).collect();
    let tokenizer = Tokenizer::characters(&alphabet).unwrap();
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 16,
        max_position_embeddings: 2048,
        initializer_range: 0.1,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        ..ModelConfig::default()
    };
    (Decoder::init(config, 1, Device::Cpu).unwrap(), tokenizer)
}

pub struct Setting {
    pub bench: Bench,
    policy: Digest,
}

impl Setting {
    pub fn new() -> Self {
        let (bench, made) = (Bench::new(), model());
        let policy = commit(&bench, &made, &Probe::of(&made.0, None).unwrap());
        Self { bench, policy }
    }

    pub fn spec(&self, env: &serde_json::Value, search: &str, indices: std::ops::Range<u32>) -> JobKind {
        let search: Search = serde_json::from_str(search).unwrap();
        let source: TaskSet = serde_json::from_value(json!({ "env": env })).unwrap();
        let verify: Vec<Verifier> = serde_json::from_str(r#"[{"env_return": {}}]"#).unwrap();
        let set = "world".parse().unwrap();
        let tasks =
            TaskSlice { set, source, split: Split::Train, indices: indices.collect(), seed: Seed(7), proposed: None };
        let critics = BTreeMap::new();
        let (search, trust) = (Box::new(search), Trust::default());
        JobKind::Rollout(RolloutSpec { policy: self.policy, tasks, search, verify, critics, trust, grown: Vec::new() })
    }

    pub fn read(&self, output: JobOutput) -> (Vec<Trajectory>, Vec<TreeNode>) {
        let JobOutput::Rollout { trajectories: rows, trees, .. } = output else { panic!("{output:?}") };
        let get = |digest: &Digest| self.bench.runtime.block_on(self.bench.shop.store.get(digest)).unwrap();
        let nodes = trees.map_or_else(Vec::new, |trees| trees::decode(get(&trees.digest)).unwrap().0);
        (trajectories::decode(get(&rows.digest)).unwrap(), nodes)
    }

    fn run(
        &self,
        env: &serde_json::Value,
        search: &str,
        indices: std::ops::Range<u32>,
    ) -> (Vec<Trajectory>, Vec<TreeNode>) {
        self.read(self.bench.run(self.spec(env, search, indices)).unwrap())
    }
}

/// A small map on which most steps may slip.
pub fn slippery() -> serde_json::Value {
    let config = json!({"rows": 3, "columns": 4, "walls": 0.1, "slippery": 0.7});
    json!({"name": "grid", "config": config, "train": 20, "val": 5, "test": 5, "tokens": 1400, "max_tokens": 8})
}

pub const WAYS: &str = r#""guide": {"choice": ["up", "right", "down", "left"]}"#;

/// The last one is refused.
const STAYS: &str = r#""guide": {"choice": ["up", "right", "down", "left", "stay"]}"#;

fn searches() -> [String; 3] {
    [
        format!(r#"{{"env_rollout": {{"propose": {{"n": 3, {WAYS}}}, "turns": 6}}}}"#),
        format!(
            r#"{{"mcts": {{"propose": {{"n": 3, "unit": "turn", "merge": "exact", {STAYS}}}, "budget": {{"simulations": 9, "depth": 4}},
            "simulate": "one_growth", "extract": "ends", "evaluate": [{{"verifier": {{"env_return": {{}}}}, "when": "every"}}]}}}}"#
        ),
        format!(
            r#"{{"step_beam": {{"propose": {{"n": 2, "unit": "turn", {WAYS}}}, "beam": 2, "budget": {{"depth": 4}}, "extract": "ends",
            "evaluate": [{{"verifier": {{"env_return": {{}}}}, "when": "every"}}]}}}}"#
        ),
    ]
}

#[test]
fn what_a_task_finds_depends_on_it_alone_in_a_world_that_slips() {
    let setting = Setting::new();
    for search in searches() {
        let whole = setting.run(&slippery(), &search, 0..5);
        assert!(!whole.0.is_empty(), "{search}");
        let (mut rows, mut nodes) = (Vec::new(), Vec::new());
        for piece in [0..1, 1..4, 4..5] {
            let (more, grown) = setting.run(&slippery(), &search, piece);
            rows.extend(more);
            nodes.extend(grown);
        }
        assert_eq!(whole, (rows, nodes), "{search}");
    }
}

/// Ten turns: the engine says the same of every token that was sampled; what was shown is marked as such and nobody learns it.
#[test]
fn ids_and_log_probabilities_survive_ten_turns() {
    let setting = Setting::new();
    let options = EngineOptions { precision: Precision::F32, ..EngineOptions::default() };
    let mut engine = galapagos_model::Engine::new(&model().0, options).unwrap();
    let env = json!({"name": "grid", "config": {"rows": 3, "columns": 4, "walls": 0.1}, "train": 9, "val": 0, "test": 0, "tokens": 1900});
    let ten = r#"{"env_rollout": {"propose": {"n": 2, "max_tokens": 5}, "turns": 10}}"#;
    let (rows, _) = setting.run(&env, ten, 0..2);
    let (_, tokenizer) = model();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let actions: Vec<_> = row.credit.spans.iter().filter(|span| span.learn).collect();
        assert_eq!((actions.len(), row.credit.spans.len()), (10, 20), "{:?}", row.completion);
        assert!(actions.iter().all(|span| span.value.is_some()), "every turn has its reward");
        assert!(row.verdict.reason.starts_with("return ") && row.verdict.reason.contains("refused"), "{row:?}");
        let request = ScoreRequest::continuation(&row.prompt_tokens, &row.completion_tokens);
        let scored = engine.score(&[request], &mut RunControl::default()).unwrap();
        assert_eq!(scored[0].len(), row.log_probs.len());
        for span in &row.credit.spans {
            for place in span.start as usize..span.end as usize {
                let (said, scored) = (row.log_probs[place], scored[0][place]);
                if span.learn {
                    assert!((said - scored).abs() < 1e-4, "token {place}: {said} and {scored}");
                } else {
                    assert_eq!(said, 0.0, "nobody sampled token {place}");
                }
            }
        }
        // What was shown is what the environment said, character by character.
        let shown = &row.credit.spans[1];
        let text = tokenizer.decode(&row.completion_tokens[shown.start as usize..shown.end as usize]).unwrap();
        assert!(text.contains("That was not understood: choose one of: up, right, down, left."), "{text:?}");
        assert!(text.ends_with("\n> "), "{text:?}");
    }
}

#[test]
fn a_tree_of_turns_goes_on_after_its_attempt_is_lost() {
    let mut setting = Setting::new();
    setting.bench.shop.keep_every_ms = 0;
    let job = JobId::new("e/g1/samples/0").unwrap();
    let [_, mcts, _] = searches();
    let undisturbed = setting.bench.run(setting.spec(&slippery(), &mcts, 0..4)).unwrap();
    let mut went_on = 0;
    for readings in [8, 14, 20, 26] {
        let (cancel, left) = (Cancel::default(), Arc::new(AtomicU32::new(readings)));
        let raise = cancel.clone();
        let listener = move |_| {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                raise.raise();
            }
        };
        let lost =
            setting.bench.attempt(setting.spec(&slippery(), &mcts, 0..4), &Meter::new(cancel, Arc::new(listener)));
        let kept = setting.bench.runtime.block_on(setting.bench.shop.store.progress(&job)).unwrap();
        went_on += u32::from(lost.is_err() && kept.is_some());
        assert_eq!(setting.bench.run(setting.spec(&slippery(), &mcts, 0..4)).unwrap(), undisturbed, "{readings}");
    }
    assert!(went_on > 0, "no attempt was lost in the middle");
    let (_, nodes) = setting.read(undisturbed);
    let refused = nodes.iter().filter(|node| {
        matches!(&node.turn, Some(TreeTurn::Played(played)) if played.refused.is_some())
            && node.end == Some(NodeEnd::Killed)
    });
    assert!(refused.count() > 0, "one in five actions cannot be done");
    let parents: Vec<u32> = nodes.iter().filter(|node| node.tree == nodes[0].tree).filter_map(|n| n.parent).collect();
    let childless = |node: &&TreeNode| node.end == Some(NodeEnd::Killed) && node.tree == nodes[0].tree;
    assert!(nodes.iter().filter(childless).all(|node| !parents.contains(&node.node)));
}

/// A server whose instance 1 is silent in its first step, whose instance 2 hangs up, whose instance 8 never begins, and whose others end
/// with the first action.
pub fn unruly() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let (mut silent, mut sessions, mut made) = (Vec::new(), BTreeMap::new(), 0);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = message(&mut stream);
            let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let turn = |turn: u32, done: Option<&str>| {
                json!({"turn": turn, "players": 1, "max_turns": 3, "observations": ["go"], "legal": [{"form": "text"}],
                    "rewards": [1.0], "scores": [1.0], "taken": ["played"], "done": done, "info": {}})
            };
            let session = body["session"].as_str().unwrap_or_default().to_owned();
            let answer = match request.split_whitespace().nth(1).unwrap_or_default() {
                "/v1/info" => json!({"protocol": 1, "environment": "unruly", "max_batch": 1}),
                "/v1/create" => {
                    made += 1;
                    json!({"session": made.to_string()})
                }
                "/v1/reset" if body["start"]["index"] == 8 => continue,
                "/v1/reset" => {
                    sessions.insert(session, body["start"]["index"].as_u64());
                    turn(0, None)
                }
                "/v1/step" => match sessions.get(&session).copied().flatten() {
                    Some(1) => {
                        silent.push(stream);
                        continue;
                    }
                    Some(2) => continue,
                    _ => turn(1, Some("terminated")),
                },
                _ => json!({}),
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            drop(stream.write_all(format!("{head}{answer}").as_bytes()));
        }
    };
    drop(galapagos_telemetry::spawn_thread("test-listener", serve).unwrap());
    url
}

/// Reads one HTTP message whole.
fn message(stream: &mut TcpStream) -> String {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.to_ascii_lowercase().split_once("\r\n\r\n") {
            let length =
                head.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn a_server_that_hangs_or_dies_gives_errors_that_name_it_and_the_others_go_on() {
    let setting = Setting::new();
    let url = unruly();
    let env = json!({"url": url, "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 1, "retries": 1});
    let two = r#"{"env_rollout": {"propose": {"n": 1, "max_tokens": 3}, "turns": 3}}"#;
    let (rows, _) = setting.run(&env, two, 0..4);
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.verdict.outcome).collect();
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Timeout, Outcome::Error, Outcome::Pass], "{rows:?}");
    for row in &rows[1..3] {
        assert!(row.verdict.reason.contains(&url), "{:?}", row.verdict);
        assert_eq!((row.verdict.score, row.reward()), (None, None), "no zero");
    }
    assert_eq!(rows[0].reward(), Some(1.0));
}

/// Episodes that the environment failed stand beside no other; of the rest each has its number.
#[test]
fn pairs_are_made_of_the_episodes_that_were_played() {
    let setting = Setting::new();
    let env = json!({"url": unruly(), "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 1, "retries": 0});
    let twice = r#"{"env_rollout": {"propose": {"n": 2, "max_tokens": 3}, "turns": 3}}"#;
    let pair = r#"[{"env_return": {}}, {"judge_pair": {"ask": "{prompt}{first}{second}", "fence": ["~(", ")~"], "first": "1",
        "second": "0", "floor": 0, "calibrate": "none"}}]"#;
    let JobKind::Rollout(spec) = setting.spec(&env, twice, 0..3) else { panic!() };
    let verify: Vec<Verifier> = serde_json::from_str(pair).unwrap();
    let (rows, _) = setting.read(setting.bench.run(JobKind::Rollout(RolloutSpec { verify, ..spec })).unwrap());
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.verdict.outcome).collect();
    let [pass, timeout, error] = [Outcome::Pass, Outcome::Timeout, Outcome::Error];
    assert_eq!(outcomes, [pass, pass, timeout, timeout, error, error], "{rows:?}");
    let paired = |row: &Trajectory| row.scores.iter().any(|score| score.by.starts_with("judge_pair/"));
    assert_eq!(rows.iter().map(paired).collect::<Vec<_>>(), [true, true, false, false, false, false], "{rows:?}");
}

#[test]
fn an_environment_that_is_not_there_at_all_is_for_another_attempt_and_wrong_options_are_for_nobody() {
    let setting = Setting::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = json!({"url": format!("http://{closed}"), "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 5, "retries": 0});
    let options = json!({"name": "grid", "config": {"rows": 99}, "train": 9, "val": 0, "test": 0, "tokens": 200});
    let cases =
        [(gone, FailureClass::Transient, closed.to_string()), (options, FailureClass::Invalid, "3 to 20".to_owned())];
    for (env, class, said) in cases {
        let search = r#"{"env_rollout": {"propose": {"n": 2}, "turns": 3}}"#;
        let error = setting.bench.run(setting.spec(&env, search, 0..2)).unwrap_err();
        let chain = failure::report(error.class(), &error).chain.join("\n");
        assert_eq!(error.class(), class, "{chain}");
        assert!(chain.contains("cannot play the environment of `world`") && chain.contains(&said), "{chain}");
    }
}

/// Failed walks on a slippery map become walks to where they led; what cannot be relabelled is refused by name.
#[test]
fn in_hindsight_a_failed_walk_wanted_what_it_reached() {
    let setting = Setting::new();
    // As a coordinator gives seeds: of the run, the recipe step and the task.
    let run = |kind: JobKind| {
        let (id, evolution) = (JobId::new("e/g1/samples/0").unwrap(), "e".parse().unwrap());
        let job = JobSpec { id, evolution, seed: Seed(7).derive("g1/samples"), time_limit_ms: 60_000, kind };
        jobs::run(&setting.bench.shop, &job, &Meter::new(Cancel::default(), Arc::new(|_| {})))
    };
    let relabel = |env: &serde_json::Value, search: &str| {
        let JobKind::Rollout(spec) = setting.spec(env, search, 0..6) else { panic!() };
        let given = |split| TaskSlice { indices: Vec::new(), split, ..spec.tasks.clone() };
        let tasks = vec![given(Split::Train), given(Split::Demonstrations)];
        let JobOutput::Rollout { trajectories: file, .. } = run(JobKind::Rollout(spec)).unwrap() else { panic!() };
        let get = |digest: &Digest| setting.bench.runtime.block_on(setting.bench.shop.store.get(digest)).unwrap();
        let before = trajectories::decode(get(&file.digest)).unwrap();
        let apply = serde_json::from_str(r#"[{"hindsight": {"keep": false}}]"#).unwrap();
        let curate = CurateSpec {
            text: Some(setting.policy),
            tasks,
            ..CurateSpec::plain(CurateFrom::Trajectories(vec![file]), apply)
        };
        let after = run(JobKind::Curate(curate)).map(|output| match output {
            JobOutput::Curate { dataset, .. } => trajectories::decode(get(&dataset.digest)).unwrap(),
            other => panic!("{other:?}"),
        });
        (before, after)
    };
    let [episodes, ..] = searches();
    let (before, after) = relabel(&slippery(), &episodes);
    let after = after.unwrap();
    let failed: Vec<_> = before.iter().filter(|row| row.verdict.outcome == Outcome::Fail).collect();
    assert!(!after.is_empty() && after.len() <= failed.len(), "{} of {}", after.len(), failed.len());
    let actions = |row: &Trajectory| -> Vec<Vec<u32>> {
        let learnt = row.credit.spans.iter().filter(|span| span.learn);
        learnt.map(|span| row.completion_tokens[span.start as usize..span.end as usize].to_vec()).collect()
    };
    let (_, tokenizer) = model();
    for row in &after {
        let was = before.iter().find(|was| (&was.task, was.sample) == (&row.task, row.sample)).unwrap();
        assert_eq!((row.verdict.outcome, was.verdict.outcome), (Outcome::Pass, Outcome::Fail), "{row:?}");
        assert!(row.verdict.reason.starts_with("in hindsight: return 1.0000 after"), "{:?}", row.verdict);
        assert!(row.completion.ends_with("You are at the goal.") || row.completion.contains("at the goal"), "{row:?}");
        assert!(actions(was).starts_with(&actions(row)), "what the policy did, up to where it got there");
        assert_eq!((row.log_probs.len(), row.prompt_tokens.len()), (0, was.prompt_tokens.len()));
        let [now, then] = [row, was].map(|row| tokenizer.decode(&row.prompt_tokens).unwrap());
        assert_ne!(now.find('G'), then.find('G'), "the map shows another goal");
        assert_eq!(now.find('@'), then.find('@'));
    }
    let world = json!({"name": "text_world", "train": 9, "val": 0, "test": 0, "tokens": 1000});
    let (_, refused) = relabel(&world, r#"{"env_rollout": {"propose": {"n": 1, "max_tokens": 4}, "turns": 1}}"#);
    let error = refused.unwrap_err();
    let chain = failure::report(error.class(), &error).chain.join("\n");
    assert_eq!(error.class(), FailureClass::Invalid);
    assert!(chain.contains("its environment does not state what was reached"), "{chain}");
}

/// An evaluation plays: the share of tasks that the environment scores 1, the same in pieces.
#[test]
fn an_evaluation_plays_greedily_and_by_samples() {
    let setting = Setting::new();
    let outcomes = |env: &serde_json::Value, indices: std::ops::Range<u32>| {
        let JobKind::Rollout(RolloutSpec { tasks, .. }) = setting.spec(env, &searches()[0], indices) else { panic!() };
        let guide = Some(Guide::Choice(["up", "right", "down", "left"].map(str::to_owned).to_vec()));
        let sampling = Sampling { guide, ..Sampling::at(1.0) };
        let (policy, critic, critic_shots, samples) = (setting.policy, None, false, 6);
        let spec = EvaluateSpec { policy, critic, critic_shots, tasks, samples, sampling };
        setting.bench.run(JobKind::Evaluate(spec)).map(|output| match output {
            JobOutput::Evaluate { tasks, .. } => tasks,
            other => panic!("{other:?}"),
        })
    };
    let whole = outcomes(&slippery(), 0..4).unwrap();
    assert_eq!(whole, [outcomes(&slippery(), 0..1).unwrap(), outcomes(&slippery(), 1..4).unwrap()].concat());
    let passes: u32 = whole.iter().map(|task| task.passes).sum();
    assert!(passes > 0 && passes < 24, "some walks get there: {passes} of 24");
    let silent = json!({"url": unruly(), "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 1, "retries": 0});
    let error = outcomes(&silent, 0..2).unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient, "a miss would lower the score");
    assert!(error.to_string().contains("task train/1 cannot be played to its end"), "{error}");
}
