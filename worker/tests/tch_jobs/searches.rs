//! Searches on the libtorch engine: what a task finds depends on it alone, on every preset; tokens and log-probabilities are those of
//! the policy; trees come back from their tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use galapagos_artifacts::{trajectories, trees};
use galapagos_domain::ids::{Digest, JobId};
use galapagos_domain::job::{Critic, JobKind, JobOutput, RolloutSpec};
use galapagos_domain::recipe::search::{Search, Trust};
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::recipe::{Characters, Head};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use galapagos_domain::tree::{NodeEnd, TreeNode};
use galapagos_model::probe::Probe;
use galapagos_model::{EngineOptions, Precision, RunControl, ScoreRequest};
use galapagos_worker::cancel::Cancel;
use galapagos_worker::code::Code;
use galapagos_worker::engine::conversation::{ChatBatch, Reply};
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{
    Batch, CheckpointDir, Codec, Completion, Engine, EngineError, EngineHandle, ScoreBatch, Watch,
};
use galapagos_worker::jobs::meter::Meter;
use galapagos_worker::sandbox::{FloorName, Walls};

use crate::bench::{Bench, slice};
use crate::probes::{commit, model};

/// The same engine, which computes lists only: every stream goes in waves.
pub struct Waves(pub TchEngine);

impl Engine for Waves {
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        self.0.codec(checkpoint)
    }
    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        self.0.generate(batch, watch)
    }
    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        self.0.chat(batch, watch)
    }
    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        self.0.score(batch, watch)
    }
    fn likely(
        &mut self,
        checkpoint: &CheckpointDir,
        behind: &[u32],
        next: &[u32],
        watch: &Watch,
    ) -> Result<Vec<f32>, EngineError> {
        self.0.likely(checkpoint, behind, next, watch)
    }
    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        self.0.inspect(folder)
    }
    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        self.0.initialise(shape, seed, folder)
    }
}

/// Every preset, on steps of one token where it has steps.
const SEARCHES: [&str; 12] = [
    r#"{"best_of_n": {"propose": {"n": 4}, "by": [{"verifier": {"orm": "critic"}}, {"verifier": "self_log_prob", "weight": 0.1}]}}"#,
    r#"{"vote": {"propose": {"n": 5}}}"#,
    r#"{"vote": {"propose": {"n": 4}, "by": {"weighted": {"verifier": {"prm": "critic"}, "steps": "min", "unit": {"tokens": 2}}}}}"#,
    r#"{"step_beam": {"propose": {"n": 3, "unit": {"tokens": 1}}, "beam": 2, "budget": {"depth": 4},
        "evaluate": [{"verifier": {"prm": "critic"}, "when": "every"}, {"verifier": "rule"}]}}"#,
    r#"{"mcts": {"propose": {"n": 3, "unit": {"tokens": 1}, "merge": "exact"}, "budget": {"simulations": 6, "depth": 4}}}"#,
    r#"{"mcts": {"propose": {"n": 2, "unit": {"tokens": 2}}, "select": {"puct": {"c": 2.0}}, "simulate": "one_growth",
        "evaluate": [{"verifier": "rule", "map": {"pass": 1, "fail": -1}}, {"verifier": {"value": {"role": "critic", "squash": "tanh"}}, "when": "leaf"}],
        "budget": {"simulations": 5, "depth": 4}, "parallel": {"leaves": 2}, "backup": "half_own_half_children"}}"#,
    r#"{"mcts": {"propose": {"n": 1, "unit": {"tokens": 1}, "merge": {"edit_distance": {"below": 1, "resample": 2}}},
        "select": {"best_first": {"extra": [{"diversity": 0.5}, {"depth": {"alpha": 1, "beta": 1, "gamma": 0.1}}]}}, "width": {"adaptive": {"alpha": 4, "min": 2, "max": 4}},
        "evaluate": [{"verifier": {"mc_rollout": {"samples": 3}}, "when": "leaf"}, {"verifier": "rule"}], "budget": {"tokens": 60, "depth": 4}}}"#,
    r#"{"id_sampling": {"propose": {"n": 2}, "first": 2, "most": 9, "trigger": ">"}}"#,
    r#"{"multi_turn": {"propose": {"n": 2}, "turns": 2, "instruction": "321>"}}"#,
    r#"{"multi_turn": {"propose": {"n": 2}, "turns": 3, "instruction": "321>", "judge": "every"}}"#,
    r#"{"refine_loop": {"propose": {"n": 2}, "rounds": 1, "feedback": ">", "revise": "4>", "content": "7"}}"#,
    r#"{"debate": {"propose": {"n": 1}, "speakers": 2, "rounds": 2, "others": "0", "again": ">"}}"#,
];

