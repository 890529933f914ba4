//! Rules about controllers, each broken once.

use super::{QUICKSTART, broken, parse};

/// The quickstart with a controller of its temperature and of a bound.
fn controlled() -> String {
    let controllers = r#"vars: {temperature: 0.8, bound: 0.0}
controllers:
  - grid_argmax:
      as: tuner
      on: {numbers: {split: val, n: 50}}
      search: {sample_k: {n: 8, temperature: $temperature}}
      filter: {above: $bound}
      metric: {balance_score: {n_star: 4}}
      moves: {temperature: {from: 0.5, to: 1.2, step: 0.1}, bound: {from: -1.0, to: 1.0, step: 0.5}}
"#;
    let text = QUICKSTART.replacen("vars: {temperature: 0.8}\n", controllers, 1);
    text.replacen("{keep: {verdict: pass}}, dedupe", "{filter: {by: reward, above: $bound}}, dedupe", 1)
}

#[test]
fn a_recipe_with_a_controller_is_valid_and_survives_its_filled_in_form() {
    let recipe = parse(&controlled()).unwrap_or_else(|e| panic!("{e}"));
    let filled_in = recipe.to_yaml();
    assert_eq!(parse(&filled_in).unwrap_or_else(|e| panic!("{e}\n{filled_in}")), recipe);
}

#[test]
fn each_broken_rule_names_its_place_and_the_way_out() {
    let at = "controllers[0].grid_argmax";
    let cases = [
        (
            "{split: val, n: 50}}\n      search",
            "{split: test}}\n      search",
            ".on.numbers.split: the test split is sealed",
            "use `val`",
        ),
        (
            "{split: val, n: 50}}\n      search",
            "{split: train}}\n      search",
            ".on.numbers.split: on the train split",
            "use `val`",
        ),
        (
            "{split: val, n: 50}}\n      search",
            "{split: val, n: 500}}\n      search",
            ".on.numbers.n: 500 tasks",
            "at most 200",
        ),
        ("on: {numbers: {split: val, n: 50}}", "on: {}", ".on: no tasks", "split: val"),
        ("as: tuner", "role: teacher", ".role: no role is named `teacher`", "roles: critic, policy"),
        ("as: tuner", "role: critic", ".role: the role `critic` has a scalar head", "head: lm"),
        ("as: tuner", "as: samples", ".as: the name `samples` is taken", "its own name"),
        ("as: tuner", "as: control-7", ".as: `control-7` cannot name", "VERB-NUMBER"),
        ("as: tuner", "verify: []", ".verify: nothing verifies", "[rule]"),
        ("as: tuner", "verify: [rule, {orm: {role: critic}}]", ".verify[1].orm", "has not been trained yet"),
        ("as: tuner", "by: {score: orm}", ".by.score: no verifier", "its verifiers: rule"),
        ("as: tuner", "every: 0", ".every: 0 is out of range", "1 to 10000"),
        ("n_star: 4", "n_star: 0", ".metric.balance_score.n_star: 0", "1 to 1024"),
        ("{balance_score: {n_star: 4}}", "{reward_pass: {top: 0}}", ".metric.reward_pass.top: 0", "1 to 1024"),
        ("{balance_score: {n_star: 4}}", "{pass_at: 9}", ".metric.pass_at: 9", "1 to 8"),
        ("{balance_score: {n_star: 4}}", "{pass_at: 8}", ".filter: `pass_at` looks at all samples", "leave it out"),
        ("filter: {above: $bound}\n", "filter: {}\n", ".filter: no bound", "at_least"),
        ("filter: {above: $bound}\n", "filter: {above: $band}\n", ".filter.above: the variable `$band`", "$bound"),
        ("filter: {above: $bound}\n", "filter: {above: 0.5}\n", ".moves.bound: neither", "write `$bound` there"),
        (
            "{filter: {by: reward, above: $bound}}",
            "{filter: {by: reward, above: 0}}",
            ".moves.bound: no recipe step",
            "where it counts",
        ),
        (
            "moves: {temperature",
            "moves: {top: {from: 0, to: 1, step: 1}, temperature",
            ".moves.top: the variable `top` is not declared",
            "bound, temperature",
        ),
        (
            "from: 0.5, to: 1.2, step: 0.1",
            "from: 0.5, to: 1.2, step: 0",
            ".moves.temperature.step: 0 is no step",
            "greater than 0",
        ),
        (
            "from: 0.5, to: 1.2, step: 0.1",
            "from: 1.5, to: 1.2, step: 0.1",
            ".moves.temperature: there is no value from 1.5",
            "at most `to`",
        ),
        (
            "from: 0.5, to: 1.2, step: 0.1",
            "from: 0.5, to: 1.2, step: 0.0001",
            ".moves: the grid has 35005 points",
            "at most 10000",
        ),
        // Values that the recipe steps would not take.
        ("from: 0.5, to: 1.2, step: 0.1", "from: 0, to: 1, step: 0.5", ".moves.temperature: it cannot be 0", "above 0"),
        (
            "from: 0.5, to: 1.2, step: 0.1",
            "from: 0.5, to: 6, step: 0.5",
            ".moves.temperature: it cannot be 6",
            "from 0 to 5",
        ),
    ];
    for (from, to, place, help) in cases {
        let found = broken(&controlled(), from, to);
        assert!(found.contains(&format!("{at}{place}")), "{to:?}: {found}");
        assert!(found.contains(help), "{to:?}: {found}");
    }
}

#[test]
fn nothing_is_moved_by_two() {
    let second = "  - grid_argmax: {on: {words: {split: val}}, search: {sample_k: {n: 2, temperature: $temperature}}, metric: random, \
                  moves: {temperature: {from: 1, to: 2, step: 1}}}\neach:\n";
    // The controllers stand before `each`.
    let found = broken(&controlled(), "each:\n", second);
    assert!(found.contains("controllers[1].grid_argmax.moves.temperature"), "{found}");
    assert!(found.contains("is moved by controllers[0].grid_argmax already"), "{found}");
}
