//! The JSON contract, the exit codes, and what a quick run may say.

use galapagos_domain::cluster::view::Interval;
use serde_json::Value;

use super::*;
use crate::experiment::shipped::planned;
use crate::experiment::text;

/// Means of (method, baseline, control, ungated) for each of the quickstart's seeds.
type Means = [f64; 4];

const GOOD: [Means; 3] = [[0.72, 0.30, 0.30, 0.22], [0.76, 0.30, 0.30, 0.25], [0.70, 0.30, 0.30, 0.20]];

fn findings(scale: Scale, seeds: &[Means]) -> Findings {
    let (experiment, arms) = planned("quickstart", scale);
    let place =
        |name: &Name| ["method", "baseline", "control", "ungated"].iter().position(|n| *n == name.as_str()).unwrap();
    let readings: Vec<Vec<Reading>> = arms
        .iter()
        .map(|arm| (1..).zip(seeds).map(|(seed, means)| reading(seed, means[place(&arm.name)], arm.control)).collect())
        .collect();
    Findings::of(Subject { name: "quickstart", experiment: &experiment, scale, arms: &arms }, &readings, 61_500)
}

fn reading(seed: u64, mean: f64, control: bool) -> Reading {
    let value = Interval { mean, low: mean - 0.04, high: mean + 0.04 };
    Reading {
        seed,
        value,
        others: Vec::new(),
        spent: None,
        tokens: if control { 900 } else { 1000 },
        promoted: u64::from(!control),
        judged: 1,
        figures: Vec::new(),
    }
}

#[test]
fn the_json_has_every_field_that_scripts_rely_on() {
    let json = serde_json::to_value(findings(Scale::Full, &GOOD)).unwrap();
    assert_eq!(json["name"], "quickstart");
    assert!(json["claim"].as_str().unwrap().contains("verified"));
    assert_eq!((&json["metric"], &json["verdict"]), (&Value::from("pass_at_1"), &Value::from("holds")));
    assert_eq!((&json["control_fails"], &json["seconds"]), (&Value::from(true), &Value::from(61.5)));
    assert_eq!(json["seeds"], serde_json::json!([1, 2, 3]));
    for arm in ["method", "baseline", "control"] {
        let [low, high] = [0, 1].map(|end| json[arm]["ci95"][end].as_f64().unwrap());
        let mean = json[arm]["mean"].as_f64().unwrap();
        assert!(low <= mean && mean <= high, "{arm}: {low} {mean} {high}");
    }
    // 0.72, 0.76, 0.70: mean 0.726667, standard deviation 0.030551, t(2) = 4.302653, half width 0.075891.
    assert!((json["method"]["ci95"][0].as_f64().unwrap() - 0.650_775).abs() < 1e-5, "{}", json["method"]);
    assert!(json["versions"]["galapagos"].is_string() && json["machine"]["processors"].is_u64());
    assert_eq!(json["arms"]["ungated"]["tokens_ratio"], 0.9);
    assert_eq!(json["arms"]["control"]["readings"][2]["seed"], 3);
    assert_eq!(json["expect"].as_array().unwrap().len(), 5);
}

#[test]
fn only_a_claim_that_holds_beside_a_control_that_fails_exits_with_0() {
    assert_eq!(findings(Scale::Full, &GOOD).exit(), Exit::Done);
    // A gain, but of less than was claimed.
    let small = findings(Scale::Full, &GOOD.map(|[_, base, control, ungated]| [0.42, base, control, ungated]));
    assert_eq!((small.verdict, small.control_fails, small.exit()), (Outcome::DoesNotHold, true, Exit::Failed));
    // The gate hides what shuffled verdicts teach; the ungated candidate shows it.
    let leaking = findings(Scale::Full, &GOOD.map(|[method, base, control, _]| [method, base, control, 0.60]));
    assert_eq!((leaking.control_fails, leaking.exit()), (false, Exit::Failed));
    // A control that varies so much that a gain cannot be excluded has not been shown to fail.
    let wild = findings(Scale::Full, &[[0.72, 0.3, 0.1, 0.1], [0.76, 0.3, 0.5, 0.2], [0.70, 0.3, 0.3, 0.6]]);
    assert_eq!((wild.control_fails, wild.exit()), (false, Exit::Failed));
}

#[test]
fn a_quick_run_judges_the_control_alone_and_says_so() {
    let no_gain = findings(Scale::Quick, &[[0.30, 0.30, 0.30, 0.25]]);
    assert_eq!((no_gain.verdict, no_gain.control_fails, no_gain.exit()), (Outcome::DoesNotHold, true, Exit::Done));
    let shown = text(&no_gain);
    assert!(shown.contains("claim    not judged") && shown.contains("the control fails, as it must"), "{shown}");
    let gain = findings(Scale::Quick, &[[0.70, 0.30, 0.30, 0.45]]);
    assert_eq!((gain.control_fails, gain.exit()), (false, Exit::Failed));
}

#[test]
fn the_text_shows_every_arm_and_every_expectation_with_its_rule() {
    let shown = text(&findings(Scale::Full, &GOOD));
    for part in
        ["method", "baseline", "control (control)", "ungated (control)", "0.720 0.760 0.700", "0.90", "3 of 3 promoted"]
    {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(
        shown.contains("method above baseline by 0.2") && shown.contains("all of the interval above 0.2"),
        "{shown}"
    );
    assert!(shown.contains("claim    holds\ncontrol  the control fails, as it must"), "{shown}");
}
