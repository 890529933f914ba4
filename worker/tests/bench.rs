//! The engine benchmark on a character model with random weights, against itself: what scripts read, and what is refused.
#![expect(clippy::unwrap_used, reason = "test helpers outside of test functions")]

use std::path::Path;

use clap::Parser;
use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use galapagos_worker::bench::{self, BenchError, options::Bench};
use galapagos_worker::config::{Arguments, Command};
use galapagos_worker::engine::Engine;
use galapagos_worker::engine::tch::TchEngine;
use serde_json::Value;

fn model(folder: &Path, context: u32) {
    let alphabet = "0123456789abcdefghijklmnopqrstuvwxyz .QLA:,\n".to_owned();
    let shape = Characters { alphabet, layers: 2, hidden: 32, heads: 2, ffn: 64, context, vision: None };
    TchEngine::new().initialise(&shape, Seed(1), folder).unwrap();
}

fn run(folder: &Path, options: &str) -> (Result<(), BenchError>, String) {
    let folder = folder.to_str().unwrap();
    let line = ["galapagos-worker", "bench", "engine", "--model", folder].into_iter().chain(options.split_whitespace());
    let Command::Bench(Bench::Engine(config)) = Arguments::try_parse_from(line).unwrap().command else { panic!() };
    let mut out = Vec::new();
    let ended = bench::engine(&config, &mut out, &mut std::io::sink());
    (ended, String::from_utf8(out).unwrap())
}

#[test]
fn the_json_has_every_row_with_the_fields_that_scripts_rely_on() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), 512);
    let (ended, text) = run(folder.path(), "--against self --quick --runs 2 --threads 1 --precision f32 --json");
    ended.unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["bench"], "engine");
    assert_eq!(report["against"], "self");
    assert_eq!(report["machine"]["threads"], 1);
    assert!(report["load"]["start"].is_number() && report["load"]["end"].is_number(), "{}", report["load"]);
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["samples-512", "samples-2048", "tree", "lora", "score"]);
    for row in rows {
        let number =
            |name: &str| row[name].as_f64().filter(|value| *value > 0.0).unwrap_or_else(|| panic!("{name}: {row}"));
        assert!((number("ours") / number("peer") - number("ratio")).abs() < 1e-9, "{row}");
        assert_eq!(row["unit"], "tokens/s");
        assert_eq!(row["met"].as_bool(), row["target"].as_f64().map(|target| number("ratio") >= target), "{row}");
        assert_eq!(row["ours_runs"].as_array().unwrap().len(), 2);
        assert!(number("share_of_floor") < 10.0, "{row}");
        if row["name"] == "score" {
            assert!(row["agreement"]["log_prob_mean"].as_f64().unwrap() < 1e-3, "{row}");
        } else {
            // Sharing and batches change no token.
            assert_eq!(row["agreement"]["tokens"], 1.0, "{row}");
        }
    }
    assert_eq!(report["kv"]["formula"], 2 * 2 * 2 * 16 * 4, "layers, keys and values, heads, their dimension, bytes");
    assert_eq!(report["kv"]["engine"], report["kv"]["formula"]);
}

#[test]
fn people_see_a_table_of_the_chosen_rows() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), 512);
    let (ended, text) = run(folder.path(), "--against self --quick --runs 1 --threads 1 --precision f32 --only tree");
    ended.unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("tree ")).count(), 1, "{text}");
    assert!(!text.contains("samples-512") && text.contains("--quick") && text.contains("GB/s"), "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), 100);
    let told = |options: &str| {
        let error = run(folder.path(), options).0.unwrap_err();
        galapagos_telemetry::report(&error)
    };
    let text = told("--against self --only decode-1");
    assert!(text.contains("`decode-1`") && text.contains("samples-512, samples-2048, tree"), "{text}");
    let text = told("--against self --only samples-2048");
    assert!(text.contains("2112 positions") && text.contains("has 100"), "{text}");
    let text = told("--against vllm --only decode-1 --python /no/such/python --quick");
    assert!(text.contains("/no/such/python") && text.contains("make setup-vllm"), "{text}");
    let text = told("--against hf --only decode-1 --python /bin/false --quick");
    assert!(text.contains("the peer ended while it should load") && text.contains("make setup"), "{text}");
    for bad in ["--against nobody", "--runs 0 --against self", "--only decode --against self", ""] {
        let line = format!("w bench engine --model m {bad}");
        assert!(Arguments::try_parse_from(line.split_whitespace()).is_err(), "{bad}");
    }
}

#[test]
fn searches_are_measured_beside_lock_step_and_the_engine_alone() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), 512);
    let run = |options: &str| {
        let path = folder.path().to_str().unwrap();
        let line = ["w", "bench", "search", "--model", path].into_iter().chain(options.split_whitespace());
        let Command::Bench(Bench::Search(config)) = Arguments::try_parse_from(line).unwrap().command else { panic!() };
        let mut out = Vec::new();
        bench::search::run(&config, &mut out, &mut std::io::sink()).unwrap();
        String::from_utf8(out).unwrap()
    };
    let report: Value = serde_json::from_str(&run("--quick --runs 2 --threads 1 --json")).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!((report["bench"].as_str().unwrap(), names), ("search", vec!["heavy", "skewed", "even", "engine"]));
    for row in rows {
        let number = |name: &str| row[name].as_f64().filter(|value| *value > 0.0).unwrap_or_else(|| panic!("{row}"));
        assert!((number("ours") / number("peer") - number("ratio")).abs() < 1e-9, "{row}");
        assert_eq!(row["met"].as_bool(), row["target"].as_f64().map(|target| number("ratio") >= target), "{row}");
        assert_eq!(row["nodes"], 6 * 3 * 2, "six trees of three growths of two children");
        assert!(number("prefix_hits") < 1.0, "{row}");
    }
    let text = run("--quick --runs 1 --threads 1 --only skewed");
    assert!(text.contains("skewed") && text.contains("lock-step") && !text.contains("even "), "{text}");
}
