//! What the searches of a rollout need, on this machine: the policy, its tokenizer, the tasks and the roles that judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::ids::Name;
use galapagos_domain::job::{self, JobSpec, RolloutSpec};
use galapagos_domain::recipe::search::Search;

use super::meter::Meter;
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed, stage};
use crate::engine::{CheckpointDir, Codec};
use crate::search::{Critic, Forest, Origin, Pace, Portion};

/// See the head of this file.
pub(super) struct Scene<'a> {
    shop: &'a Workshop,
    pub(super) job: &'a JobSpec,
    pub(super) spec: &'a RolloutSpec,
    policy: Arc<CheckpointDir>,
    codec: Arc<dyn Codec>,
    pub(super) tasks: Tasks,
    critics: BTreeMap<Name, Critic>,
    /// Of each task, what its records have in common.
    pub(super) origins: Vec<Origin>,
}

impl<'a> Scene<'a> {
    /// Brings weights and tasks here.
    ///
    /// # Errors
    /// [`JobError`] if one of them is not to be had.
    pub(super) fn set(shop: &'a Workshop, job: &'a JobSpec, spec: &'a RolloutSpec) -> Result<Self, JobError> {
        let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&spec.policy))?;
        let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the policy's tokenizer"))?;
        let tasks = stage::prepare(shop, &spec.tasks, codec.as_ref(), job.seed, answer_tokens(&spec.search))?;
        let critics = critics(shop, &spec.critics)?;
        let origins = (0..tasks.items.len()).map(|place| origin(job, spec, &tasks, place)).collect();
        Ok(Self { shop, job, spec, policy: Arc::new(checkpoint), codec, tasks, critics, origins })
    }

    /// The searches of all tasks; `portions` as in [`Forest`].
    pub(super) fn forest<'s>(&'s self, portions: &'s [Portion], meter: &'s Meter) -> Forest<'s> {
        Forest {
            engine: &self.shop.engine,
            policy: Arc::clone(&self.policy),
            codec: Arc::clone(&self.codec),
            tasks: &self.tasks,
            search: &self.spec.search,
            verify: &self.spec.verify,
            critics: &self.critics,
            trust: &self.spec.trust,
            meter,
            code: &self.shop.code,
            pace: Pace::Free,
            portions,
        }
    }
}

/// Longest answer that the recipe asks for: where steps are drawn, `max_tokens` is the longest step, and answers are as long as the
/// task family's.
pub(super) fn answer_tokens(search: &Search) -> Option<u32> {
    match search {
        Search::Mcts(_) | Search::StepBeam(_) | Search::IdSampling(_) => None,
        whole => whole.propose().max_tokens,
    }
}

/// The roles that verifiers name, on this machine.
pub(super) fn critics(
    shop: &Workshop,
    named: &BTreeMap<Name, job::Critic>,
) -> Result<BTreeMap<Name, Critic>, JobError> {
    let critic = |(name, critic): (&Name, &job::Critic)| {
        let checkpoint = Arc::new(shop.runtime.block_on(shop.checkpoints.open(&critic.checkpoint))?);
        Ok((name.clone(), Critic { checkpoint, head: critic.head, shots: critic.shots }))
    };
    named.iter().map(critic).collect()
}

fn origin(job: &JobSpec, spec: &RolloutSpec, tasks: &Tasks, place: usize) -> Origin {
    let problem = &tasks.items[place].problem;
    Origin {
        job: job.id.clone(),
        task_set: tasks.set.clone(),
        task: problem.key.clone(),
        policy: spec.policy,
        prompt: tasks.full_prompt(place),
        prefix_len: u32::try_from(tasks.prefix.len()).unwrap_or(u32::MAX),
        prompt_text: problem.prompt.clone(),
    }
}
