//! Measured searches of an environment on the libtorch engine: what they would have answered for fewer tokens is what fewer of them
//! answer, the environment decides as it does on rollouts, the baseline is of whole episodes, and a failed environment is no miss.

use std::ops::Range;

use galapagos_domain::job::{FailureClass, JobKind, JobOutput, MeasureSpec, RolloutSpec, TaskCurve};
use galapagos_domain::recipe::evaluate::{Evaluate, Metric};
use galapagos_domain::recipe::search::Search;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use galapagos_domain::tree::{TreeNode, TreeTurn};
use galapagos_worker::jobs::JobError;
use serde_json::{Value, json};

use crate::episodes::{Setting, WAYS, slippery, unruly};

fn episodes(n: u32) -> String {
    format!(r#"{{"env_rollout": {{"propose": {{"n": {n}, {WAYS}}}, "turns": 6}}}}"#)
}

/// It is told what each step pays.
fn tree() -> String {
    format!(
        r#"{{"mcts": {{"propose": {{"n": 3, "unit": "turn", {WAYS}}}, "budget": {{"simulations": 24, "depth": 6}},
        "simulate": "one_growth", "extract": {{"top": 1}}, "evaluate": [{{"verifier": {{"env_return": {{}}}}, "when": "every"}}]}}}}"#
    )
}

fn beam() -> String {
    format!(
        r#"{{"step_beam": {{"propose": {{"n": 3, "unit": "turn", {WAYS}}}, "beam": 3, "budget": {{"depth": 6}}, "extract": {{"top": 1}},
        "evaluate": [{{"verifier": "self_log_prob", "when": "every"}}]}}}}"#
    )
}

/// An evaluation of these searches, in alphabetical order, with what each is measured by.
fn evaluation(searches: &[(&str, String)], rerank: &Value) -> Vec<(Metric, Search)> {
    let searches: serde_json::Map<String, Value> =
        searches.iter().map(|(name, search)| ((*name).to_owned(), serde_json::from_str(search).unwrap())).collect();
    let evaluate = json!({"members": ["base"], "tasks": {}, "searches": searches, "rerank": rerank});
    serde_json::from_value::<Evaluate>(evaluate).unwrap().measured()
}

fn attempt(
    setting: &Setting,
    env: &Value,
    (metric, search): &(Metric, Search),
    indices: Range<u32>,
) -> Result<Vec<TaskCurve>, JobError> {
    let JobKind::Rollout(RolloutSpec { policy, tasks, critics, .. }) = setting.spec(env, &episodes(1), indices) else {
        panic!()
    };
    let (metric, search) = (metric.clone(), Box::new(search.clone()));
    let output = setting.bench.run(JobKind::Measure(MeasureSpec { policy, tasks, metric, search, critics }))?;
    let JobOutput::Measure { tasks, tokens } = output else { panic!("{output:?}") };
    assert_eq!(tokens, tasks.iter().map(|curve| curve.moments.last().unwrap().tokens).sum::<u64>());
    for curve in &tasks {
        assert!(curve.moments.is_sorted_by(|a, b| a.tokens < b.tokens), "{curve:?}");
        assert!(curve.moments.iter().all(|moment| moment.passes <= moment.answers), "{curve:?}");
    }
    Ok(tasks)
}

fn measured(setting: &Setting, search: &str, indices: Range<u32>) -> Vec<TaskCurve> {
    attempt(setting, &slippery(), &evaluation(&[("mine", search.to_owned())], &json!({}))[0], indices).unwrap()
}

/// What a rollout by the same search leaves, task by task.
fn rows(setting: &Setting, search: &str, indices: Range<u32>) -> Vec<Vec<Trajectory>> {
    let (rows, _) = setting.read(setting.bench.run(setting.spec(&slippery(), search, indices.clone())).unwrap());
    let of = |index| rows.iter().filter(|row| row.task == format!("train/{index}")).cloned().collect();
    indices.map(of).collect()
}

fn passes(rows: &[Trajectory]) -> u32 {
    rows.iter().filter(|row| row.verdict.outcome == Outcome::Pass).count() as u32
}

/// The places of the tokens that the policy sampled.
fn sampled(row: &Trajectory) -> Vec<usize> {
    let actions = row.credit.spans.iter().filter(|span| span.learn);
    actions.flat_map(|span| span.start as usize..span.end as usize).collect()
}

#[test]
fn the_way_of_many_episodes_is_that_of_a_rollout_and_holds_the_ends_of_fewer() {
    let setting = Setting::new();
    let whole = measured(&setting, &episodes(6), 0..5);
    assert_eq!(whole, measured(&setting, &episodes(6), 0..5), "another run");
    assert_eq!(whole, [measured(&setting, &episodes(6), 0..2), measured(&setting, &episodes(6), 2..5)].concat());
    for (curve, rows) in whole.iter().zip(rows(&setting, &episodes(6), 0..5)) {
        let mut tokens = 0;
        let by_hand = (1..=6).map(|count| {
            tokens += sampled(&rows[count - 1]).len() as u64;
            (tokens, count as u32, passes(&rows[..count]))
        });
        let seen = curve.moments.iter().map(|moment| (moment.tokens, moment.answers, moment.passes));
        assert_eq!(seen.collect::<Vec<_>>(), by_hand.collect::<Vec<_>>(), "in order of their numbers");
    }
    assert!(whole.iter().any(|curve| (1..6).contains(&curve.moments[5].passes)), "some walks get there: {whole:?}");
    for n in [1, 4] {
        for (large, small) in whole.iter().zip(measured(&setting, &episodes(n), 0..5)) {
            assert!(large.moments.contains(small.moments.last().unwrap()), "{n}: {small:?} is not in {large:?}");
        }
    }
}

