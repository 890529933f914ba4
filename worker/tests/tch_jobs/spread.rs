//! Trees that several jobs grow: handed on through the store from one wave to the next, put together and verified by a last job.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use galapagos_artifacts::{trajectories, trees};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::job::{GrowSpec, JobKind, JobOutput, RolloutSpec};
use galapagos_domain::trajectory::Outcome;
use galapagos_worker::cancel::Cancel;
use galapagos_worker::jobs::meter::Meter;

use crate::episodes;
use crate::searches::{Setting, search};

/// Four jobs grow, two at a time, and one takes what they found.
const SPREAD: &str = r#"{"mcts": {"propose": {"n": 3, "unit": {"tokens": 1}, "merge": "exact"}, "spread": {"jobs": 2, "waves": 2},
    "evaluate": [{"verifier": "rule"}, {"verifier": {"value": {"role": "critic", "squash": "tanh"}}, "when": "leaf"}],
    "budget": {"simulations": 25, "depth": 5}}}"#;

fn spec(setting: &Setting, tasks: std::ops::Range<u32>) -> RolloutSpec {
    let JobKind::Rollout(spec) = setting.spec(search(SPREAD), tasks) else { panic!() };
    spec
}

fn grow(setting: &Setting, rollout: &RolloutSpec, part: u32) -> (ArtifactRef, u64) {
    let output = setting.bench.run(JobKind::Grow(GrowSpec { rollout: rollout.clone(), part })).unwrap();
    let JobOutput::Grow { trees, tokens } = output else { panic!("{output:?}") };
    (trees, tokens)
}

/// Runs all waves; gives what the last job reads, and the tokens of all jobs.
fn waves(setting: &Setting, mut rollout: RolloutSpec) -> (RolloutSpec, u64) {
    let mut sum = 0;
    for parts in [1, 2, 2] {
        let (grown, tokens): (Vec<_>, Vec<u64>) = (0..parts).map(|part| grow(setting, &rollout, part)).unzip();
        sum += tokens.iter().sum::<u64>();
        rollout.grown.push(grown);
    }
    (rollout, sum)
}

#[test]
fn what_the_parts_found_is_one_tree_whose_tokens_are_counted_once() {
    let setting = Setting::new();
    let (rollout, grown) = waves(&setting, spec(&setting, 0..3));
    let output = setting.bench.run(JobKind::Rollout(rollout)).unwrap();
    let JobOutput::Rollout { trajectories: rows, trees: nodes, tokens, counts, .. } = &output else { panic!() };
    let get = |file: &ArtifactRef| setting.bench.runtime.block_on(setting.bench.shop.store.get(&file.digest)).unwrap();
    let rows = trajectories::decode(get(rows)).unwrap();
    let (nodes, _) = trees::decode(get(nodes.as_ref().unwrap())).unwrap();
    assert_eq!((*tokens, counts.total(), counts.error), (0, rows.len() as u64, 0), "the last job samples nothing");
    let sampled: u64 = nodes.iter().filter(|node| node.parent.is_some()).map(|node| node.tokens.len() as u64).sum();
    let again: u64 = nodes.iter().map(|node| u64::from(node.again)).sum();
    assert_eq!(grown, sampled + again, "every step is one token, those counted that fell on siblings");
    for tree in nodes.chunk_by(|a, b| a.tree == b.tree) {
        assert!(tree.len() > 20, "{} has {} nodes", tree[0].tree, tree.len());
        let below: BTreeSet<u32> = tree.iter().filter_map(|node| node.parent).collect();
        assert!(below.len() > 5);
        let siblings: BTreeSet<(Option<u32>, &str)> =
            tree.iter().map(|node| (node.parent, node.text.as_str())).collect();
        assert_eq!(siblings.len(), tree.len(), "equal siblings are one node, whichever part drew them");
    }
    for row in &rows {
        let leaf = row.leaf.as_ref().unwrap();
        let node = nodes.iter().find(|node| (&node.tree, node.node) == (&leaf.tree, leaf.node)).unwrap();
        assert!(node.found && node.verdict.as_ref().unwrap().outcome == row.verdict.outcome, "{row:?}");
    }
    // A task's tree is its own, whatever other tasks its jobs had.
    let (alone, _) = waves(&setting, spec(&setting, 1..2));
    let output = setting.bench.run(JobKind::Rollout(alone)).unwrap();
    let JobOutput::Rollout { trees: Some(alone), .. } = output else { panic!("{output:?}") };
    let (alone, _) = trees::decode(get(&alone)).unwrap();
    let same: Vec<_> = nodes.iter().filter(|node| node.task == alone[0].task).cloned().collect();
    assert_eq!(alone, same);
}

