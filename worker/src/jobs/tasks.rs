//! The tasks of one job, ready for a policy: prompts as tokens, the shared prefix, the stop rule, a seed per task.

use std::collections::BTreeMap;

use bytes::Bytes;
use galapagos_artifacts::ArtifactStore;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::job::TaskSlice;
use galapagos_domain::recipe::tasks::files::Files;
use galapagos_domain::recipe::tasks::{Split, TaskSet};
use galapagos_domain::seed::Seed;
use galapagos_domain::task::dataset::{Given, decode, solved};
use galapagos_domain::task::{Problem, TaskError, TaskRule, TaskSetData, few_shot_prefix, proposed};
use rand::seq::SliceRandom;
use tokio::runtime::Handle;

use super::stage::Stage;
use super::{JobError, engine_failed};
use crate::engine::Codec;
use crate::verify::{self, Claim};

/// One task.
#[derive(Debug, Clone)]
pub struct Item {
    /// Number within the split.
    pub index: u32,
    pub problem: Problem,
    /// What it brings beside: a right completion, tests.
    pub given: Given,
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
    /// Some problems of the whole split, the same for every job of the set: for judges that are tried on what is known. None where nobody
    /// knows an answer.
    pub known: Vec<Problem>,
    /// Chooses among them.
    pub known_seed: Seed,
    /// Of tasks that are played in an environment.
    pub stage: Option<Stage>,
}

/// All problems of a slice's split, and the solved examples before each.
#[derive(Debug, Clone)]
pub struct Problems {
    pub data: TaskSetData,
    /// What each brings beside, in the same order.
    pub given: Vec<Given>,
    pub shots: String,
}

impl Problems {
    /// Draws or reads what a slice is of.
    ///
    /// # Errors
    /// [`JobError::Tasks`] if there are no such problems; those of reading the store, and [`JobError::Rows`] if rows are damaged.
    pub fn of(slice: &TaskSlice, shelf: &Shelf<'_>) -> Result<Self, JobError> {
        let failed = |source: TaskError| JobError::Tasks { set: slice.set.to_string(), source };
        if let Some(table) = &slice.proposed {
            return Self::proposed(slice, table, shelf);
        }
        match &slice.source {
            TaskSet::Builtin(source) => {
                let data = TaskSetData::generate(source, slice.split, slice.seed).map_err(failed)?;
                let answer = |problem: &Problem| Given { completion: problem.answer.clone(), tests: None };
                let given = data.problems().iter().map(answer).collect();
                Ok(Self { given, data, shots: few_shot_prefix(source, slice.seed).map_err(failed)? })
            }
            TaskSet::Files(files) => Self::stored(slice, files, shelf),
            TaskSet::Env(_) => Err(JobError::Played { set: slice.set.to_string() }),
        }
    }
}

impl Problems {
    /// Questions that a role proposed, behind the solved examples of the set that they are like.
    fn proposed(slice: &TaskSlice, table: &ArtifactRef, shelf: &Shelf<'_>) -> Result<Self, JobError> {
        let set = slice.set.to_string();
        let damaged = |source| JobError::Rows { set: set.clone(), source };
        let questions = proposed::decode(&shelf.get(table)?).map_err(damaged)?;
        let like = TaskSlice { proposed: None, indices: Vec::new(), ..slice.clone() };
        let Self { shots, .. } = Self::of(&like, shelf)?;
        let (data, given) = proposed::problems(questions, &slice.source, &set);
        Ok(Self { data, given, shots })
    }

    /// The rows that were stored when the recipe was submitted.
    fn stored(slice: &TaskSlice, files: &Files, shelf: &Shelf<'_>) -> Result<Self, JobError> {
        let set = slice.set.to_string();
        let stored = files.stored.as_ref().ok_or_else(|| JobError::NotRead { set: set.clone() })?;
        let read = |artifact: &ArtifactRef, split: Split| {
            let bytes = shelf.get(artifact)?;
            decode(&bytes, split, &set).map_err(|source| JobError::Rows { set: set.clone(), source })
        };
        let (data, given) = read(stored.rows(slice.split), slice.split)?;
        let (examples, right) = read(&stored.shots, Split::Demonstrations)?;
        let examples = examples.problems().iter().zip(&right);
        let shots = examples.map(|(problem, given)| solved(files, &problem.prompt, &given.completion)).collect();
        Ok(Self { data, given, shots })
    }
}

