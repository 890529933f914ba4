//! `shuffle`: permutes something among all records of a dataset, or among all their parts, for negative controls. Everything else stays
//! where it is. What goes where depends on the seed and on the places of records alone.

use std::path::Path;

use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use rand::seq::SliceRandom;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::OperatorError;
use super::pool::Pool;
use super::stage::{Fate, Whole};

/// Permutes what records have one of each: `T`, which one function takes out of a record and the other puts into it.
#[derive(Debug)]
pub struct Shuffle<T> {
    seed: Seed,
    parts: Pool<T>,
    /// For each place the place whose part it gets.
    from: Vec<u32>,
    take: fn(&Trajectory) -> T,
    put: fn(T, Trajectory) -> Trajectory,
}

impl<T: Serialize + DeserializeOwned> Shuffle<T> {
    fn new(
        seed: Seed,
        scratch: Option<&Path>,
        take: fn(&Trajectory) -> T,
        put: fn(T, Trajectory) -> Trajectory,
    ) -> Self {
        Self { seed, parts: Pool::new(scratch), from: Vec::new(), take, put }
    }
}

/// `shuffle: verdicts`.
pub fn verdicts<'a>(seed: Seed, scratch: Option<&Path>) -> Box<dyn Whole<'a> + 'a> {
    let put = |verdict, record| Trajectory { verdict, ..record };
    Box::new(Shuffle::new(seed, scratch, |record| record.verdict.clone(), put))
}

/// `shuffle: scores`: what verifiers gave beside pass and fail, and the reward.
pub fn scores<'a>(seed: Seed, scratch: Option<&Path>) -> Box<dyn Whole<'a> + 'a> {
    let take = |record: &Trajectory| (record.scores.clone(), record.credit.reward, record.verdict.score);
    Box::new(Shuffle::new(seed, scratch, take, |(scores, reward, score), mut record| {
        record.credit.reward = reward;
        record.verdict.score = score;
        Trajectory { scores, ..record }
    }))
}

/// `shuffle: prompts`: what records answer, of records that all pass.
pub fn prompts<'a>(seed: Seed, scratch: Option<&Path>) -> Box<dyn Whole<'a> + 'a> {
    let take = |record: &Trajectory| {
        (record.task_set.clone(), record.task.clone(), record.prompt_tokens.clone(), record.prefix_len)
    };
    let put = |(task_set, task, prompt_tokens, prefix_len), record| Trajectory {
        task_set,
        task,
        prompt_tokens,
        prefix_len,
        ..record
    };
    Box::new(Shuffle::new(seed, scratch, take, put))
}

impl<'a, T: std::fmt::Debug + Serialize + DeserializeOwned> Whole<'a> for Shuffle<T> {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        self.parts.push(&(self.take)(record))
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        self.from = (0..self.parts.len()).collect();
        self.from.shuffle(&mut self.seed.stream());
        Ok(())
    }

    fn give(&mut self, number: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(from) = self.from.get(place) else { return Ok(Fate::Dropped) };
        let part = self.parts.get(*from)?;
        Ok(Fate::Kept((self.put)(part, record)))
    }
}

/// `shuffle: labels`: permutes value and class among all parts that have a value, for negative controls of step models.
#[derive(Debug)]
pub struct ShuffleLabels {
    seed: Seed,
    labels: Pool<(Option<f32>, Option<u32>)>,
    /// For each labelled part the one whose label it gets, and how many were given.
    from: Vec<u32>,
    given: usize,
}

impl ShuffleLabels {
    pub fn new(seed: Seed, scratch: Option<&Path>) -> Self {
        Self { seed, labels: Pool::new(scratch), from: Vec::new(), given: 0 }
    }
}

impl<'a> Whole<'a> for ShuffleLabels {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        let mut labelled = record.credit.spans.iter().filter(|span| span.value.is_some());
        labelled.try_for_each(|span| self.labels.push(&(span.value, span.class)))
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        self.from = (0..self.labels.len()).collect();
        self.from.shuffle(&mut self.seed.stream());
        Ok(())
    }

    fn give(&mut self, _: u64, mut record: Trajectory) -> Result<Fate, OperatorError> {
        for span in record.credit.spans.iter_mut().filter(|span| span.value.is_some()) {
            let Some(from) = self.from.get(self.given) else { break };
            (span.value, span.class) = self.labels.get(*from)?;
            self.given += 1;
        }
        Ok(Fate::Kept(record))
    }
}
