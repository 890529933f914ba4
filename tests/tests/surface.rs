//! What a run leaves and shows, read by others: transformers, pyarrow, a browser, scripts, a scraper, a health probe.

use std::fs;
use std::path::Path;
use std::time::Duration;

use galapagos_proto::announce::Announcement;
use galapagos_proto::client::Address;
use galapagos_tests::{
    Client, END_LIMIT, RunCommand, SEED, Sandbox, http_get, parse_metrics, python, undisturbed, wire,
};
use serde_json::{Value, json};

/// The documented columns of a trajectory file, as pyarrow names their types.
const COLUMNS: [(&str, &str); 31] = [
    ("job", "string"),
    ("task_set", "string"),
    ("task", "string"),
    ("sample", "uint32"),
    ("policy", "string"),
    ("prompt_tokens", "list<item: uint32 not null>"),
    ("prefix_len", "uint32"),
    ("completion_tokens", "list<item: uint32 not null>"),
    ("log_probs", "list<item: float not null>"),
    ("completion", "string"),
    ("outcome", "string"),
    ("reason", "string"),
    ("reward", "float"),
    ("weight", "float"),
    ("span_start", "list<item: uint32 not null>"),
    ("span_end", "list<item: uint32 not null>"),
    ("span_learn", "list<item: bool not null>"),
    ("span_value", "list<item: float>"),
    ("span_class", "list<item: uint32>"),
    ("pair", "string"),
    ("chosen", "bool"),
    ("score", "float"),
    ("confidence", "float"),
    ("cost", "uint64"),
    ("verifier", "string"),
    ("score_by", "list<item: string not null>"),
    ("score_value", "list<item: float not null>"),
    ("tree", "string"),
    ("node", "uint32"),
    ("greedy", "bool"),
    ("class", "uint32"),
];
/// The columns of a round's ledger.
const LEDGER: [&str; 5] = ["step", "data_epoch", "row", "rank", "skipped"];
/// The columns of a table of trees.
const NODES: [&str; 36] = [
    "job",
    "tree",
    "task_set",
    "task",
    "policy",
    "node",
    "parent",
    "depth",
    "part",
    "guidance",
    "guidance_tokens",
    "tokens",
    "prefix_len",
    "log_probs",
    "text",
    "turn",
    "end",
    "closed",
    "found",
    "visits",
    "sum",
    "q",
    "own",
    "outcome",
    "reason",
    "verifier",
    "verdict_score",
    "confidence",
    "class",
    "cost",
    "score_by",
    "score_value",
    "errors",
    "asked",
    "again",
    "batch",
];
/// Greedy choices that two implementations may see differently: near-ties of two logits.
const NEAR_TIES: f64 = 1.0;

#[test]
fn the_exported_champion_gives_transformers_the_printed_pass_at_1_reference() {
    let finished = undisturbed();
    let theirs = python::script("evaluate.py", &[&finished.folder().join("export/champion")]);
    let (passes, tasks) = (theirs["passes"].as_f64().unwrap(), theirs["tasks"].as_f64().unwrap());
    let ours = finished.result["pass_at_1"].as_f64().expect("the run printed pass_at_1");
    assert!(tasks > 0.0 && passes > 0.0, "the evaluation measured nothing: {theirs}");
    assert!(
        (passes - ours * tasks).abs() <= NEAR_TIES,
        "transformers passes {passes} of {tasks} sealed tasks, the run printed {ours}"
    );
}

#[test]
fn trajectories_are_parquet_with_the_documented_columns() {
    let read = python::script("trajectories.py", &[&undisturbed().folder().join("artifacts/blobs")]);
    let files = read["files"].as_array().unwrap();
    assert!(files.len() >= 4, "two generations leave rollouts and curated files, but there are {}", files.len());
    for file in files {
        let columns = file["columns"].as_object().unwrap();
        let found: Vec<(&str, &str)> =
            COLUMNS.iter().map(|(name, _)| (*name, columns[*name].as_str().unwrap())).collect();
        assert_eq!((found.as_slice(), columns.len()), (COLUMNS.as_slice(), COLUMNS.len()));
        assert_eq!(file["uneven"], 0, "tokens and log-probabilities differ in length: {file}");
        for outcome in file["outcomes"].as_object().unwrap().keys() {
            assert!(["pass", "fail", "error", "timeout", "suspect"].contains(&outcome.as_str()), "{outcome}");
        }
    }
    // Two rounds of each generation and one before them leave a ledger each; each generation grows two trees over jobs, of which every
    // wave leaves tables. Nothing else is a table.
    let others = read["others"].as_array().unwrap();
    let (ledgers, trees): (Vec<_>, Vec<_>) = others.iter().partition(|columns| **columns == serde_json::json!(LEDGER));
    assert_eq!(ledgers.len(), 5, "{ledgers:?}");
    assert!(trees.len() >= 2 * 2 * 2, "a trunk and a whole of each tree: {trees:?}");
    assert!(trees.iter().all(|columns| **columns == serde_json::json!(NODES.as_slice())), "{trees:?}");
    let failed = files.iter().filter_map(|file| file["outcomes"]["fail"].as_u64()).sum::<u64>();
    assert!(failed > 0, "rollouts of a weak policy must hold failures too: {read}");
}