pub fn search(text: &str) -> Search {
    serde_json::from_str(text).unwrap()
}

pub struct Setting {
    pub bench: Bench,
    pub policy: Digest,
    pub critic: Digest,
}

impl Setting {
    pub fn new() -> Self {
        let bench = Bench::new();
        let policy = model(64, 1);
        let critic = (model(64, 2).0.to_scalar(3).unwrap(), model(64, 2).1);
        let [policy, critic] = [&policy, &critic].map(|made| commit(&bench, made, &Probe::of(&made.0, None).unwrap()));
        Self { bench, policy, critic }
    }

    pub fn spec(&self, search: Search, indices: std::ops::Range<u32>) -> JobKind {
        let critic = Critic { checkpoint: self.critic, head: Head::Scalar, shots: true };
        JobKind::Rollout(RolloutSpec {
            policy: self.policy,
            tasks: slice(Split::Train, indices),
            search: Box::new(search),
            verify: vec![Verifier::Rule],
            critics: BTreeMap::from([("critic".parse().unwrap(), critic)]),
            trust: Trust::default(),
            grown: Vec::new(),
        })
    }

    fn run(&self, search: Search, indices: std::ops::Range<u32>) -> (Vec<Trajectory>, Vec<TreeNode>) {
        self.found(self.spec(search, indices))
    }

    fn found(&self, job: JobKind) -> (Vec<Trajectory>, Vec<TreeNode>) {
        let output = self.bench.run(job).unwrap();
        let JobOutput::Rollout { trajectories: rows, trees, counts, .. } = output else { panic!("{output:?}") };
        assert_eq!((counts.total(), counts.error), (rows.rows, 0));
        let get = |digest: &Digest| self.bench.runtime.block_on(self.bench.shop.store.get(digest)).unwrap();
        let nodes = trees.map_or_else(Vec::new, |trees| trees::decode(get(&trees.digest)).unwrap().0);
        (trajectories::decode(get(&rows.digest)).unwrap(), nodes)
    }
}

#[test]
fn what_a_task_finds_depends_on_it_alone() {
    let mut setting = Setting::new();
    let whole: Vec<_> = SEARCHES.map(|text| setting.run(search(text), 0..6)).into();
    for (text, (rows, nodes)) in SEARCHES.iter().zip(&whole) {
        let (mut pieces, mut grown) = (Vec::new(), Vec::new());
        for piece in [0..1, 1..4, 4..6] {
            let (rows, nodes) = setting.run(search(text), piece);
            pieces.extend(rows);
            grown.extend(nodes);
        }
        assert_eq!((rows, nodes), (&pieces, &grown), "{text}");
    }
    setting.bench.shop.engine = EngineHandle::start(|| Box::new(Waves(TchEngine::new()))).unwrap();
    for (text, whole) in SEARCHES.iter().zip(&whole) {
        assert_eq!(&setting.run(search(text), 0..6), whole, "in waves: {text}");
    }
}

/// The policy's own engine says the same of every token that a search sampled, in whatever turn or branch: ids and log-probabilities
/// survive instructions, triggers and steps.
#[test]
fn tokens_and_log_probabilities_are_the_policys_own() {
    let setting = Setting::new();
    let options = EngineOptions { precision: Precision::F32, ..EngineOptions::default() };
    let mut engine = galapagos_model::Engine::new(&model(64, 1).0, options).unwrap();
    let ten = r#"{"multi_turn": {"propose": {"n": 1, "max_tokens": 2}, "turns": 10, "instruction": "3>"}}"#;
    for text in SEARCHES.into_iter().chain([ten]) {
        let (rows, _) = setting.run(search(text), 0..2);
        assert!(!rows.is_empty(), "{text}");
        for row in rows {
            let tokens = [row.prompt_tokens.as_slice(), &row.completion_tokens].concat();
            assert_eq!(row.log_probs.len(), row.completion_tokens.len());
            let request = ScoreRequest::continuation(&row.prompt_tokens, &row.completion_tokens);
            let scored = engine.score(&[request], &mut RunControl::default()).unwrap();
            let learnt = |place: usize| {
                let inside =
                    row.credit.spans.iter().find(|span| (span.start as usize..span.end as usize).contains(&place));
                row.credit.spans.is_empty() || inside.unwrap().learn
            };
            let sampled = (0..row.log_probs.len()).filter(|place| learnt(*place)).count();
            assert!(sampled > 0, "{text}");
            for (place, (said, scored)) in row.log_probs.iter().zip(&scored[0]).enumerate() {
                if learnt(place) {
                    assert!((said - scored).abs() < 1e-4, "{text}: token {place} of {tokens:?}: {said} and {scored}");
                } else {
                    assert_eq!(*said, 0.0, "{text}: nobody sampled token {place}");
                }
            }
        }
    }
    let (rows, _) = setting.run(search(ten), 0..1);
    let turns = rows[0].credit.spans.iter().filter(|span| span.learn).count();
    assert_eq!((turns, rows[0].credit.spans.len()), (10, 19), "ten answers with nine instructions between them");
}

