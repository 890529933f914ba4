//! Our side: the generation engine with a worker's settings.

use std::sync::Arc;

use galapagos_model::engine::AdapterId;
use galapagos_model::profile::Profile;
use galapagos_model::{
    Completion, Decoder, Engine, EngineOptions, Precision, Request, RunControl, Sampling, ScoreRequest,
};
use serde::Serialize;

use super::adapters;
use super::machine::timed;
use super::rows::{Generate, Work};
use super::runner::{Outcome, RunError};
use super::tree::{Expansion, Tree};

/// Whether tokens that sequences have in common are computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    On,
    Off,
}

/// What the engine counted in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub steps: u64,
    /// Tokens fed to the model.
    pub computed_tokens: u64,
    /// Tokens whose keys and values were found instead.
    pub reused_tokens: u64,
}

/// An engine with the model loaded.
#[derive(Debug)]
pub struct Ours {
    engine: Engine,
    adapters: Vec<AdapterId>,
}

impl Ours {
    /// Packs the weights.
    ///
    /// # Errors
    /// The engine's.
    pub fn new(model: &Decoder, precision: Precision, threads: u32, sharing: Sharing) -> Result<Self, RunError> {
        let options = EngineOptions {
            precision,
            threads: threads as usize,
            share_prefixes: sharing == Sharing::On,
            ..EngineOptions::default()
        };
        Ok(Self { engine: Engine::new(model, options).map_err(failed)?, adapters: Vec::new() })
    }

    /// Adds adapters that all differ, for `lora`.
    ///
    /// # Errors
    /// The engine's, and for a model whose modules adapters do not know.
    pub fn add_adapters(&mut self, count: usize) -> Result<(), RunError> {
        for number in 0..count as u64 {
            let adapter = adapters::random(self.engine.config(), number);
            let adapter = adapter.map_err(|source| RunError::Engine { source })?;
            self.adapters.push(self.engine.add_adapter(&adapter).map_err(failed)?);
        }
        Ok(())
    }

    /// Bytes that the pages take for the keys and values of one token.
    #[must_use]
    pub fn kv_bytes(&self) -> u64 {
        (self.engine.stats().page_bytes / galapagos_model::engine::PAGE_TOKENS) as u64
    }

    /// Where the engine's time goes in one more run of the work.
    ///
    /// # Errors
    /// The engine's.
    pub fn profile(&mut self, work: &Work, seed: u64) -> Result<Profile, RunError> {
        let _before = self.engine.start_profile();
        let done = self.run(work, seed, false);
        let profile = self.engine.end_profile();
        done.map(|_| profile)
    }

    /// Does the work; with `one_adapter_at_a_time`, an adapter's requests wait for those of the adapter before.
    ///
    /// # Errors
    /// The engine's.
    pub fn run(&mut self, work: &Work, seed: u64, one_adapter_at_a_time: bool) -> Result<Outcome, RunError> {
        let before = self.engine.stats();
        let (done, seconds) = timed(|| match work {
            Work::Generate(requests) => self.generate(requests, seed).map(unzip),
            Work::Tree(tree) => self.grow(tree, seed).map(unzip),
            Work::Score { prompt, continuations } => {
                self.score(prompt, continuations).map(|log_probs| (Vec::new(), log_probs))
            }
            Work::Adapters { per_adapter, requests, .. } => {
                self.adapt(requests, *per_adapter, one_adapter_at_a_time).map(unzip)
            }
        });
        let (tokens, log_probs) = done?;
        let after = self.engine.stats();
        let counts = Counts {
            steps: after.steps - before.steps,
            computed_tokens: after.computed_tokens - before.computed_tokens,
            reused_tokens: after.reused_tokens - before.reused_tokens,
        };
        Ok(Outcome { seconds, tokens, log_probs, counts: Some(counts) })
    }

    fn generate(&mut self, work: &Generate, seed: u64) -> Result<Vec<Completion>, RunError> {
        let one = |(index, prompt): (usize, &Vec<u32>)| Request {
            samples: work.samples,
            ..request(prompt.clone(), (work.new_tokens, work.temperature), seed << 32 | index as u64)
        };
        let requests: Vec<Request> = work.prompts.iter().enumerate().map(one).collect();
        self.complete(&requests)
    }

    fn grow(&mut self, tree: &Tree, seed: u64) -> Result<Vec<Completion>, RunError> {
        let (mut contexts, mut made): (Vec<Vec<u32>>, Vec<Completion>) = (Vec::new(), Vec::new());
        for round in &tree.rounds {
            let one = |(place, node): (usize, &Expansion)| {
                let context = node.parent.map_or(&tree.prompts[node.problem], |parent| &contexts[parent]);
                let key = seed << 32 | (contexts.len() + place) as u64;
                request(context.clone(), (node.new_tokens, 1.0), key)
            };
            let requests: Vec<Request> = round.iter().enumerate().map(one).collect();
            let new = self.complete(&requests)?;
            contexts
                .extend(requests.iter().zip(&new).map(|(request, new)| [&request.prompt[..], &new.tokens].concat()));
            made.extend(new);
        }
        Ok(made)
    }

    fn adapt(&mut self, work: &Generate, per_adapter: usize, alone: bool) -> Result<Vec<Completion>, RunError> {
        let one = |(index, prompt): (usize, &Vec<u32>)| {
            let adapter = self.adapters.get(index / per_adapter).copied();
            let adapter = adapter.ok_or(RunError::Unsupported { what: "adapters that were not added" })?;
            let plain = request(prompt.clone(), (work.new_tokens, work.temperature), index as u64);
            Ok(Request { adapter: Some(adapter), ..plain })
        };
        let requests: Vec<Request> = work.prompts.iter().enumerate().map(one).collect::<Result<_, RunError>>()?;
        let batch = if alone { per_adapter } else { requests.len() };
        let mut made = Vec::with_capacity(requests.len());
        for together in requests.chunks(batch) {
            made.extend(self.complete(together)?);
        }
        Ok(made)
    }

    fn score(&mut self, prompt: &[u32], continuations: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RunError> {
        let requests: Vec<ScoreRequest> =
            continuations.iter().map(|continuation| ScoreRequest::continuation(prompt, continuation)).collect();
        self.engine.score(&requests, &mut RunControl::default()).map_err(failed)
    }

    fn complete(&mut self, requests: &[Request]) -> Result<Vec<Completion>, RunError> {
        let made = self.engine.generate(requests, &mut RunControl::default()).map_err(failed)?;
        Ok(made.into_iter().flatten().collect())
    }
}

/// A request that no token ends.
fn request(prompt: Vec<u32>, (new_tokens, temperature): (usize, f64), seed: u64) -> Request {
    Request { sampling: Arc::new(Sampling::at(temperature)), seed, ..Request::greedy(prompt, new_tokens) }
}

fn unzip(completions: Vec<Completion>) -> (Vec<Vec<u32>>, Vec<Vec<f32>>) {
    completions.into_iter().map(|completion| (completion.tokens, completion.log_probs)).unzip()
}

fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> RunError {
    RunError::Engine { source: Box::new(error) }
}
