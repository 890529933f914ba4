//! Published systems as experiments, in their quick forms: every part works together, and the negative control fails. Whether a claim holds
//! is what the full forms say (`make evidence`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use galapagos_tests::binaries;
use serde_json::Value;

/// Runs the quick form of an experiment, and gives what it found.
fn quick(name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binaries::galapagos())
        .args(["reproduce", name, "--quick", "--json", "--at-once", "2", "--dir"])
        .arg(folder.path())
        .current_dir(binaries::repository())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{name}: {error}\n{}\n{told}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(found["control_fails"], true, "{name}: the control does not fail: {found:#}\n{told}");
    assert!(output.status.success(), "{name}: {}\n{told}", output.status);
    assert_eq!((&found["quick"], &found["name"]), (&Value::from(true), &Value::from(name)));
    found
}

/// Every arm measured something, and the control was run.
fn complete(found: &Value) {
    let arms = found["arms"].as_object().unwrap();
    assert!(arms.values().any(|arm| arm["control"] == true));
    for (name, arm) in arms {
        assert!(arm["mean"].is_number() && !arm["readings"].as_array().unwrap().is_empty(), "{name}: {arm:#}");
    }
}

#[test]
fn sharpening_goes_to_what_the_policy_holds_likely() {
    let found = quick("sharpening");
    complete(&found);
    let mean = |arm: &str| found["arms"][arm]["mean"].as_f64().unwrap();
    assert!(mean("method") > mean("control"), "{found:#}");
}

#[test]
fn trees_of_rstar_math_train_a_policy_and_a_preference_model() {
    complete(&quick("rstar-math"));
}

#[test]
fn step_models_of_medsss_are_asked_where_an_answer_goes_wrong() {
    complete(&quick("medsss"));
}

#[test]
fn journeys_are_made_of_trees_and_learnt() {
    complete(&quick("o1-journey"));
}

#[test]
fn a_controller_of_m_star_moves_its_temperature() {
    complete(&quick("m-star"));
}
