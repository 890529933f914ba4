//! Jobs over a data set: rows come from the store by digest, demonstrations are whole solutions, the set's own rule decides.

use std::sync::Arc;

use galapagos_artifacts::datasets::Shelves;
use galapagos_domain::ids::Name;
use galapagos_domain::job::{
    CurateFrom, CurateSpec, EvaluateSpec, FailureClass, JobKind, JobOutput, RolloutSpec, TaskSlice,
};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::tasks::{Split, TaskSet};
use galapagos_domain::seed::Seed;

use super::JobError;
use super::test_bench::{Bench, SAMPLING};
use crate::code::Code;
use crate::sandbox::{FloorName, Walls};

const RECIPE: &str = include_str!("../../../recipes/tests/micro.yaml");
const DIGITS: &str =
    "digits: {builtin: {family: sort_three_digits, train: 128, val: 40, test: 60, demonstrations: 80}}";

/// Sixty rows of three digits, as the mock engine can sort them, and the data set that the recipe makes of them.
fn shelves(files: &str) -> (TaskSet, Shelves) {
    let folder = tempfile::tempdir().unwrap();
    let rows = (100..160).map(|n: u32| {
        let mut digits: Vec<char> = n.to_string().chars().collect();
        digits.sort_unstable();
        let sorted: String = digits.into_iter().collect();
        format!("{}\n", serde_json::json!({"q": format!("{n}>"), "a": format!("first {n} #### {sorted}"), "s": sorted, "t": ["assert f() == 1"], "u": ["assert True"]}))
    });
    std::fs::write(folder.path().join("digits.jsonl"), rows.collect::<String>()).unwrap();
    let text = RECIPE.replacen(DIGITS, &format!("digits: {{files: {{path: digits.jsonl, {files}}}}}"), 1);
    let text = text.replacen("digits: 64", "digits: 20", 1).replacen("0123456789>", "0123456789> #first", 1);
    let text = text.replacen("context: 16", "context: 64", 1);
    let mut shelves = Shelves::new(folder.path());
    let recipe = Recipe::parse_filled("r.yaml", &text, &|_| Err("none".to_owned()), &mut |recipe| shelves.fill(recipe));
    let recipe = recipe.unwrap_or_else(|e| panic!("{e}"));
    (recipe.tasks.into_values().next().unwrap(), shelves)
}

const HASHES: &str = "columns: {prompt: q, answer: a}, answer: gsm8k, shots: 1";

fn slice(source: &TaskSet, split: Split, count: u32) -> TaskSlice {
    let set = Name::new("digits").unwrap();
    TaskSlice { set, source: source.clone(), split, indices: (0..count).collect(), seed: Seed(7), proposed: None }
}

fn stored(files: &str) -> (Bench, TaskSet) {
    let bench = Bench::new();
    let (source, shelves) = shelves(files);
    bench.shop.runtime.block_on(shelves.store(&bench.shop.store)).unwrap();
    (bench, source)
}

fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
}

#[test]
fn demonstrations_are_the_training_rows_with_whole_solutions_behind_solved_examples() {
    let (bench, source) = stored(HASHES);
    let from =
        CurateFrom::Demonstrations { base: bench.policy, tasks: Box::new(slice(&source, Split::Demonstrations, 5)) };
    let JobOutput::Curate { dataset, .. } = bench.run(JobKind::Curate(CurateSpec::plain(from, Vec::new()))).unwrap()
    else {
        panic!()
    };
    for row in bench.read(&dataset) {
        let prompt = text(&row.prompt_tokens);
        let (example, question) = prompt.split_at(row.prefix_len as usize);
        assert!(example.contains(">first ") && example.ends_with('\n'), "{prompt:?}");
        assert_eq!(row.completion, format!("first {} #### {}", &question[..3], &row.completion[15..]));
        assert_eq!(text(&row.completion_tokens), format!("{}\n", row.completion));
        assert!(row.task.starts_with("demonstrations/"), "{}", row.task);
    }
}

#[test]
fn the_sets_own_rule_decides_in_rollouts_and_evaluations() {
    // The mock writes the digits alone: as a number they are right, as a text they are the plain answer.
    for files in [HASHES, "columns: {prompt: q, answer: s}"] {
        let (bench, source) = stored(files);
        let JobKind::Rollout(spec) = bench.rollout(0..1) else { panic!() };
        let rollout = JobKind::Rollout(RolloutSpec { tasks: slice(&source, Split::Train, 12), ..spec });
        let JobOutput::Rollout { trajectories, counts, .. } = bench.run(rollout.clone()).unwrap() else { panic!() };
        assert!(counts.pass > 0 && counts.fail > 0 && counts.total() == 36, "{counts:?}");
        let by = if files == HASHES { "numeric/1" } else { "exact/1" };
        assert!(bench.read(&trajectories).iter().all(|row| row.verdict.verifier == by));
        assert_eq!(bench.run(rollout.clone()).unwrap(), bench.run(rollout).unwrap());
        let spec = EvaluateSpec {
            policy: bench.policy,
            critic: None,
            critic_shots: false,
            tasks: slice(&source, Split::Test, 3),
            samples: 2,
            sampling: SAMPLING,
        };
        let JobOutput::Evaluate { tasks, .. } = bench.run(JobKind::Evaluate(spec)).unwrap() else { panic!() };
        assert_eq!(tasks.len(), 3);
    }
}