#[test]
fn a_tree_is_stored_whole_and_its_rows_say_where_they_end() {
    let setting = Setting::new();
    let (rows, nodes) = setting.run(search(SEARCHES[4]), 0..3);
    let trees: Vec<_> = nodes.chunk_by(|a, b| a.tree == b.tree).collect();
    assert_eq!(trees.len(), 3);
    for tree in &trees {
        let back = galapagos_worker::search::tree_of(tree).unwrap();
        assert_eq!(back.len(), tree.len());
        assert_eq!(tree[0].tokens, rows.iter().find(|row| row.task == tree[0].task).unwrap().prompt_tokens);
    }
    for row in &rows {
        let leaf = row.leaf.as_ref().unwrap();
        let node = nodes.iter().find(|node| (&node.tree, node.node) == (&leaf.tree, leaf.node)).unwrap();
        assert!(node.found && node.verdict.as_ref().unwrap().outcome == row.verdict.outcome, "{row:?}");
        let (depth, spans) = (node.depth as usize, row.credit.spans.len());
        assert_eq!(if depth == 1 { 0 } else { depth }, spans);
    }
    assert_eq!(nodes.iter().filter(|node| node.found).count(), rows.len());
    let again = nodes.iter().map(|node| node.again).sum::<u32>();
    assert!(again > 0, "with steps of one digit some proposals must have been merged");
}

#[test]
fn a_critic_that_gives_no_numbers_is_refused_by_name() {
    let mut setting = Setting::new();
    setting.critic = setting.policy;
    let error = setting.bench.run(setting.spec(search(SEARCHES[0]), 0..2)).unwrap_err();
    let chain = galapagos_worker::failure::report(error.class(), &error).chain.join("\n");
    assert!(chain.contains("give numbers: it has a language-model head"), "{chain}");
}

/// What fails is written anew by a model of its own, whose codec is not the policy's.
#[test]
fn another_role_writes_for_a_search() {
    let setting = Setting::new();
    // The policy writes two characters at most, of which none pass.
    let text = r#"{"critic_sampling": {"propose": {"n": 3, "max_tokens": 2}, "critic": "self_log_prob",
        "tests": {"rules": {"list": [{"id": "long", "must": {"match": "..."}}]}},
        "repair": {"programs": 2, "n": 4, "write": {"role": "writer", "ask": "{prompt}", "temperature": 1.0, "max_tokens": 4}}}}"#;
    let JobKind::Rollout(mut spec) = setting.spec(search(text), 0..4) else { unreachable!("it is one") };
    let writer = Critic { checkpoint: setting.policy, head: Head::Lm, shots: true };
    spec.critics.insert("writer".parse().unwrap(), writer);
    let (rows, _) = setting.found(JobKind::Rollout(spec));
    let long = rows.iter().filter(|row| row.completion.len() > 2).count();
    assert!(rows.len() == 4 && long > 0, "{long} of {}", rows.len());
}

/// An attempt that is lost in the middle of its trees leaves what it had; another one goes on from there and gives the same output,
/// tokens counted once.
#[test]
fn another_attempt_goes_on_from_the_trees_of_a_lost_one() {
    let mut setting = Setting::new();
    setting.bench.shop.keep_every_ms = 0;
    let job = JobId::new("e/g1/samples/0").unwrap();
    let kept = |setting: &Setting| setting.bench.runtime.block_on(setting.bench.shop.store.progress(&job)).unwrap();
    for text in [SEARCHES[3], SEARCHES[4], SEARCHES[5], SEARCHES[6]] {
        let spec = || setting.spec(search(text), 0..4);
        let undisturbed = setting.bench.run(spec()).unwrap();
        assert_eq!(kept(&setting), None, "what was kept is dropped with the output");
        let mut went_on = 0;
        for readings in [8, 14, 20, 26] {
            let (cancel, left) = (Cancel::default(), Arc::new(AtomicU32::new(readings)));
            let raise = cancel.clone();
            let listener = move |_| {
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    raise.raise();
                }
            };
            let lost = setting.bench.attempt(spec(), &Meter::new(cancel, Arc::new(listener)));
            if let Err(error) = lost {
                assert!(error.is_cancelled(), "{error}");
                went_on += u32::from(kept(&setting).is_some());
            }
            assert_eq!(setting.bench.run(spec()).unwrap(), undisturbed, "lost after {readings} readings: {text}");
        }
        assert!(went_on > 0, "no attempt was lost in the middle of {text}");
    }
    let damaged = setting.bench.shop.store.save_progress(&job, "no table".into());
    setting.bench.runtime.block_on(damaged).unwrap();
    let spec = || setting.spec(search(SEARCHES[4]), 0..2);
    assert_eq!(setting.bench.run(spec()).unwrap(), setting.bench.run(spec()).unwrap(), "told, and begun anew");
}

