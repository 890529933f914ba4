//! The tasks of one job, ready for a policy: prompts as tokens, the shared prefix, the stop rule, a seed per task.

use galapagos_domain::ids::Name;
use galapagos_domain::job::TaskSlice;
use galapagos_domain::recipe::tasks::TaskSet;
use galapagos_domain::seed::Seed;
use galapagos_domain::task::{Problem, TaskError, TaskRule, TaskSetData, few_shot_prefix};

use super::stage::Stage;
use super::{JobError, engine_failed};
use crate::engine::Codec;
use crate::verify::Claim;

/// One task.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number within the split.
    pub index: u32,
    pub problem: Problem,
    /// Tokens after the shared prefix.
    pub prompt: Vec<u32>,
    /// Of the job's seed and the task's name: the same whatever other tasks the job has.
    pub seed: Seed,
}

/// The tasks of one job in one vocabulary.
#[derive(Debug, Clone)]
pub struct Tasks {
    pub set: Name,
    pub rule: TaskRule,
    /// The few-shot prefix; empty if the set has none.
    pub prefix: Vec<u32>,
    pub items: Vec<Item>,
    /// The character that ends a completion; without one the model's own end of text alone does.
    pub terminator: Option<char>,
    pub stop: Vec<u32>,
    pub max_tokens: u32,
    /// Of tasks that are played in an environment.
    pub stage: Option<Stage>,
}

/// All problems of a slice's split, and the solved examples before each.
#[derive(Debug, Clone)]
pub struct Problems {
    pub data: TaskSetData,
    pub shots: String,
}

impl Problems {
    /// Draws or reads what a slice is of.
    ///
    /// # Errors
    /// [`JobError::Tasks`] if there are no such problems.
    pub fn of(slice: &TaskSlice) -> Result<Self, JobError> {
        let failed = |source: TaskError| JobError::Tasks { set: slice.set.to_string(), source };
        match &slice.source {
            TaskSet::Env(_) => Err(JobError::Played { set: slice.set.to_string() }),
            TaskSet::Builtin(source) => Ok(Self {
                data: TaskSetData::generate(source, slice.split, slice.seed).map_err(failed)?,
                shots: few_shot_prefix(source, slice.seed).map_err(failed)?,
            }),
        }
    }
}

impl Tasks {
    /// Generates and encodes the tasks of `slice`. `max_tokens` is the set's own limit when absent.
    ///
    /// # Errors
    /// [`JobError::Tasks`] if the set has no such tasks, [`JobError::Engine`] if the vocabulary cannot write them.
    pub fn prepare(
        slice: &TaskSlice,
        codec: &dyn Codec,
        seed: Seed,
        max_tokens: Option<u32>,
    ) -> Result<Self, JobError> {
        let failed = |source| JobError::Tasks { set: slice.set.to_string(), source };
        let Problems { data, shots } = Problems::of(slice)?;
        let source = &slice.source;
        let mut items = Vec::with_capacity(slice.indices.len());
        for index in &slice.indices {
            let problem = data.get(*index).map_err(failed)?.clone();
            let prompt = codec.encode(&problem.prompt).map_err(engine_failed("write a task in tokens"))?;
            let seed = seed.derive(&format!("{}/{}", slice.set, problem.key));
            items.push(Item { index: *index, problem, prompt, seed });
        }
        Ok(Self {
            set: slice.set.clone(),
            rule: source.rule(),
            prefix: codec.encode(&shots).map_err(engine_failed("write the few-shot prefix in tokens"))?,
            items,
            terminator: source.terminator(),
            stop: codec
                .stop_tokens(source.terminator())
                .map_err(engine_failed("find the tokens that end an answer"))?,
            max_tokens: max_tokens.unwrap_or_else(|| source.max_tokens()),
            stage: None,
        })
    }

    /// What a verifier is asked about a completion of the task at `place`.
    #[must_use]
    pub fn claim<'a>(&'a self, place: usize, completion: &'a str) -> Claim<'a> {
        Claim { rule: &self.rule, problem: &self.items[place].problem, completion }
    }

    /// What an answer is to a vote: answers with the same key are the same.
    pub fn key(&self) -> impl Fn(&str) -> Option<String> + Send + Sync + 'static {
        let rule = self.rule.clone();
        move |answer| rule.read(answer)
    }

    /// Prefix and question of the task at `place`.
    #[must_use]
    pub fn full_prompt(&self, place: usize) -> Vec<u32> {
        [self.prefix.as_slice(), &self.items[place].prompt].concat()
    }
}