/// Where the rows of data sets are.
#[derive(Debug, Clone, Copy)]
pub enum Shelf<'a> {
    /// In the artifact store.
    Store(&'a ArtifactStore, &'a Handle),
    /// At hand, by digest.
    Given(&'a BTreeMap<Digest, Bytes>),
}

impl Shelf<'_> {
    /// The bytes of an artifact, checked.
    ///
    /// # Errors
    /// [`JobError::Store`].
    fn get(&self, artifact: &ArtifactRef) -> Result<Bytes, JobError> {
        let failed = super::store_failed("read the rows of a data set");
        match self {
            Self::Store(store, runtime) => runtime.block_on(store.get(&artifact.digest)).map_err(failed),
            Self::Given(rows) => {
                let absent = || failed(galapagos_artifacts::Error::Absent { digest: artifact.digest });
                rows.get(&artifact.digest).cloned().ok_or_else(absent)
            }
        }
    }
}
/// Most problems in [`Tasks::known`].
const KNOWN: usize = 1000;

impl Tasks {
    /// Generates and encodes the tasks of `slice`. `max_tokens` is the set's own limit when absent.
    ///
    /// # Errors
    /// [`JobError::Tasks`] if the set has no such tasks, [`JobError::Engine`] if the vocabulary cannot write them.
    pub fn prepare(
        slice: &TaskSlice,
        shelf: &Shelf<'_>,
        codec: &dyn Codec,
        seed: Seed,
        max_tokens: Option<u32>,
    ) -> Result<Self, JobError> {
        let failed = |source| JobError::Tasks { set: slice.set.to_string(), source };
        let Problems { data, given, shots } = Problems::of(slice, shelf)?;
        let source = &slice.source;
        let stop =
            codec.stop_tokens(source.terminator()).map_err(engine_failed("find the tokens that end an answer"))?;
        if stop.is_empty() {
            return Err(JobError::NoEnd { set: slice.set.to_string() });
        }
        let known_seed = slice.seed.derive(&format!("known/{}", slice.set));
        let mut known: Vec<usize> = (0..data.problems().len()).collect();
        known.shuffle(&mut known_seed.stream());
        known.truncate(if slice.proposed.is_none() { KNOWN } else { 0 });
        let known = known.into_iter().map(|place| data.problems()[place].clone()).collect();
        let mut items = Vec::with_capacity(slice.indices.len());
        for index in &slice.indices {
            let problem = data.get(*index).map_err(failed)?.clone();
            let prompt = codec.encode(&problem.prompt).map_err(engine_failed("write a task in tokens"))?;
            let seed = seed.derive(&format!("{}/{}", slice.set, problem.key));
            let given = given[*index as usize].clone();
            items.push(Item { index: *index, problem, given, prompt, seed });
        }
        Ok(Self {
            set: slice.set.clone(),
            rule: if slice.proposed.is_none() { source.rule() } else { TaskRule::Unanswered(Box::new(source.rule())) },
            prefix: codec.encode(&shots).map_err(engine_failed("write the few-shot prefix in tokens"))?,
            items,
            terminator: source.terminator(),
            stop,
            max_tokens: max_tokens.unwrap_or_else(|| source.max_tokens()),
            known,
            known_seed,
            stage: None,
        })
    }

    /// What a verifier is asked about a completion of the task at `place`.
    #[must_use]
    pub fn claim<'a>(&'a self, place: usize, completion: &'a str) -> Claim<'a> {
        let item = &self.items[place];
        Claim { rule: &self.rule, problem: &item.problem, tests: item.given.tests.as_ref(), completion }
    }

    /// What an answer is to a vote: answers with the same key are the same.
    pub fn key(&self) -> impl Fn(&str) -> Option<String> + Send + Sync + 'static {
        let rule = self.rule.clone();
        move |answer| verify::read(&rule, answer)
    }

    /// Prefix and question of the task at `place`.
    #[must_use]
    pub fn full_prompt(&self, place: usize) -> Vec<u32> {
        [self.prefix.as_slice(), &self.items[place].prompt].concat()
    }
}
