//! Verifiers that are made of others on the libtorch engine: numbers of several critics and of one under masks, whatever the job is cut
//! into; and a program that never ends, which is asked about again and then given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_artifacts::trajectories;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::job::{Critic, JobKind, JobOutput, RolloutSpec, Sampling};
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::search::{Search, Trust};
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, Tokenizer};
use galapagos_worker::cancel::Cancel;
use galapagos_worker::code::Code;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{EngineError, EngineHandle};
use galapagos_worker::failure;
use galapagos_worker::jobs::meter::Meter;
use galapagos_worker::jobs::tasks::{Shelf, Tasks};
use galapagos_worker::sandbox::{FloorName, Walls};
use galapagos_worker::search::{Answer, Forest, NodeId, Nowhere, Pace, Part, Piece, Strategy, Tree, Want};

use crate::bench::{Bench, samples, slice};
use crate::probes::{commit, model};
use crate::searches::Waves;

struct Setting {
    bench: Bench,
    policy: Digest,
    critics: BTreeMap<Name, Critic>,
}

impl Setting {
    fn new() -> Self {
        let bench = Bench::new();
        let committed = |made: &(Decoder, Tokenizer)| commit(&bench, made, &Probe::of(&made.0, None).unwrap());
        let policy = model(64, 1);
        let critic = |seed| (model(64, seed).0.to_scalar(seed + 10).unwrap(), model(64, seed).1);
        let (first, second) = (critic(2), critic(3));
        let named =
            |name: &str, checkpoint| (name.parse().unwrap(), Critic { checkpoint, head: Head::Scalar, shots: true });
        let [policy, first, second] = [&policy, &first, &second].map(committed);
        let critics = [named("critic", first), named("other", second)].into_iter().collect();
        Self { bench, policy, critics }
    }

    fn run(&self, verify: &str, indices: std::ops::Range<u32>) -> Result<Vec<Trajectory>, String> {
        let spec = samples(self.policy, slice(Split::Train, indices), 3, Sampling::at(1.0));
        let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap();
        let output = self.bench.run(JobKind::Rollout(RolloutSpec { verify, critics: self.critics.clone(), ..spec }));
        let output = output.map_err(|error| failure::report(error.class(), &error).chain.join("\n"))?;
        let JobOutput::Rollout { trajectories: rows, .. } = output else { panic!("{output:?}") };
        let bytes = self.bench.runtime.block_on(self.bench.shop.store.get(&rows.digest)).unwrap();
        Ok(trajectories::decode(bytes).unwrap())
    }
}

/// Two critics, both together, one under masks, a mean of both, and masks again and again.
const DOUBTS: &str = r#"["rule", {"orm": "critic"}, {"orm": "other"},
    {"uncertainty": {"verify": {"orm": "critic"}, "how": {"ensemble": ["other"]}}},
    {"uncertainty": {"verify": {"orm": "critic"}, "how": {"mc_dropout": {"samples": 64, "rate": 0.2}}, "penalty": 0}},
    {"combine": {"how": "mean", "of": [{"verify": {"orm": "other"}, "weight": 3}, {"verify": {"orm": "critic"}}]}},
    {"repeat": {"times": 4, "how": "mean",
        "verify": {"uncertainty": {"verify": {"orm": "critic"}, "how": {"mc_dropout": {"samples": 2, "rate": 0.2}}}}}}]"#;