#[test]
fn the_report_needs_nothing_but_itself() {
    let page = fs::read_to_string(undisturbed().folder().join("report.html")).unwrap();
    for reference in
        ["src=\"http", "src='http", "href=\"http", "href='http", "url(http", "@import", "<link", "<script src"]
    {
        assert!(!page.contains(reference), "the report refers to something outside: {reference}");
    }
    let champion = undisturbed().result["champion"].as_str().unwrap().to_owned();
    for part in ["<svg", "micro", &champion, "</html>"] {
        assert!(page.contains(part), "the report lacks `{part}`");
    }
}

#[test]
fn every_question_about_a_finished_run_is_answered_in_json() {
    let sandbox = Sandbox::new();
    let dir = sandbox.join("run");
    undisturbed().copy_to(&dir);
    let status = answers(&dir);
    assert_eq!(status["status"], "done");
    let (phases, champion) = (status["steps"].as_array().unwrap(), undisturbed().result["champion"].clone());
    for phase in [json!("base"), json!("first"), json!({"generation": 1}), json!({"generation": 2}), json!("finish")] {
        assert!(phases.iter().any(|step| step["phase"] == phase), "no recipe step of {phase}");
    }
    let lineage = Client::of(&dir).json(&["lineage", champion.as_str().unwrap()]);
    assert!(lineage.to_string().contains(champion.as_str().unwrap()), "{lineage}");
    let missing = Client::of(&dir).call(&["lineage", "m-none"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("m-none") && missing.stderr.contains(champion.as_str().unwrap()), "{missing:?}");
}

#[test]
fn a_live_run_answers_is_healthy_and_is_not_disturbed_by_questions() {
    let sandbox = Sandbox::new();
    let dir = sandbox.join("run");
    let mut run = RunCommand::micro(&dir).seed(SEED).start();
    let _ = run.until("the first recipe steps", Duration::from_secs(90), |event| event["phase"] == "first");
    let status = answers(&dir);
    assert_eq!(status["status"], "running");
    let workers = Client::of(&dir).json(&["workers"]);
    assert_eq!(workers["workers"].as_array().map(Vec::len), Some(2), "{workers}");

    let announcement = Announcement::read(&dir.join("coordinator.json")).unwrap();
    let address = Address::from(announcement.addr);
    for service in ["", "galapagos.v1.AdminService", "galapagos.v1.WorkerService"] {
        assert!(wire::is_serving(&address, service), "`{service}` is not serving");
    }
    let (code, page) = http_get(&announcement.http.to_string(), "/metrics");
    assert_eq!(code, 200, "{page}");
    let metrics = parse_metrics(&page);
    assert!(metrics.keys().any(|name| name.starts_with("galapagos_")), "no metric of ours: {:?}", metrics.keys());
    let workers_known = metrics.iter().filter(|(name, _)| name.contains("worker")).count();
    assert!(workers_known > 0, "no metric tells of workers: {:?}", metrics.keys());

    assert_eq!(run.wait(END_LIMIT).result(), undisturbed().result, "questions changed the result");
}

/// Asks every question and returns the status.
#[track_caller]
fn answers(dir: &Path) -> Value {
    let client = Client::of(dir);
    let status = client.json(&["status"]);
    assert_eq!(status["version"], 1, "{status}");
    let evolution = status["id"].as_str().unwrap_or_else(|| panic!("no id: {status}"));
    let list = client.json(&["list"]);
    assert_eq!(list["version"], 1, "{list}");
    assert_eq!(list["evolutions"][0]["id"], status["id"], "{list}");
    let members = client.json(&["members"]);
    assert!(members["members"].as_array().is_some_and(|all| !all.is_empty()), "{members}");
    for (question, about) in [("lineage", "base"), ("explain", evolution)] {
        let answer = client.json(&[question, about]);
        assert!(answer.is_object(), "{question}: {answer}");
    }
    assert!(client.json(&["workers"])["workers"].is_array());
    status
}
