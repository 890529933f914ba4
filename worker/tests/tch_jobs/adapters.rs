//! Members that are adapters: every kind of job computes them on the base that their checkpoint names, and on no other.

use std::path::PathBuf;

use galapagos_artifacts::checkpoint;
use galapagos_domain::artifact::CheckpointManifest;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{BoutSpec, EvaluateSpec, FailureClass, JobKind, JobOutput};
use galapagos_domain::recipe::Base;
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::trajectory::Trajectory;
use galapagos_model::lora::{Adapter, merge};
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, Tokenizer};
use galapagos_worker::failure;
use tch::Device;

use crate::adapter_folder::write_adapter;
use crate::bench::{Bench, SAMPLING, slice};
use crate::probes::{WIDTHS, commit, model, refused};

/// A base in the store, and an adapter that was made for it.
struct Trained {
    base: Digest,
    model: (Decoder, Tokenizer),
    folder: PathBuf,
    adapter: Adapter,
}

impl Trained {
    /// `seed` draws the base; the adapter is always the same.
    fn new(bench: &Bench, width: usize, seed: u64) -> Self {
        let made = model(width, seed);
        let base = commit(bench, &made, &Probe::of(&made.0, None).unwrap());
        let path = bench.runtime.block_on(bench.shop.checkpoints.open(&base)).unwrap().path;
        let folder = bench.folder.path().join(format!("adapter-{seed}"));
        write_adapter(&path, &folder, 1, 0.3);
        let adapter = Adapter::open(&folder, made.0.config(), Device::Cpu).unwrap();
        Probe::of(&made.0, Some(&adapter)).unwrap().write(&folder).unwrap();
        Self { base, model: made, folder, adapter }
    }

    /// Commits the adapter as standing on `base`.
    fn commit_on(&self, bench: &Bench, base: &Digest) -> Digest {
        let weights = Digest::from_bytes(*self.adapter.digest().unwrap().as_bytes());
        let uploaded = checkpoint::upload_adapter(&bench.shop.store, &self.folder, weights, base);
        bench.runtime.block_on(uploaded).unwrap()
    }

    fn commit(&self, bench: &Bench) -> Digest {
        self.commit_on(bench, &self.base)
    }
}

fn greedy(bench: &Bench, policy: Digest) -> Vec<Trajectory> {
    bench.sampled(policy, 0..6, SAMPLING.greedy()).unwrap()
}

/// The most that log-probabilities of equal tokens differ.
fn distance(a: &[Trajectory], b: &[Trajectory]) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.completion_tokens, b.completion_tokens);
        a.log_probs.iter().zip(&b.log_probs)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_kind_of_job_computes_an_adapter_on_the_base_it_names() {
    let bench = Bench::new();
    let trained = Trained::new(&bench, WIDTHS[0], 1);
    let adapter = trained.commit(&bench);
    let merged = merge(&trained.model.0, &trained.adapter).unwrap().into_model();
    let probe = Probe::of(&merged, None).unwrap();
    let merged = commit(&bench, &(merged, model(WIDTHS[0], 1).1), &probe);

    let rows = bench.rows(adapter, 0..4);
    assert_eq!(rows, [bench.rows(adapter, 0..1), bench.rows(adapter, 1..4)].concat());
    assert_ne!(rows, bench.rows(trained.base, 0..4), "it is not the base");
    let far = distance(&greedy(&bench, adapter), &greedy(&bench, merged));
    assert!(far < 1e-3, "it is its base with the update: {far}");

    let tasks = slice(Split::Val, 0..4);
    for (holder, challenger) in [(trained.base, adapter), (adapter, merged)] {
        let bout = BoutSpec { holder, challenger, tasks: tasks.clone(), sampling: SAMPLING };
        let JobOutput::Bout { pairs, .. } = bench.run(JobKind::Bout(bout)).unwrap() else { panic!() };
        assert_eq!(pairs.len(), 4);
    }
    let evaluate = |policy| {
        let (tasks, critic) = (tasks.clone(), None);
        let spec = EvaluateSpec { policy, critic, critic_shots: true, tasks, samples: 2, sampling: SAMPLING };
        bench.run(JobKind::Evaluate(spec)).unwrap()
    };
    assert_eq!(evaluate(adapter), evaluate(merged));
}