#[test]
fn a_part_that_is_lost_is_gone_on_with_and_gives_the_same() {
    let mut setting = Setting::new();
    let mut rollout = spec(&setting, 0..2);
    rollout.grown.push(vec![grow(&setting, &rollout, 0).0]);
    let undisturbed = grow(&setting, &rollout, 1);
    setting.bench.shop.keep_every_ms = 0;
    let job = "e/g1/samples/0".parse().unwrap();
    let mut went_on = 0;
    for readings in [4, 8, 12, 16] {
        let (cancel, left) = (Cancel::default(), Arc::new(AtomicU32::new(readings)));
        let raise = cancel.clone();
        let listener = move |_| {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                raise.raise();
            }
        };
        let kind = JobKind::Grow(GrowSpec { rollout: rollout.clone(), part: 1 });
        if let Err(error) = setting.bench.attempt(kind, &Meter::new(cancel, Arc::new(listener))) {
            assert!(error.is_cancelled(), "{error}");
            let kept = setting.bench.runtime.block_on(setting.bench.shop.store.progress(&job)).unwrap();
            went_on += u32::from(kept.is_some());
        }
        assert_eq!(grow(&setting, &rollout, 1), undisturbed, "lost after {readings} readings");
    }
    assert!(went_on > 0, "no attempt was lost in the middle");
}

#[test]
fn trees_of_another_search_are_refused_with_their_name() {
    let setting = Setting::new();
    let mut other = spec(&setting, 0..2);
    other.grown.push(vec![grow(&setting, &spec(&setting, 2..4), 0).0]);
    let refused = |kind: JobKind| {
        let error = setting.bench.run(kind).unwrap_err();
        assert_eq!(error.class(), galapagos_domain::job::FailureClass::Invalid);
        galapagos_worker::failure::report(error.class(), &error).chain.join("\n")
    };
    let told = refused(JobKind::Grow(GrowSpec { rollout: other.clone(), part: 0 }));
    assert!(
        told.contains("cannot go on from what other jobs grew") && told.contains("another specification"),
        "{told}"
    );
    assert!(told.contains(&other.grown[0][0].digest.to_string()), "{told}");
    let JobKind::Rollout(plain) = setting.spec(search(r#"{"sample_k": {"n": 2}}"#), 0..2) else { panic!() };
    let told = refused(JobKind::Grow(GrowSpec { rollout: plain, part: 0 }));
    assert!(told.contains("the search is not spread over jobs"), "{told}");
}

/// A task whose episode cannot begin grows in no wave and is an error at the end; the others grow.
#[test]
fn an_instance_that_never_begins_holds_no_spread_search() {
    let setting = episodes::Setting::new();
    let env = serde_json::json!({"url": episodes::unruly(), "train": 9, "val": 0, "test": 0, "tokens": 200, "deadline": 1, "retries": 0});
    let search = r#"{"mcts": {"propose": {"n": 2, "max_tokens": 3, "unit": "turn"}, "evaluate": [{"verifier": {"env_return": {}}}],
        "budget": {"nodes": 6, "depth": 2}, "spread": {"jobs": 2}}}"#;
    let JobKind::Rollout(mut rollout) = setting.spec(&env, search, 7..9) else { panic!() };
    for parts in [1, 2] {
        let grow = |part| match setting.bench.run(JobKind::Grow(GrowSpec { rollout: rollout.clone(), part })) {
            Ok(JobOutput::Grow { trees, .. }) => trees,
            other => panic!("{other:?}"),
        };
        let grown = (0..parts).map(grow).collect();
        rollout.grown.push(grown);
    }
    let (rows, nodes) = setting.read(setting.bench.run(JobKind::Rollout(rollout)).unwrap());
    let outcomes: Vec<(&str, Outcome)> = rows.iter().map(|row| (row.task.as_str(), row.verdict.outcome)).collect();
    let [right, never] = [("train/7", Outcome::Pass), ("train/8", Outcome::Error)];
    assert_eq!(outcomes, [right, right, never, never], "{rows:?}");
    assert_eq!(nodes.iter().filter(|node| node.task == "train/7").count(), 3, "{nodes:?}");
}
