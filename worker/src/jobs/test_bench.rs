//! A workshop on the mock engine with two members in its store, for the tests of the jobs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use galapagos_artifacts::{ArtifactStore, checkpoint, trajectories, trees};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::{Digest, EvolutionId, JobId, Name};
use galapagos_domain::job::{JobKind, JobOutput, JobSpec, RolloutSpec, Sampling, TaskSlice};
use galapagos_domain::recipe::search::{Propose, Search, Trust};
use galapagos_domain::recipe::tasks::{Builtin, Split, TaskSet};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::task::Family;
use galapagos_domain::trajectory::Trajectory;
use galapagos_domain::tree::TreeNode;

use super::meter::Meter;
use super::{JobError, KEEP_EVERY_MS, Workshop};
use crate::cancel::Cancel;
use crate::checkpoints::Checkpoints;
use crate::code::Code;
use crate::engine::EngineHandle;
use crate::engine::mock::{MockEngine, success_rate};

pub(super) const SAMPLING: Sampling = Sampling::at(0.8);

pub(super) struct Bench {
    pub(super) shop: Workshop,
    pub(super) policy: Digest,
    pub(super) other: Digest,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = ArtifactStore::open(folder.path().join("store").to_str().unwrap()).unwrap();
        let models = folder.path().join("models");
        let mut members = (0..).map(|number: u32| {
            let model = models.join(format!("model-{number}"));
            std::fs::create_dir_all(&model).unwrap();
            std::fs::write(model.join("mock.json"), number.to_string()).unwrap();
            runtime.block_on(checkpoint::upload(&store, &model, Digest::of(b"weights"))).unwrap()
        });
        let mut middling = || members.find(|member| (0.35..0.65).contains(&success_rate(member))).unwrap();
        let (policy, other) = (middling(), middling());
        let shop = Workshop {
            engine_base: None,
            checkpoints: Checkpoints::new(store.clone(), folder.path().join("cache")),
            store,
            engine: EngineHandle::start(|| Box::new(MockEngine)).unwrap(),
            models,
            code: Arc::new(Code::nowhere("this is a test")),
            keep_every_ms: KEEP_EVERY_MS,
            runtime: runtime.handle().clone(),
        };
        Self { shop, policy, other, runtime, _folder: folder }
    }

    pub(super) fn slice(&self, split: Split, indices: Range<u32>) -> TaskSlice {
        let source = TaskSet::Builtin(Builtin {
            train: 50,
            val: 50,
            test: 50,
            demonstrations: 10,
            shots: 2,
            ..Builtin::of(Family::SortSixDigits)
        });
        TaskSlice {
            set: Name::new("digits").unwrap(),
            source,
            split,
            indices: indices.collect(),
            seed: Seed(7),
            proposed: None,
        }
    }

    pub(super) fn rollout(&self, indices: Range<u32>) -> JobKind {
        JobKind::Rollout(RolloutSpec {
            policy: self.policy,
            tasks: self.slice(Split::Train, indices),
            search: Box::new(Search::SampleK(Propose::answers(3, 0.8))),
            verify: vec![Verifier::Rule],
            critics: BTreeMap::new(),
            trust: Trust::default(),
            grown: Vec::new(),
        })
    }

    pub(super) fn run(&self, kind: JobKind) -> Result<JobOutput, JobError> {
        let job = JobSpec {
            id: JobId::new("e/g1/samples/0").unwrap(),
            evolution: EvolutionId::new("e").unwrap(),
            seed: Seed(11),
            time_limit_ms: 60_000,
            kind,
        };
        super::run(&self.shop, &job, &Meter::new(Cancel::default(), Arc::new(|_| {})))
    }

    pub(super) fn read(&self, file: &ArtifactRef) -> Vec<Trajectory> {
        let bytes = self.runtime.block_on(self.shop.store.get(&file.digest)).unwrap();
        trajectories::decode(bytes).unwrap()
    }

    pub(super) fn trees(&self, file: &ArtifactRef) -> Vec<TreeNode> {
        let bytes = self.runtime.block_on(self.shop.store.get(&file.digest)).unwrap();
        trees::decode(bytes).unwrap().0
    }
}