#[test]
fn rows_that_are_not_there_or_damaged_are_told() {
    let (source, _) = shelves(HASHES);
    let bench = Bench::new();
    let JobKind::Rollout(spec) = bench.rollout(0..1) else { panic!() };
    let run = |source: TaskSet| {
        let tasks = slice(&source, Split::Train, 1);
        bench.run(JobKind::Rollout(RolloutSpec { tasks, ..spec.clone() })).unwrap_err()
    };
    assert!(matches!(run(source.clone()), JobError::Store { .. }), "never stored");
    let broken = |change: &dyn Fn(&mut galapagos_domain::recipe::tasks::files::Files)| {
        let mut source = source.clone();
        if let TaskSet::Files(files) = &mut source {
            change(files);
        }
        source
    };
    let unread = run(broken(&|files| files.stored = None));
    assert!(matches!(unread, JobError::NotRead { .. }) && !unread.is_cancelled());
    let junk = bench.shop.runtime.block_on(bench.shop.store.put("{}\n".into(), 1)).unwrap();
    let damaged = run(broken(&|files| {
        if let Some(stored) = &mut files.stored {
            stored.train = junk.clone();
        }
    }));
    let chain = crate::failure::report(damaged.class(), &damaged).chain.join("\n");
    assert!(chain.contains("line 1 of the stored rows cannot be read: missing field `id`"), "{chain}");
}

#[test]
fn programs_where_no_code_runs_are_undecided_and_never_failed() {
    let files = "columns: {prompt: q, answer: s, tests: t}, tests: asserts, rule: {unit_tests: {}}";
    let (bench, source) = stored(files);
    let JobKind::Rollout(spec) = bench.rollout(0..1) else { panic!() };
    let refused = bench.run(JobKind::Rollout(RolloutSpec { tasks: slice(&source, Split::Train, 2), ..spec }));
    let refused = refused.unwrap_err();
    let chain = crate::failure::report(refused.class(), &refused).chain.join("\n");
    assert!(chain.contains("code of models is not run here: this is a test"), "{chain}");
    let spec = EvaluateSpec {
        policy: bench.policy,
        critic: None,
        critic_shots: false,
        tasks: slice(&source, Split::Test, 1),
        samples: 0,
        sampling: SAMPLING,
    };
    let undecided = bench.run(JobKind::Evaluate(spec)).unwrap_err();
    assert!(matches!(&undecided, JobError::Undecided { reason, .. } if reason.contains("not run here")), "{undecided}");
}

/// The sandbox's launcher is built by `cargo build -p galapagos-sandbox` where the whole workspace is not.
#[test]
fn shares_of_continuations_that_are_programs_are_counted_in_the_sandbox() {
    let files = "columns: {prompt: q, answer: s, tests: u}, tests: asserts, rule: {unit_tests: {}}";
    let (mut bench, source) = stored(files);
    let JobKind::Rollout(spec) = bench.rollout(0..1) else { panic!() };
    let search = r#"{"mcts": {"propose": {"n": 2, "unit": {"tokens": 1}}, "evaluate": [{"verifier": {"mc_rollout": {"samples": 3}}, "when": "leaf"}],
        "budget": {"simulations": 3, "depth": 4}}}"#;
    let search = Box::new(serde_json::from_str(search).unwrap());
    let kind = JobKind::Rollout(RolloutSpec { tasks: slice(&source, Split::Train, 6), search, ..spec });
    let refused = bench.run(kind.clone()).unwrap_err();
    assert_eq!(refused.class(), FailureClass::Transient, "another worker may have walls: {refused}");
    bench.shop.code = Arc::new(Code::walled(&Walls { sandbox_floor: FloorName::Strict, sandbox_python: None }));
    let run = || match bench.run(kind.clone()).unwrap() {
        JobOutput::Rollout { trees, audit, .. } => (bench.trees(&trees.unwrap()), audit.evaluators),
        other => panic!("{other:?}"),
    };
    let (nodes, heard) = run();
    assert!(heard.len() == 1 && heard[0].verdicts > 6 && heard[0].undecided() == 0, "{heard:?}");
    // What the mock writes behind a single digit is no Python.
    let shares: Vec<f32> = nodes.iter().flat_map(|node| &node.scores).map(|score| score.value).collect();
    assert_eq!(shares, vec![0.0; usize::try_from(heard[0].verdicts).unwrap()]);
    assert_eq!(run(), (nodes, heard), "the order in which checks end changes nothing");
}