#[test]
fn numbers_are_combined_as_by_hand_and_depend_on_their_task_alone() {
    let mut setting = Setting::new();
    let rows = setting.run(DOUBTS, 0..6).unwrap();
    let (mut masks, mut penalised) = (Vec::new(), Vec::new());
    for row in &rows {
        let by: Vec<&str> = row.scores.iter().map(|score| score.by.split('/').next().unwrap()).collect();
        assert_eq!(by, ["orm", "orm", "uncertainty", "uncertainty", "combine", "repeat"]);
        let number = |place: usize| f64::from(row.scores[place].value);
        let (first, second) = (number(0), number(1));
        // The deviation of a sample of two is their difference by the root of 2.
        let expected = (first + second) / 2.0 - (first - second).abs() / 2f64.sqrt();
        assert!((number(2) - expected).abs() < 1e-5, "{first} and {second}: {}, not {expected}", number(2));
        assert!((number(4) - (3.0 * second + first) / 4.0).abs() < 1e-5, "{first} and {second}: {}", number(4));
        masks.push((number(3) - first).abs());
        // Eight masks less their deviations lie further from the number than sixty-four.
        penalised.push((number(5) - first).abs());
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    assert!(mean(&masks) > 0.0 && mean(&masks) < mean(&penalised), "{masks:?} and {penalised:?}");
    let pieces = [0..1, 1..4, 4..6].map(|piece| setting.run(DOUBTS, piece).unwrap()).concat();
    assert_eq!(rows, pieces);
    setting.bench.shop.engine = EngineHandle::start(|| Box::new(Waves(TchEngine::new()))).unwrap();
    let refused = setting.run(DOUBTS, 0..1).unwrap_err();
    assert!(refused.contains("leave out parts of a hidden state (`mc_dropout`)"), "{refused}");
    let without = r#"["rule", {"uncertainty": {"verify": {"orm": "critic"}, "how": {"ensemble": ["other"]}}}]"#;
    let waves = setting.run(without, 0..6).unwrap();
    for (wave, row) in waves.iter().zip(&rows) {
        assert_eq!(wave.scores[0], row.scores[2], "an ensemble is asked of engines that know lists only");
    }
}

#[test]
fn an_ensemble_of_sixteen_models_beside_the_policy_is_asked_and_one_more_is_refused() {
    let mut setting = Setting::new();
    let (policy, mut tokenizer) = model(64, 1);
    for seed in 0..17 {
        let critic = (policy.to_scalar(seed + 20).unwrap(), tokenizer);
        let checkpoint = commit(&setting.bench, &critic, &Probe::of(&critic.0, None).unwrap());
        tokenizer = critic.1;
        let critic = Critic { checkpoint, head: Head::Scalar, shots: true };
        setting.critics.insert(format!("c{seed}").parse().unwrap(), critic);
    }
    let asked = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("\"c{number}\"")).collect();
        let singly: Vec<_> = names.iter().map(|name| format!("{{\"orm\": {name}}}")).collect();
        let others = names[1..].join(", ");
        let ensemble = format!(
            r#"{{"uncertainty": {{"verify": {{"orm": "c0"}}, "how": {{"ensemble": [{others}]}}, "penalty": 0}}}}"#
        );
        format!(r#"["rule", {ensemble}, {}]"#, singly.join(", "))
    };
    for row in setting.run(&asked(16), 0..2).unwrap() {
        let values: Vec<f64> = row.scores.iter().map(|score| f64::from(score.value)).collect();
        let mean = values[1..].iter().sum::<f64>() / 16.0;
        assert!(values.len() == 17 && (values[0] - mean).abs() < 1e-5, "{values:?}");
        assert!(values[1..].windows(2).any(|two| two[0] != two[1]), "{values:?}");
    }
    let refused = setting.run(&asked(17), 0..1).unwrap_err();
    assert!(refused.contains("more than 17 models in one search: a policy and 16 roles"), "{refused}");
}

/// Leaves one trajectory, a program.
struct Wrote {
    tree: Tree,
}

impl Strategy for Wrote {
    fn next(&mut self, _: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        Ok(Vec::new())
    }
    fn tree(&self) -> &Tree {
        &self.tree
    }
    fn found(&self) -> Vec<NodeId> {
        self.tree.iter().map(|(id, _)| id).filter(|id| *id != NodeId::ROOT).collect()
    }
}

/// The launcher of the sandbox is built by `cargo build -p galapagos-sandbox` where the whole workspace is not.
#[test]
fn a_program_that_never_ends_is_tried_again_within_the_budget_and_is_then_a_timeout() {
    let setting = Setting::new();
    let shop = &setting.bench.shop;
    let code = Arc::new(Code::walled(&Walls { sandbox_floor: FloorName::Strict, sandbox_python: None }));
    let policy = Arc::new(setting.bench.runtime.block_on(shop.checkpoints.open(&setting.policy)).unwrap());
    let codec = shop.engine.codec(&policy).unwrap();
    let tasks =
        Tasks::prepare(&slice(Split::Train, 0..1), &Shelf::Given(&BTreeMap::new()), codec.as_ref(), Seed(1), None)
            .unwrap();
    let search: Search = serde_json::from_str(r#"{"sample_k": {"n": 1}}"#).unwrap();
    let meter = Meter::new(Cancel::default(), Arc::new(|_| {}));
    let verify: Vec<Verifier> = serde_json::from_str(r#"[{"step_executor": {"seconds": 1}}]"#).unwrap();
    let judged = |text: &str, retry: u32| {
        let trust = Trust { retry, ..Trust::default() };
        let forest = Forest {
            engine: &shop.engine,
            policy: Arc::clone(&policy),
            codec: Arc::clone(&codec),
            tasks: &tasks,
            search: &search,
            verify: &verify,
            critics: &BTreeMap::new(),
            trust: &trust,
            meter: &meter,
            code: &code,
            pace: Pace::Free,
            portions: &[],
        };
        let mut tree = Tree::default();
        let piece = Piece { part: Part::Step, tokens: vec![1], log_probs: vec![0.0], text: text.to_owned() };
        tree.add(NodeId::ROOT, piece, 1);
        let harvest = forest.drive(vec![Box::new(Wrote { tree })], BTreeMap::new(), &mut Nowhere).unwrap();
        let verdict = harvest.searched[0].found[0].verdict.clone();
        (verdict.outcome, harvest.audit)
    };
    let (outcome, audit) = judged("while True: pass", 1);
    assert_eq!((outcome, audit.retried), (Outcome::Timeout, 1));
    assert_eq!((audit.troubles[0].verifier.as_str(), audit.troubles[0].count), ("step_executor", 1));
    assert!(audit.troubles[0].reason.contains("took more than 1 s"), "{:?}", audit.troubles);
    assert_eq!(judged("while True: pass", 0).1.retried, 0);
    let (outcome, audit) = judged("x = 1 / 0", 2);
    assert_eq!((outcome, audit.retried), (Outcome::Fail, 0), "the program is at fault, not the moment");
}
