//! Mathematical equivalence on `data/math_pairs.jsonl` against the truth of each pair, and against `math-verify`, an independent
//! implementation on sympy. Where the two disagree, `data/math_disagreements.jsonl` says who is right and why; a disagreement that
//! is not in it fails the test, and so does a listed one that is gone.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use galapagos_worker::verify::math::{Options, Outcome, equivalent};
use serde_json::{Value, json};

fn lines(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{value} has no text `{field}`"))
}

/// `equal`, `different` or `undecided`.
fn ours(gold: &str, answer: &str) -> &'static str {
    match equivalent(gold, answer, &Options::default()).outcome {
        Outcome::Equal => "equal",
        Outcome::Different => "different",
        Outcome::Undecided(_) => "undecided",
    }
}

/// `equal` or `different` for each pair.
fn math_verify(pairs: &[Value]) -> Vec<&'static str> {
    let python = std::env::var_os("GALAPAGOS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos/venv/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "{} is missing: run `make setup`, or set GALAPAGOS_PYTHON", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/math_reference/math_verify_judge.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The script reads all before it writes, so this cannot block on its output.
    child.stdin.take().unwrap().write_all(json!(pairs).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "math_verify_judge.py failed (if a package is missing, run `make setup`):\n{errors}"
    );
    let verdicts: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    verdicts.into_iter().map(|equal| if equal { "equal" } else { "different" }).collect()
}

#[test]
fn every_pair_is_decided_as_the_truth_says_in_both_orders() {
    let pairs = lines("math_pairs.jsonl");
    assert!(pairs.len() >= 500, "{} pairs", pairs.len());
    let mut wrong = Vec::new();
    for pair in &pairs {
        let (gold, answer, truth) = (text(pair, "gold"), text(pair, "answer"), text(pair, "truth"));
        for (left, right) in [(gold, answer), (answer, gold)] {
            let seen = ours(left, right);
            if seen != truth {
                wrong.push(format!("`{left}` and `{right}`: {seen}, but {truth} is true"));
            }
        }
        for side in [gold, answer].into_iter().filter(|_| truth != "undecided") {
            if ours(side, side) != "equal" {
                wrong.push(format!("`{side}` is not equal to itself"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn math_verify_reference_agrees_but_for_what_is_explained() {
    let pairs = lines("math_pairs.jsonl");
    let mut explained: BTreeMap<(String, String), Value> = BTreeMap::new();
    for row in lines("math_disagreements.jsonl") {
        assert!(["ours", "math-verify", "convention"].contains(&text(&row, "right")), "{row}");
        assert!(text(&row, "why").len() > 20, "{row} explains nothing");
        let key = (text(&row, "gold").to_owned(), text(&row, "answer").to_owned());
        assert!(explained.insert(key, row.clone()).is_none(), "{row} is listed twice");
    }
    let mut faults = Vec::new();
    for (pair, theirs) in pairs.iter().zip(math_verify(&pairs)) {
        let (gold, answer) = (text(pair, "gold"), text(pair, "answer"));
        let seen = ours(gold, answer);
        let listed = explained.remove(&(gold.to_owned(), answer.to_owned()));
        // math-verify has no word for what it cannot decide: it does not accept it, as an undecided answer is not accepted.
        let agree = (seen == "equal") == (theirs == "equal");
        match listed {
            None if !agree => faults.push(format!("`{gold}` and `{answer}`: {seen}, but math-verify says {theirs}")),
            Some(row) if agree => faults.push(format!("no disagreement any more: {row}")),
            Some(row) if text(&row, "ours") != seen || text(&row, "math_verify") != theirs => {
                faults.push(format!("now {seen} and {theirs}: {row}"));
            }
            _ => {}
        }
    }
    faults.extend(explained.values().map(|row| format!("listed, but no such pair: {row}")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
