//! A training round that loses a worker for good goes on with what is left, from its last in-round checkpoint.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use galapagos_tests::client::finish;
use galapagos_tests::crew::Hand;
use galapagos_tests::tree::{Process, Role, of_run};
use galapagos_tests::{Sandbox, Service, binaries, eventually};
use rustix::process::Signal;
use serde_json::Value;

const ROUND: &str = "elastic-1/g1/train-2";
/// Far above what any wait takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command answers, or what it says is wrong.
fn try_ask(service: &Service, args: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(binaries::galapagos());
    command.args(args).args(["--json", "--coordinator", &service.announcement().addr.to_string()]);
    let answer = finish(command);
    if answer.code != Some(0) {
        return Err(answer.stderr);
    }
    Ok(serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout)))
}

fn ask(service: &Service, args: &[&str]) -> Value {
    try_ask(service, args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// The number behind `words` in what `explain` says of the round.
fn told(service: &Service, words: &str) -> Option<u64> {
    // Before the round begins nobody knows it.
    let facts = try_ask(service, &["explain", ROUND]).ok()?;
    let fact =
        facts["facts"].as_array()?.iter().filter_map(Value::as_str).find(|fact| fact.contains(words))?.to_owned();
    let rest = fact.split(words).nth(1)?;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[test]
fn a_round_that_lost_a_worker_for_good_goes_on_with_the_rank_that_is_left() {
    let sandbox = Sandbox::new();
    let folder = sandbox.join("cluster");
    std::fs::create_dir_all(&folder).unwrap();
    let service = Service::start(&folder);
    let _stays = Hand::start(&service, &folder, "w1");
    let mut goes = Hand::start(&service, &folder, "w2");
    let recipe = binaries::repository().join("recipes/tests/elastic.yaml");
    ask(&service, &["submit", recipe.to_str().unwrap()]);

    let saved = eventually("an in-round checkpoint", PATIENCE, || told(&service, "in-round checkpoint after step "));
    goes.kill();
    let killed_ms = monotonic_ms();
    let alone = |service: &Service| {
        let facts = ask(service, &["explain", ROUND])["facts"].to_string();
        (!facts.contains("rank 1 on worker")).then(|| told(service, "worker w1: step ")).flatten()
    };
    let step = eventually("a step of the rank that is left", PATIENCE, || alone(&service).filter(|step| *step > 0));
    eprintln!("killed after step {saved} was saved; step {step} was done {} ms later", monotonic_ms() - killed_ms);
    assert!(step > saved, "no committed step was lost");

    let member = eventually("the end", PATIENCE, || {
        let status = ask(&service, &["status", "elastic-1"]);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "done").then(|| status["members"].as_array().unwrap().last().unwrap().clone())
    });
    let trained = &member["origin"]["trained"];
    assert_eq!(trained["worlds"], serde_json::json!([2, 1]), "{member}");
    assert_eq!(trained["steps"], 1200);
    assert!(trained["ledger"].is_string(), "the ledger was proven: {member}");
    // They cost space: superseded ones go when a newer one is known, all of them when the round is over.
    let states = folder.join("artifacts/rounds");
    eventually("the end of the in-round checkpoints", PATIENCE, || {
        std::fs::read_dir(&states).expect("the round had some").next().is_none().then_some(())
    });
}

/// The processes of a cluster's ranks.
fn ranks(folder: &Path) -> Vec<Process> {
    of_run(folder).into_iter().filter(|process| process.role() == Some(Role::Rank)).collect()
}

#[test]
fn a_rank_that_hangs_is_named_and_replaced() {
    let sandbox = Sandbox::new();
    let folder = sandbox.join("cluster");
    std::fs::create_dir_all(&folder).unwrap();
    let service = Service::start_with(&folder, &["--stall", "16"]);
    let _workers = ["w1", "w2"].map(|name| Hand::start(&service, &folder, name));
    let recipe = binaries::repository().join("recipes/tests/elastic.yaml");
    ask(&service, &["submit", recipe.to_str().unwrap()]);
    eventually("an in-round checkpoint", PATIENCE, || told(&service, "in-round checkpoint after step "));
    let stopped = ranks(&folder).into_iter().next_back().expect("the ranks are at work");
    assert!(stopped.signal(Signal::STOP));
    let culprit = eventually("a culprit", PATIENCE, || {
        Some(try_ask(&service, &["explain", ROUND]).ok()?["culprit"].as_str()?.to_owned())
    });
    assert!(culprit.starts_with("rank ") && culprit.contains(" on worker w"), "{culprit}");
    let member = eventually("the end", PATIENCE, || {
        let status = ask(&service, &["status", "elastic-1"]);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "done").then(|| status["members"].as_array().unwrap().last().unwrap().clone())
    });
    assert!(!ranks(&folder).contains(&stopped), "the rank that hung was killed");
    assert_eq!(member["origin"]["trained"]["worlds"], serde_json::json!([2]), "replaced, not left out: {member}");
}