#[test]
fn a_measured_tree_of_turns_ends_as_the_tree_of_a_rollout_does() {
    let setting = Setting::new();
    for search in [tree(), beam()] {
        let whole = measured(&setting, &search, 0..5);
        assert_eq!(whole, measured(&setting, &search, 0..5), "another run");
        assert_eq!(whole, [measured(&setting, &search, 0..1), measured(&setting, &search, 1..5)].concat());
        for (curve, rows) in whole.iter().zip(rows(&setting, &search, 0..5)) {
            let end = curve.moments.last().unwrap();
            assert_eq!((end.answers, end.passes), (rows.len() as u32, passes(&rows)), "{search}: {curve:?}");
            assert!(curve.moments.iter().all(|moment| moment.answers <= 1), "{curve:?}");
        }
    }
    // A tree that is told what steps pay keeps what is solved.
    let told = measured(&setting, &tree(), 0..5);
    assert!(told.iter().all(|curve| curve.moments.is_sorted_by_key(|moment| moment.passes)), "{told:?}");
    let (_, nodes) = setting.read(setting.bench.run(setting.spec(&slippery(), &tree(), 0..5)).unwrap());
    let mut solved = 0;
    for curve in &told {
        let nodes: Vec<&TreeNode> = nodes.iter().filter(|node| node.task == format!("train/{}", curve.task)).collect();
        let spent = |batch: u32| -> u64 {
            nodes.iter().filter(|node| node.batch <= batch).map(|node| node.log_probs.len() as u64).sum()
        };
        let goal = |node: &&&TreeNode| matches!(&node.turn, Some(TreeTurn::Played(played)) if played.score == 1.0);
        let first = nodes.iter().filter(goal).map(|node| node.batch).min();
        let right = curve.moments.iter().find(|moment| moment.passes == 1);
        assert_eq!(right.map(|moment| moment.tokens), first.map(spent), "the batch that got to the goal: {curve:?}");
        assert_eq!(curve.moments.last().unwrap().tokens, spent(u32::MAX));
        solved += u32::from(right.is_some());
    }
    assert!(solved > 0, "{told:?}");
}

#[test]
fn beside_them_stands_the_best_of_whole_episodes_and_only_the_tree_is_told() {
    let setting = Setting::new();
    let all = evaluation(&[("tree", tree()), ("episodes", episodes(2)), ("beam", beam())], &json!({"n": 5}));
    let called = |metric: &Metric| match metric {
        Metric::Search(name) => name.to_string(),
        Metric::Rerank(n) => format!("rerank@{n}"),
        other => panic!("{other:?}"),
    };
    let told: Vec<(String, bool)> =
        all.iter().map(|(metric, search)| (called(metric), search.knows_answers())).collect();
    let expected = [("beam", false), ("episodes", false), ("tree", true), ("rerank@5", false)];
    assert_eq!(told, expected.map(|(name, told)| (name.to_owned(), told)));
    // Sampled as the first one, by name: the beam draws at the same temperature and under the same guide, six turns deep.
    let baseline = attempt(&setting, &slippery(), &all[3], 0..5).unwrap();
    for (curve, rows) in baseline.iter().zip(rows(&setting, &episodes(5), 0..5)) {
        let (mut tokens, mut best) = (0, (f64::NEG_INFINITY, 0));
        let by_hand = rows.iter().map(|row| {
            let places = sampled(row);
            let sum: f64 = places.iter().map(|place| f64::from(row.log_probs[*place])).sum();
            // A score is kept as a single.
            let mean = f64::from((sum / places.len() as f64) as f32);
            tokens += places.len() as u64;
            if mean > best.0 {
                best = (mean, passes(std::slice::from_ref(row)));
            }
            (tokens, 1, best.1)
        });
        let seen = curve.moments.iter().map(|moment| (moment.tokens, moment.answers, moment.passes));
        assert_eq!(seen.collect::<Vec<_>>(), by_hand.collect::<Vec<_>>());
    }
}

#[test]
fn a_search_in_which_the_environment_fails_is_no_miss() {
    let setting = Setting::new();
    let env = json!({"url": unruly(), "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 1, "retries": 0});
    let walks = r#"{"env_rollout": {"propose": {"n": 1, "max_tokens": 3}, "turns": 3}}"#.to_owned();
    let tree = r#"{"mcts": {"propose": {"n": 1, "max_tokens": 3, "unit": "turn"}, "budget": {"simulations": 2, "depth": 3},
        "evaluate": [{"verifier": "self_log_prob", "when": "every"}], "extract": {"top": 1}}}"#;
    let all = evaluation(&[("a", walks), ("b", tree.to_owned())], &json!({"n": 2}));
    for (search, failing) in all.iter().zip([1, 1, 1]) {
        let error = attempt(&setting, &env, search, 0..failing + 1).unwrap_err();
        assert_eq!(error.class(), FailureClass::Transient, "{error}");
        assert!(error.to_string().contains(&format!("task train/{failing} cannot be played to its end")), "{error}");
        let played = attempt(&setting, &env, search, 0..1).unwrap();
        let end = played[0].moments.last().unwrap();
        assert_eq!((end.answers, end.passes), (1, 1), "the environment scores its only turn 1");
    }
    // One whose episode cannot even begin, beside one that is played.
    let error = attempt(&setting, &env, &all[0], 7..9).unwrap_err();
    assert!(error.to_string().contains("task train/8 cannot be played to its end"), "{error}");
}