/// Steps of digits run, a step that is no Python ends its path; the sandbox decides that, beside the searches. Its launcher is built
/// by `cargo build -p galapagos-sandbox` where the whole workspace is not.
#[test]
fn a_step_that_does_not_run_ends_its_path() {
    let mut setting = Setting::new();
    let text = r#"{"mcts": {"propose": {"n": 4, "unit": {"tokens": 1}, "merge": "exact"}, "simulate": "one_growth",
        "evaluate": [{"verifier": {"step_executor": {"seconds": 20}}, "when": "every", "kill_after": 1}, {"verifier": "rule"}],
        "budget": {"simulations": 4, "depth": 4}}}"#;
    let refused = setting.bench.run(setting.spec(search(text), 0..1)).unwrap_err();
    let chain = galapagos_worker::failure::report(refused.class(), &refused).chain.join("\n");
    assert!(chain.contains("code of models is not run here: this is a test"), "{chain}");

    let walls = Walls { sandbox_floor: FloorName::Strict, sandbox_python: None };
    setting.bench.shop.code = Arc::new(Code::walled(&walls));
    setting.bench.shop.code.check().unwrap();
    let (rows, nodes) = setting.run(search(text), 0..4);
    let killed = |node: &TreeNode| node.end == Some(NodeEnd::Killed);
    assert!(nodes.iter().any(killed) && nodes.iter().any(|node| node.depth > 1), "both kinds of steps came");
    for node in nodes.iter().filter(|node| node.parent.is_some()) {
        assert_eq!(killed(node), node.text.contains('>'), "{node:?}");
        if killed(node) {
            let verdict = node.verdict.as_ref().unwrap();
            assert!(verdict.reason.contains("raised") && verdict.verifier == "step_executor/1", "{verdict:?}");
        }
    }
    assert!(rows.iter().all(|row| !row.completion.contains('>')));
    assert_eq!(setting.run(search(text), 0..4), (rows, nodes), "the order in which checks end changes nothing");
}

#[test]
fn answers_of_a_task_are_compared_with_each_other() {
    let setting = Setting::new();
    let spec = |word: &str| {
        let JobKind::Rollout(spec) = setting.spec(search(r#"{"sample_k": {"n": 8}}"#), 0..3) else { panic!() };
        let verify = serde_json::from_str(&format!(
            r#"["rule", {{"consistency": "{word}"}}, "self_log_prob", "sequence_log_prob"]"#
        ))
        .unwrap();
        JobKind::Rollout(RolloutSpec { verify, ..spec })
    };
    let rows = |word: &str| {
        let JobOutput::Rollout { trajectories: file, .. } = setting.bench.run(spec(word)).unwrap() else { panic!() };
        trajectories::decode(setting.bench.runtime.block_on(setting.bench.shop.store.get(&file.digest)).unwrap())
            .unwrap()
    };
    let (shares, entropies) = (rows("share"), rows("entropy"));
    for (task, entropy) in shares.chunk_by(|a, b| a.task == b.task).zip(entropies.chunk_by(|a, b| a.task == b.task)) {
        let mut expected = 0.0;
        for row in task {
            let same = task.iter().filter(|other| other.completion.trim() == row.completion.trim()).count() as f32;
            assert_eq!(
                row.scores.iter().map(|score| score.by.as_str()).collect::<Vec<_>>(),
                ["consistency/1", "self_log_prob/1", "sequence_log_prob/1"]
            );
            assert_eq!(row.scores[0].value, same / 8.0);
            expected -= (same / 8.0).ln() / 8.0;
            let sum = row.log_probs.iter().sum::<f32>();
            assert!((row.scores[1].value - sum / row.log_probs.len() as f32).abs() < 1e-5);
            assert!((row.scores[2].value - sum).abs() < 1e-4);
        }
        assert!(entropy.iter().all(|row| (row.scores[0].value - expected).abs() < 1e-5), "{expected}: {entropy:?}");
    }
}
