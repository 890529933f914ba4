//! The plans of the shipped recipes, counted by hand.

use super::*;

fn plan(text: &str) -> Plan {
    let no_files = |name: &str| Err(format!("no file {name} in this test"));
    Plan::of(&Recipe::parse("my.yaml", text, &no_files).unwrap_or_else(|e| panic!("{e}")))
}

fn cost<'a>(plan: &'a Plan, phase: &str, name: &str) -> &'a Cost {
    let phase = plan.phases.iter().find(|p| p.phase == phase).unwrap();
    &phase.steps.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no {name}")).cost
}

#[test]
fn the_micro_plan_is_the_one_counted_by_hand() {
    let plan = plan(include_str!("../../../recipes/tests/micro.yaml"));
    let samples = cost(&plan, "each", "samples");
    assert_eq!((samples.jobs, samples.prompts, samples.completions, samples.sampled_tokens), (8, 64, 256, 1024));
    // Two trees of 24 simulations of 4 steps with 3 proposals each, on a trunk, two waves of two parts and the job that ends them.
    let trees = cost(&plan, "each", "trees");
    assert_eq!((trees.jobs, trees.completions), (2 * 6, 2 * 24 * 4 * 3));
    // Two generations of at most 64 tasks with two records each, what trees find, and 80 demonstrations.
    let candidate = cost(&plan, "each", "candidate");
    assert_eq!((candidate.records, candidate.optimiser_steps), (80 + 2 * 128 + 576, 8 * 46));
    assert_eq!(cost(&plan, "each", "train-7").optimiser_steps, 2 * 4);
    assert_eq!(cost(&plan, "first", "train-2").optimiser_steps, 20 * 2);
    let ladder = cost(&plan, "each", "ladder");
    assert_eq!((ladder.jobs, ladder.completions, ladder.sampled_tokens), (4, 160, 640));
    // Two members, 60 tasks, one greedy and four ranked completions each.
    assert_eq!(cost(&plan, "finish", "evaluate-1").completions, 2 * 60 * 5);
    assert_eq!(plan.totals.rounds, 1 + 2 * 2);
    assert_eq!(plan.totals.optimiser_steps, 40 + 8 * (784_u64.div_ceil(20) + 46) + 2 * 8);
    assert_eq!(plan.sealed, ["digits/test: 60 tasks"]);
}

#[test]
fn the_plan_is_shown_as_a_table_and_as_json() {
    let plan = plan(include_str!("../../../recipes/quickstart.yaml"));
    let shown = plan.to_string();
    assert!(shown.contains("each, at most 2 times") && shown.contains("rollout samples"), "{shown}");
    assert!(shown.contains("sealed until finish: numbers/test: 200 tasks"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["totals"]["completions"].as_u64(), Some(plan.totals.completions));
}

#[test]
fn what_controllers_sample_is_planned_as_often_as_they_decide() {
    let with = |controllers: &str| {
        let text = include_str!("../../../recipes/quickstart.yaml").replace("generations: 2", "generations: 5");
        let text = text.replacen("each:\n", &format!("controllers: [{controllers}]\neach:\n"), 1);
        plan(&text)
    };
    let controller = |rest: &str| {
        format!(
            "{{grid_argmax: {{on: {{numbers: {{split: val, n: 100}}}}, search: {{sample_k: {{n: 8, temperature: $temperature}}}}, \
             metric: random, moves: {{temperature: {{from: 0.5, to: 0.9, step: 0.1}}}}{rest}}}}}"
        )
    };
    let without = with("").totals;
    let full = with(&controller(""));
    let one = *cost(&full, "controllers", "control-1");
    // Five temperatures, 100 tasks in chunks of 13.
    assert_eq!((one.jobs, one.prompts, one.completions), (5 * 8, 500, 4000));
    assert_eq!(full.totals.sampled_tokens - without.sampled_tokens, 5 * one.sampled_tokens);
    assert_eq!(full.phases[0].phase, "controllers");
    let halved = with(&controller(", budget: successive_halving, every: 2"));
    let one = *cost(&halved, "controllers", "control-1");
    // All five on 25 tasks, three on 25 more, two on 50 more.
    assert_eq!(one.prompts, 5 * 25 + 3 * 25 + 2 * 50);
    assert_eq!(halved.totals.completions - without.completions, 3 * one.completions, "generations 1, 3 and 5");
}
