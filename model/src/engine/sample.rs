//! A completion in the making, and a score in the making: what an engine keeps of a sequence besides its tokens and pages.

use std::sync::Arc;

use super::event::{Completion, SampleError};
use super::ids::{RequestId, WeightVersion};
use super::request::{Read, Request, ScoreRequest};
use crate::sampling::{Chosen, Sampler};
use crate::stop::Finish;

/// What a sequence is computed for.
#[derive(Debug)]
pub(super) enum Work {
    Sample(Box<Sample>),
    Score(Box<Score>),
}

/// One completion of a request.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) request: RequestId,
    /// Its index in the request.
    pub(super) index: usize,
    pub(super) asked: Arc<Request>,
    pub(super) sampler: Sampler,
    log_probs: Vec<f32>,
    top: Vec<Vec<(u32, f32)>>,
    written: String,
}

/// What a token did to a completion.
#[derive(Debug)]
pub(super) struct TextStep {
    pub(super) text: String,
    pub(super) finish: Option<Finish>,
}

impl Sample {
    pub(super) fn new(request: RequestId, index: usize, asked: &Arc<Request>) -> Self {
        let sampler = Sampler::new(Arc::clone(&asked.sampling), (asked.seed, index), &asked.prompt);
        Self {
            request,
            index,
            asked: Arc::clone(asked),
            sampler,
            log_probs: Vec::new(),
            top: Vec::new(),
            written: String::new(),
        }
    }

    /// Tokens so far.
    pub(super) fn made(&self) -> usize {
        self.log_probs.len()
    }

    /// Adds the next token: what it makes of the text, and whether it is the last.
    pub(super) fn push(&mut self, chosen: &Chosen) -> Result<TextStep, SampleError> {
        self.sampler.push(chosen.token);
        self.log_probs.push(chosen.log_prob);
        if self.asked.top_log_probs > 0 {
            self.top.push(chosen.top.clone());
        }
        let stops = self.asked.stop_tokens.contains(&chosen.token).then_some(Finish::StopToken);
        let full = (self.made() >= self.asked.max_new_tokens).then_some(Finish::Length);
        let step = TextStep { text: String::new(), finish: stops.or(full) };
        self.written.push_str(&step.text);
        Ok(step)
    }

    /// The completion that ended, given its tokens.
    pub(super) fn complete(self, tokens: Vec<u32>, version: WeightVersion, finish: Finish) -> Completion {
        Completion { tokens, log_probs: self.log_probs, top: self.top, text: self.written, version, finish }
    }
}

/// One score request.
#[derive(Debug)]
pub(super) struct Score {
    pub(super) request: RequestId,
    /// Positions whose rows are read, ascending.
    rows: Vec<usize>,
    /// The token whose log-probability is read, for each of them; empty if values are.
    targets: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Score {
    pub(super) fn new(request: RequestId, asked: &ScoreRequest) -> Self {
        let targets = match asked.read {
            Read::LogProbs { from } => asked.tokens[from..].to_vec(),
            Read::Values { .. } => Vec::new(),
        };
        Self { request, rows: asked.rows(), targets, values: Vec::new() }
    }

    /// Begins again.
    pub(super) fn restart(&mut self) {
        self.values.clear();
    }

    /// Positions in `start..end` that are to be read, each with the token whose log-probability it is, if one is.
    pub(super) fn reads(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, Option<u32>)> + '_ {
        let unread = self.values.len()..self.rows.len();
        let rows = unread.map(|index| (self.rows[index], self.targets.get(index).copied()));
        rows.skip_while(move |(row, _)| *row < start).take_while(move |(row, _)| *row < end)
    }

    /// Adds what was read next.
    pub(super) fn push(&mut self, value: f32) -> Result<(), SampleError> {
        if !value.is_finite() {
            let position = self.rows.get(self.values.len()).copied().unwrap_or(0);
            return Err(SampleError::NotFinite { position, value });
        }
        self.values.push(value);
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.values.len() == self.rows.len()
    }
}
