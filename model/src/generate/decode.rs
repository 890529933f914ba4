//! The decoding loop of requests with one prefix: prefill rows while there is room, then one token for every row at a time.

use tch::{TchError, Tensor};

use super::cache::{DecodeStep, RowCache, SharedPrefix};
use super::prefill::{KeyValues, prefill};
use super::queue::{Share, Waiting};
use super::sampler::{Choice, Stream, choose};
use super::{Completion, Finish, GenerateError, Request, RunControl, compute};
use crate::compute::Doing;
use crate::llama::fused::FusedModel;

pub(super) struct Decoder<'a> {
    model: &'a FusedModel,
    prefix: Option<&'a SharedPrefix>,
    max_rows: usize,
    /// Rows being decoded, in the order of `cache`'s rows.
    rows: Vec<Row>,
    cache: Option<RowCache>,
}

/// A completion in the making.
struct Row {
    completion: Completion,
    stream: Stream,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(model: &'a FusedModel, prefix: Option<&'a SharedPrefix>, max_rows: usize) -> Self {
        Self { model, prefix, max_rows, rows: Vec::new(), cache: None }
    }

    /// Decodes all of `waiting`, adding to `completions` as rows finish.
    pub(super) fn run(
        mut self,
        requests: &[Request],
        mut waiting: Waiting,
        control: &mut RunControl<'_>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), GenerateError> {
        let mut generated: u64 = completions.iter().map(|completion| completion.tokens.len() as u64).sum();
        loop {
            control.check()?;
            let room = self.max_rows - self.rows.len();
            // Prefilling a few rows at a time would cost a pass over all weights for each of them.
            let logits = if !waiting.is_empty() && (self.rows.is_empty() || room * 2 >= self.max_rows) {
                self.admit(requests, &waiting.take(room)).doing("the prompts").map_err(compute)?
            } else if self.rows.is_empty() {
                return Ok(());
            } else {
                (0, self.step().doing("the next tokens").map_err(compute)?)
            };
            generated += self.extend(requests, &logits).doing("the choice of tokens").map_err(compute)?;
            self.retire(requests, completions).doing("the removal of finished rows").map_err(compute)?;
            control.report(generated);
        }
    }

    /// Adds rows for `shares`. Gives the first new row and the logits [new rows, vocabulary] for their first tokens.
    fn admit(&mut self, requests: &[Request], shares: &[Share]) -> Result<(usize, Tensor), TchError> {
        let prompts: Vec<&[u32]> = shares.iter().map(|share| requests[share.request].prompt.as_slice()).collect();
        let filled = prefill(self.model, self.prefix.map(|prefix| &prefix.key_values), &prompts)?;
        let mut repeats = Vec::new();
        let first = self.rows.len();
        for (index, share) in (0i64..).zip(shares) {
            for sample in share.first_sample..share.first_sample + share.samples {
                repeats.push(index);
                self.rows.push(Row::new(share.request, sample, requests[share.request].seed));
            }
        }
        let prompts: Vec<(KeyValues, usize)> =
            filled.key_values.into_iter().zip(shares.iter().map(|share| share.samples)).collect();
        let cache = RowCache::from_prompts(self.model, &prompts)?;
        match &mut self.cache {
            Some(existing) => existing.append(cache)?,
            None => self.cache = Some(cache),
        }
        let repeats = Tensor::f_from_slice(&repeats)?.f_to_device(self.model.device())?;
        Ok((first, self.logits(&filled.last)?.f_index_select(0, &repeats)?))
    }

    /// Feeds every row its last token. Gives the logits [rows, vocabulary] for the next ones.
    fn step(&mut self) -> Result<Tensor, TchError> {
        let Some(cache) = &mut self.cache else {
            return Err(TchError::Shape("there are rows but no cache".to_owned()));
        };
        let offset = self.prefix.map_or(0, |prefix| prefix.tokens());
        let positions: Vec<i64> = cache.lengths().iter().map(|length| length + offset).collect();
        let tokens: Vec<i64> =
            self.rows.iter().map(|row| row.completion.tokens.last().map_or(0, |token| i64::from(*token))).collect();
        let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(self.model.device());
        let mut step = DecodeStep::new(self.model, self.prefix, cache)?;
        let x = self.model.trunk(&on_device(&tokens)?, &on_device(&positions)?, &mut step)?;
        step.finish();
        self.logits(&x)
    }

    fn logits(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.model.logits(x)?.ok_or_else(|| TchError::Shape("the model has no output projection".to_owned()))
    }

    /// Chooses a token for each row from `first` on. Gives how many.
    fn extend(&mut self, requests: &[Request], (first, logits): &(usize, Tensor)) -> Result<u64, TchError> {
        let rows = &mut self.rows[*first..];
        let choices = rows
            .iter_mut()
            .map(|row| Choice { sampling: requests[row.completion.request].sampling, stream: &mut row.stream });
        let chosen = choose(logits, choices.collect())?;
        for (row, (token, log_prob)) in rows.iter_mut().zip(&chosen) {
            row.completion.tokens.push(*token);
            row.completion.log_probs.push(*log_prob);
        }
        Ok(chosen.len() as u64)
    }

    /// Moves finished rows out and closes the gaps, keeping the order of the others.
    fn retire(&mut self, requests: &[Request], completions: &mut Vec<Completion>) -> Result<(), TchError> {
        let mut kept = Vec::new();
        let mut going_on = Vec::new();
        for (index, mut row) in (0i64..).zip(std::mem::take(&mut self.rows)) {
            match row.finished(&requests[row.completion.request]) {
                Some(finish) => {
                    row.completion.finish = finish;
                    completions.push(row.completion);
                }
                None => {
                    kept.push(index);
                    going_on.push(row);
                }
            }
        }
        self.rows = going_on;
        match &mut self.cache {
            _ if self.rows.is_empty() => self.cache = None,
            Some(cache) if cache.lengths().len() != kept.len() => cache.keep(&kept)?,
            Some(_) | None => {}
        }
        Ok(())
    }
}

impl Row {
    fn new(request: usize, sample: usize, seed: u64) -> Self {
        let completion =
            Completion { request, sample, tokens: Vec::new(), log_probs: Vec::new(), finish: Finish::Length };
        Self { completion, stream: Stream::new(seed, sample) }
    }

    fn finished(&self, request: &Request) -> Option<Finish> {
        let tokens = &self.completion.tokens;
        if tokens.last().is_some_and(|token| request.stop_tokens.contains(token)) {
            Some(Finish::Stop)
        } else if tokens.len() >= request.max_new_tokens {
            Some(Finish::Length)
        } else {
            None
        }
    }
}
