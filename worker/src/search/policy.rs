//! Answers to lists: what a policy says to each of some tasks, all in one engine call. For evaluations and bouts, which search
//! nothing.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;

use crate::engine::{Batch, CheckpointDir, Codec, Completion, EngineError, EngineHandle, Request};
use crate::jobs::meter::Meter;
use crate::jobs::tasks::{Item, Tasks};

/// Completions of one task that are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Place of the task among the job's tasks.
    pub place: usize,
    pub samples: u32,
    /// Sample i draws from a stream of (seed, i).
    pub seed: Seed,
    pub sampling: Arc<Sampling>,
}

impl Ask {
    /// `samples` independent completions of each task; sample i of a task draws from the task's seed and i alone.
    #[must_use]
    pub fn sampled(tasks: &Tasks, samples: u32, sampling: &Sampling) -> Vec<Self> {
        let sampling = Arc::new(sampling.clone());
        let ask =
            |(place, item): (usize, &Item)| Self { place, samples, seed: item.seed, sampling: Arc::clone(&sampling) };
        tasks.items.iter().enumerate().map(ask).collect()
    }

    /// The most probable completion of each task, under the guide of `sampling`.
    #[must_use]
    pub fn greedy(tasks: &Tasks, sampling: &Sampling) -> Vec<Self> {
        let sampling = Arc::new(sampling.greedy());
        let ask = |(place, item): (usize, &Item)| Self {
            place,
            samples: 1,
            seed: item.seed,
            sampling: Arc::clone(&sampling),
        };
        tasks.items.iter().enumerate().map(ask).collect()
    }
}

/// What a policy answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With the stop token, if it stopped.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each token at temperature 1.
    pub log_probs: Vec<f32>,
    /// Decoded, up to the terminator.
    pub text: String,
}

/// A checkpoint that answers.
#[derive(Debug)]
pub struct Policy<'a> {
    pub engine: &'a EngineHandle,
    pub checkpoint: &'a CheckpointDir,
    pub codec: &'a Arc<dyn Codec>,
    pub meter: &'a Meter,
}

impl Policy<'_> {
    /// The samples of each ask, in order, all in one engine call.
    ///
    /// # Errors
    /// As the engine.
    pub fn answer(&self, tasks: &Tasks, asks: &[Ask]) -> Result<Vec<Vec<Sample>>, EngineError> {
        let request = |ask: &Ask| Request {
            prompt: tasks.items[ask.place].prompt.clone(),
            samples: ask.samples,
            seed: ask.seed,
            sampling: Arc::clone(&ask.sampling),
        };
        let batch = Batch {
            checkpoint: self.checkpoint.clone(),
            prefix: tasks.prefix.clone(),
            requests: asks.iter().map(request).collect(),
            stop: tasks.stop.clone(),
            terminator: tasks.terminator,
            max_tokens: tasks.max_tokens,
        };
        let completions = self.engine.generate(batch, self.meter.watch())?;
        let samples = completions.into_iter().map(|completion| self.read(tasks, completion));
        let mut samples = samples.collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(asks.iter().map(|ask| samples.by_ref().take(ask.samples as usize).collect()).collect())
    }

    fn read(&self, tasks: &Tasks, completion: Completion) -> Result<Sample, EngineError> {
        self.meter.add(1, completion.tokens.len() as u64);
        let mut text = self.codec.decode(&completion.tokens)?;
        if let Some(end) = tasks.terminator.and_then(|end| text.find(end)) {
            text.truncate(end);
        }
        Ok(Sample { tokens: completion.tokens, log_probs: completion.log_probs, text })
    }
}
