//! The training benchmark on a character model with random weights, against itself, with real processes: what scripts read, and what is
//! refused.
#![expect(clippy::unwrap_used, reason = "test helpers outside of test functions")]

#[path = "common/small_model.rs"]
mod small_model;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(model: &Path, options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_galapagos-trainer"));
    command.args(["bench", "train", "--threads", "1", "--model"]).arg(model);
    command.args(options.split_whitespace()).output().unwrap()
}

#[test]
fn the_json_has_every_row_with_the_fields_that_scripts_rely_on() {
    let folder = tempfile::tempdir().unwrap();
    small_model::save(folder.path());
    let output = run(folder.path(), "--against self --quick --runs 2 --only packing-sorted --only bf16 --json");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["bench"], &report["against"]), (&"train".into(), &"self".into()));
    assert_eq!(report["machine"]["threads"], 1);
    assert!(report["load"]["start"].is_number() && report["load"]["end"].is_number(), "{}", report["load"]);
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["packing-sorted", "bf16"]);
    for row in rows {
        let number =
            |name: &str| row[name].as_f64().filter(|value| *value > 0.0).unwrap_or_else(|| panic!("{name}: {row}"));
        assert!((number("ours") / number("peer") - number("ratio")).abs() < 1e-9, "{row}");
        assert_eq!(row["unit"], "tokens/s");
        assert_eq!(row["met"].as_bool(), row["target"].as_f64().map(|target| number("ratio") >= target), "{row}");
        assert_eq!(row["ours_steps"].as_array().unwrap().len(), 2);
        let losses = |side: &str| row["agreement"][side].as_array().unwrap().clone();
        let (ours, peer) = (losses("ours"), losses("peer"));
        assert_eq!((ours.len(), peer.len()), (2, 2), "{row}");
        assert!(ours[0].as_f64() > ours[1].as_f64(), "the second step learned nothing: {row}");
    }
}

#[test]
fn two_ranks_compute_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    small_model::save(folder.path());
    let output = run(folder.path(), "--against self --quick --runs 1 --only scaling-2 --json");
    let told = String::from_utf8_lossy(&output.stderr);
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        assert!(!output.status.success() && told.contains("needs 2 cores"), "{told}");
        return;
    }
    assert!(output.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["rows"][0];
    assert_eq!((&row["name"], &row["ranks"], &row["target"]), (&"scaling-2".into(), &2.into(), &Value::Null));
    assert!(row["communication"].as_f64().is_some_and(|share| (0.0..1.0).contains(&share)), "{row}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    small_model::save(folder.path());
    let told = |options: &str| {
        let output = run(folder.path(), options);
        assert_eq!(output.status.code(), Some(1), "{options}");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = told("--against self --only step-f32");
    assert!(text.contains("`step-f32`") && text.contains("packing-sorted, bf16, scaling-2, scaling-4"), "{text}");
    let text = told("--against torch --only step-f32");
    assert!(text.contains("128 positions") && text.contains("has 64"), "{text}");
    let text = told("--against torch --only step-f32 --python /no/such/python --quick");
    assert!(text.contains("/no/such/python") && text.contains("make setup"), "{text}");
    let text = told("--against torch --only step-f32 --python /bin/false --quick");
    assert!(text.contains("the peer's rank 0 ended while it should load"), "{text}");
}