#[test]
fn adapters_stand_on_their_own_bases_whatever_else_the_worker_has() {
    let bench = Bench::standing_on(Some("given"));
    let [first, second] = [1, 2].map(|seed| Trained::new(&bench, WIDTHS[0], seed));
    // A base of the same shape is there too, and is nobody's.
    let given = bench.runtime.block_on(bench.shop.checkpoints.open(&first.base)).unwrap().path;
    std::fs::create_dir_all(&bench.shop.models).unwrap();
    std::os::unix::fs::symlink(given, bench.shop.models.join("given")).unwrap();
    let own = [&first, &second].map(|trained| bench.rows(trained.commit(&bench), 0..3));
    assert_ne!(own[0], own[1]);
    let alone = Bench::new();
    let again = Trained::new(&alone, WIDTHS[0], 2);
    assert_eq!(alone.rows(again.commit(&alone), 0..3), own[1]);
}

#[test]
fn an_adapter_on_a_base_of_the_same_shape_with_other_weights_is_refused_by_its_probe() {
    for width in WIDTHS {
        let bench = Bench::new();
        let [first, second] = [1, 2].map(|seed| Trained::new(&bench, width, seed));
        let wrong = first.commit_on(&bench, &second.base);
        refused(&bench, wrong, bench.rollout(wrong, 0..1), "on average they are");
        // It is not there the second time either, and those that are right are not disturbed.
        refused(&bench, wrong, bench.rollout(wrong, 0..1), "on average they are");
        let right = second.commit(&bench);
        assert!(!bench.rows(right, 0..1).is_empty());
    }
}

#[test]
fn an_adapter_that_a_recipe_starts_from_names_the_base_from_then_on() {
    let bench = Bench::standing_on(Some("base"));
    let (policy, _) = bench.base();
    let base = bench.model("base");
    write_adapter(&base, &bench.shop.models.join("poet"), 1, 0.5);
    let imported = bench.run(JobKind::Base(Base::Model("poet".to_owned()))).unwrap();
    let JobOutput::Base { checkpoint, .. } = imported else { panic!() };
    let manifest = bench.runtime.block_on(checkpoint::manifest(&bench.shop.store, &checkpoint)).unwrap();
    assert_eq!(manifest.base, Some(policy));
    let rows = bench.rows(checkpoint, 0..4);
    assert_ne!(rows, bench.rows(policy, 0..4), "it is not the base");

    let bare = Bench::new();
    let base = bare.model("base");
    write_adapter(&base, &bare.shop.models.join("poet"), 1, 0.5);
    let error = bare.run(JobKind::Base(Base::Model("poet".to_owned()))).unwrap_err();
    assert!(failure::report(error.class(), &error).chain.join("\n").contains("--engine-base"));
}

#[test]
fn an_adapter_on_an_adapter_is_invalid() {
    let bench = Bench::new();
    let trained = Trained::new(&bench, WIDTHS[0], 1);
    let below = trained.commit(&bench);
    let store = &bench.shop.store;
    let manifest = bench.runtime.block_on(checkpoint::manifest(store, &below)).unwrap();
    let manifest = CheckpointManifest { base: Some(below), ..manifest };
    let above = bench.runtime.block_on(store.put(manifest.canonical_bytes().into(), 0)).unwrap().digest;
    let error = bench.run(bench.rollout(above, 0..1)).unwrap_err();
    let chain = failure::report(error.class(), &error).chain.join("\n");
    assert_eq!(error.class(), FailureClass::Invalid, "{chain}");
    assert!(chain.contains("is an adapter itself") && chain.contains(&above.to_string()), "{chain}");
}
