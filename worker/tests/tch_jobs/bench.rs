//! A workshop on the libtorch engine, and the character model of these tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_artifacts::{ArtifactStore, trajectories};
use galapagos_domain::ids::{Digest, EvolutionId, JobId, Name};
use galapagos_domain::job::{FailureClass, JobKind, JobOutput, JobSpec, RolloutSpec, Sampling, TaskSlice};
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::recipe::search::{Propose, Search, Trust};
use galapagos_domain::recipe::tasks::{Builtin, Split, TaskSet};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::recipe::{Base, Characters, Number};
use galapagos_domain::seed::Seed;
use galapagos_domain::task::Family;
use galapagos_domain::trajectory::Trajectory;
use galapagos_worker::cancel::Cancel;
use galapagos_worker::checkpoints::Checkpoints;
use galapagos_worker::code::Code;
use galapagos_worker::engine::EngineHandle;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::failure;
use galapagos_worker::jobs::meter::Meter;
use galapagos_worker::jobs::{self, JobError, KEEP_EVERY_MS, Workshop};

pub const SAMPLING: Sampling = Sampling::at(1.0);

/// A worker without a coordinator.
pub struct Bench {
    pub shop: Workshop,
    pub runtime: tokio::runtime::Runtime,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::standing_on(None)
    }

    /// With a base for adapters that name none: a folder of the model store.
    pub fn standing_on(base: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let engine_base = base.map(|name| folder.path().join("models").join(name));
        let base = engine_base.clone();
        let store = ArtifactStore::open(folder.path().join("store").to_str().unwrap()).unwrap();
        let shop = Workshop {
            checkpoints: Checkpoints::new(store.clone(), folder.path().join("cache")),
            store,
            engine: EngineHandle::start(move || Box::new(TchEngine::new().standing_on(base.clone()))).unwrap(),
            models: folder.path().join("models"),
            engine_base,
            code: Arc::new(Code::nowhere("this is a test")),
            keep_every_ms: KEEP_EVERY_MS,
            runtime: runtime.handle().clone(),
        };
        Self { shop, runtime, folder }
    }

    pub fn run(&self, kind: JobKind) -> Result<JobOutput, JobError> {
        self.attempt(kind, &Meter::new(Cancel::default(), Arc::new(|_| {})))
    }

    pub fn attempt(&self, kind: JobKind, meter: &Meter) -> Result<JobOutput, JobError> {
        let id = JobId::new("e/g1/samples/0").unwrap();
        let job = JobSpec { id, evolution: EvolutionId::new("e").unwrap(), seed: Seed(5), time_limit_ms: 60_000, kind };
        jobs::run(&self.shop, &job, meter)
    }

    pub fn base(&self) -> (Digest, Digest) {
        match self.run(JobKind::Base(Base::Characters(shape()))).unwrap() {
            JobOutput::Base { checkpoint, weights, source } => {
                assert_eq!(source, "characters");
                (checkpoint, weights)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The base checkpoint as a folder of the model store that a test may damage.
    pub fn model(&self, name: &str) -> PathBuf {
        let (checkpoint, _) = self.base();
        let from = self.runtime.block_on(self.shop.checkpoints.open(&checkpoint)).unwrap().path;
        let to = self.shop.models.join(name);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
        to
    }

    /// A rollout of one sample.
    pub fn rollout(&self, policy: Digest, indices: std::ops::Range<u32>) -> JobKind {
        JobKind::Rollout(samples(policy, slice(Split::Train, indices), 1, SAMPLING))
    }

    pub fn rows(&self, policy: Digest, indices: std::ops::Range<u32>) -> Vec<Trajectory> {
        self.sampled(policy, indices, SAMPLING).unwrap()
    }

    pub fn sampled(
        &self,
        policy: Digest,
        indices: std::ops::Range<u32>,
        sampling: Sampling,
    ) -> Result<Vec<Trajectory>, JobError> {
        let tasks = slice(Split::Train, indices);
        let spec = samples(policy, tasks, 3, sampling);
        let JobOutput::Rollout { trajectories: file, .. } = self.run(JobKind::Rollout(spec))? else { panic!() };
        Ok(trajectories::decode(self.runtime.block_on(self.shop.store.get(&file.digest)).unwrap()).unwrap())
    }

    /// What a rollout under `guide` is refused with.
    pub fn guide_refused(&self, policy: Digest, guide: Guide) -> String {
        let error = self.sampled(policy, 0..1, Sampling { guide: Some(guide), ..SAMPLING }).unwrap_err();
        assert_eq!(error.class(), FailureClass::Invalid);
        failure::report(error.class(), &error).chain.join("\n")
    }
}

/// `n` independent samples of each task.
pub fn samples(policy: Digest, tasks: TaskSlice, n: u32, sampling: Sampling) -> RolloutSpec {
    let propose = Propose {
        top_p: Number::Value(sampling.top_p),
        max_tokens: sampling.max_tokens,
        top_k: sampling.top_k.map(|top_k| Number::Value(f64::from(top_k))),
        min_p: Number::Value(sampling.min_p),
        repetition_penalty: Number::Value(sampling.repetition_penalty),
        guide: sampling.guide,
        speculate: sampling.speculate,
        ..Propose::answers(n, sampling.temperature)
    };
    let (search, verify, critics) = (Box::new(Search::SampleK(propose)), vec![Verifier::Rule], BTreeMap::new());
    RolloutSpec { policy, tasks, search, verify, critics, trust: Trust::default(), grown: Vec::new() }
}

pub fn shape() -> Characters {
    Characters {
        alphabet: "0123456789>".to_owned(),
        layers: 2,
        hidden: 32,
        heads: 2,
        ffn: 64,
        context: 48,
        vision: None,
    }
}

pub fn slice(split: Split, indices: std::ops::Range<u32>) -> TaskSlice {
    let source =
        TaskSet::Builtin(Builtin { train: 40, val: 20, test: 20, shots: 2, ..Builtin::of(Family::SortThreeDigits) });
    TaskSlice {
        set: Name::new("digits").unwrap(),
        source,
        split,
        indices: indices.collect(),
        seed: Seed(7),
        proposed: None,
    }
}

/// The class and the whole chain of a base job's failure.
pub fn refusal(bench: &Bench, name: &Path) -> (FailureClass, String) {
    let error = bench.run(JobKind::Base(Base::Model(name.display().to_string()))).unwrap_err();
    let report = failure::report(error.class(), &error);
    (report.class, report.chain.join("\n"))
}
