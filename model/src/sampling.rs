//! The choice of the next token from one row of logits.
//!
//! Processors apply in the order of `transformers`: logit bias, penalties, the mask of allowed tokens, temperature, top-k,
//! top-p, min-p. From what they leave, a token is drawn by the inverse of the cumulative distribution, summed in 64 bits in
//! order of token id, at a uniform number that belongs to (seed, sample, position in the completion). So a choice is a
//! function of the logits and of that place alone: a completion that is computed again, or drafted ahead of the model,
//! meets the same draws.
//!
//! ```
//! # use std::sync::Arc;
//! # use galapagos_model::sampling::{Sampler, Sampling, Scratch};
//! let sampling = Sampling { top_p: 0.9, ..Sampling::at(0.7) };
//! sampling.validate()?;
//! let mut sampler = Sampler::new(Arc::new(sampling), (7, 0), &[1, 2, 3]);
//! let chosen = sampler.choose(&[0.1, 2.0, -1.0, 0.3], None, 2, &mut Scratch::default())?;
//! sampler.push(chosen.token);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_kernels::vocabulary::{self, Scale};

mod cut;
mod draw;
mod history;
mod mask;
mod rows;

use draw::Stream;
use history::History;

pub use mask::TokenMask;
pub use rows::{RowChoice, choose_rows};

/// How tokens are chosen from the model's probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 means the most probable token, the lower id among equals.
    pub temperature: f64,
    /// Keeps the fewest most probable tokens that together reach this probability, in (0, 1]; 1 keeps all.
    pub top_p: f64,
    /// Keeps this many most probable tokens, before `top_p`, the lower id among equals; `None` keeps all.
    pub top_k: Option<usize>,
    /// Keeps the tokens at least this probable relative to the most probable one, in [0, 1]; 0 keeps all.
    pub min_p: f64,
    /// Divides positive and multiplies negative logits of tokens in prompt or completion, above 0; 1 changes nothing.
    pub repetition_penalty: f64,
    /// Taken from the logit of every token in the completion, in [-2, 2].
    pub presence_penalty: f64,
    /// Taken from the logit of a token once for each time it is in the completion, in [-2, 2].
    pub frequency_penalty: f64,
    /// Added to the logits of these tokens, before everything else.
    pub logit_bias: BTreeMap<u32, f32>,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Self::at(1.0)
    }
}

impl Sampling {
    /// Always the most probable token.
    pub const GREEDY: Self = Self::at(0.0);

    /// Plain sampling at a temperature.
    #[must_use]
    pub const fn at(temperature: f64) -> Self {
        Self {
            temperature,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: BTreeMap::new(),
        }
    }

    /// Whether every field is in its range.
    ///
    /// # Errors
    /// [`SamplingError`] names the first field that is not.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let fields = [
            ("temperature", self.temperature, self.temperature >= 0.0, "0 or more"),
            ("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1"),
            ("top_k", self.top_k.map_or(1.0, |k| k as f64), self.top_k != Some(0), "at least 1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "from 0 to 1"),
            ("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0.0, "above 0"),
            ("presence_penalty", self.presence_penalty, self.presence_penalty.abs() <= 2.0, "from -2 to 2"),
            ("frequency_penalty", self.frequency_penalty, self.frequency_penalty.abs() <= 2.0, "from -2 to 2"),
        ];
        for (field, value, in_range, range) in fields {
            if !(in_range && value.is_finite()) {
                return Err(SamplingError { field: field.to_owned(), value, range });
            }
        }
        match self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            Some((token, bias)) => {
                let field = format!("logit_bias of token {token}");
                Err(SamplingError { field, value: f64::from(*bias), range: "a finite number" })
            }
            None => Ok(()),
        }
    }

    fn keeps_all(&self) -> bool {
        self.top_k.is_none() && self.top_p >= 1.0 && self.min_p <= 0.0
    }

    /// A temperature too small for its inverse is as good as the smallest one.
    fn inverse_temperature(&self) -> f32 {
        ((1.0 / self.temperature) as f32).min(f32::MAX)
    }
}

/// A field of [`Sampling`] out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}; it must be {range}")]
pub struct SamplingError {
    /// The field's name.
    pub field: String,
    /// Its value.
    pub value: f64,
    /// What it may be.
    pub range: &'static str,
}

/// What was chosen for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The token.
    pub token: u32,
    /// Its log-probability under the model itself: temperature 1, no penalty, no mask, no cut-off.
    pub log_prob: f32,
    /// The most probable tokens under the model itself with their log-probabilities, falling; the lower id among equals.
    pub top: Vec<(u32, f32)>,
}

/// Why no token can be chosen from a row.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ChooseError {
    /// The model or a processor made a logit that is no number.
    #[error("the logit of token {token} is {value}: the model's weights or activations are broken at this position")]
    NotFinite {
        /// The first such token.
        token: u32,
        /// Its logit.
        value: f32,
    },
    /// The mask leaves no token.
    #[error("no token of the vocabulary is allowed at this position")]
    NothingAllowed,
}

/// Buffers for choosing, reused from row to row; one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Maxima of blocks of the row in hand.
    maxima: Vec<f32>,
    /// Sums of blocks of the row in hand.
    sums: Vec<f32>,
    /// The processed row, if any processor changes logits.
    row: Vec<f32>,
    cut: cut::Buffers,
}

/// Chooses the tokens of one sample, one position after the other.
///
/// A clone draws the same numbers, so a clone is what a draft model samples with.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Arc<Sampling>,
    stream: Stream,
    history: History,
    /// Position in the completion of the next token.
    position: u64,
}

impl Sampler {
    /// For a completion of `prompt` that draws from the stream of (seed, sample). `sampling` must be valid.
    #[must_use]
    pub fn new(sampling: Arc<Sampling>, (seed, sample): (u64, usize), prompt: &[u32]) -> Self {
        let history = History::new(&sampling, prompt);
        Self { sampling, stream: Stream::new(seed, sample), history, position: 0 }
    }

    /// The token at the next position, given its row of logits. The state stays as it is: [`Sampler::push`] moves on.
    /// `top` asks for that many most probable tokens.
    ///
    /// # Errors
    /// [`ChooseError`] when a logit is NaN or infinite, or no token is allowed.
    pub fn choose(
        &self,
        logits: &[f32],
        allowed: Option<&TokenMask>,
        top: usize,
        scratch: &mut Scratch,
    ) -> Result<Chosen, ChooseError> {
        let found = vocabulary::scan(logits, &mut scratch.maxima);
        if !found.finite {
            return Err(not_finite(logits));
        }
        let scale = Scale { max: found.max, inverse_temperature: 1.0 };
        let total = vocabulary::block_sums(logits, scale, &mut scratch.sums);
        let normaliser = vocabulary::log_sum_exp(found.max, total);
        let log_prob = |token: u32| (f64::from(logits[token as usize]) - normaliser) as f32;
        let top = match top {
            0 => Vec::new(),
            _ => scratch.cut.most(logits, &scratch.maxima, top).map(|token| (token, log_prob(token))).collect(),
        };
        let token = if allowed.is_none() && self.sampling.logit_bias.is_empty() && self.history.is_empty() {
            self.draw(logits, scale.max, scratch)
        } else {
            let mut row = std::mem::take(&mut scratch.row);
            let token = self.process(logits, allowed, &mut row).and_then(|()| self.draw_from(&row, scratch));
            scratch.row = row;
            token?
        };
        Ok(Chosen { token, log_prob: log_prob(token), top })
    }

    /// The tokens that [`Sampler::choose`] may give and their probabilities, in order of id: what it draws from.
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub fn distribution(
        &self,
        logits: &[f32],
        allowed: Option<&TokenMask>,
        scratch: &mut Scratch,
    ) -> Result<Vec<(u32, f64)>, ChooseError> {
        if !vocabulary::scan(logits, &mut scratch.maxima).finite {
            return Err(not_finite(logits));
        }
        let mut row = Vec::new();
        self.process(logits, allowed, &mut row)?;
        let max = vocabulary::scan(&row, &mut scratch.maxima).max;
        if max == f32::NEG_INFINITY {
            return Err(ChooseError::NothingAllowed);
        }
        if self.is_greedy() {
            return Ok(vec![(most_probable(&row, &scratch.maxima, max), 1.0)]);
        }
        let scale = Scale { max, inverse_temperature: self.sampling.inverse_temperature() };
        vocabulary::block_sums(&row, scale, &mut scratch.sums);
        let kept = scratch.cut.kept(&self.sampling, &row, (&scratch.maxima, &scratch.sums), scale);
        let total: f64 = kept.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let weighed = kept.iter().filter(|candidate| candidate.weight > 0.0);
        Ok(weighed.map(|candidate| (candidate.token, f64::from(candidate.weight) / total)).collect())
    }

    /// Accepts `token` at the next position.
    pub fn push(&mut self, token: u32) {
        self.history.push(&self.sampling, token);
        self.position += 1;
    }

    /// Position in the completion of the next token: how many were pushed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the choice is the most probable token, whatever is drawn.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.sampling.temperature == 0.0
    }

    /// The logits (all finite) after bias, penalties and mask, into `row`.
    fn process(&self, logits: &[f32], allowed: Option<&TokenMask>, row: &mut Vec<f32>) -> Result<(), ChooseError> {
        row.clear();
        row.extend_from_slice(logits);
        for (token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = row.get_mut(*token as usize) {
                *logit += bias;
            }
        }
        self.history.penalise(&self.sampling, row);
        let changed = self.sampling.logit_bias.keys().chain(self.history.tokens());
        if changed.filter_map(|token| row.get(*token as usize)).any(|logit| !logit.is_finite()) {
            return Err(not_finite(row));
        }
        if let Some(allowed) = allowed {
            vocabulary::mask(row, allowed.words());
        }
        Ok(())
    }

    fn draw_from(&self, row: &[f32], scratch: &mut Scratch) -> Result<u32, ChooseError> {
        let max = vocabulary::scan(row, &mut scratch.maxima).max;
        if max == f32::NEG_INFINITY {
            return Err(ChooseError::NothingAllowed);
        }
        let scale = Scale { max, inverse_temperature: 1.0 };
        if self.sampling.temperature == 1.0 && self.sampling.keeps_all() {
            vocabulary::block_sums(row, scale, &mut scratch.sums);
        }
        Ok(self.draw(row, max, scratch))
    }

    /// The token of the row whose greatest entry is `max`. `scratch` holds its maxima, and its sums at temperature 1.
    fn draw(&self, row: &[f32], max: f32, scratch: &mut Scratch) -> u32 {
        if self.is_greedy() {
            return most_probable(row, &scratch.maxima, max);
        }
        let uniform = self.stream.uniform(self.position);
        let scale = Scale { max, inverse_temperature: self.sampling.inverse_temperature() };
        let token = if self.sampling.keeps_all() {
            if self.sampling.temperature != 1.0 {
                vocabulary::block_sums(row, scale, &mut scratch.sums);
            }
            draw::from_blocks(row, &scratch.sums, scale, uniform)
        } else {
            if self.sampling.top_k.is_none() && self.sampling.top_p < 1.0 {
                vocabulary::block_sums(row, scale, &mut scratch.sums);
            }
            let kept = scratch.cut.kept(&self.sampling, row, (&scratch.maxima, &scratch.sums), scale);
            draw::from_kept(kept, uniform)
        };
        // Nothing has weight only if the row is empty of numbers, which `choose` has refused.
        token.unwrap_or_else(|| most_probable(row, &scratch.maxima, max))
    }
}

/// The lowest id among the greatest logits.
fn most_probable(row: &[f32], maxima: &[f32], max: f32) -> u32 {
    let first = maxima.iter().position(|most| *most == max).unwrap_or(0) * vocabulary::BLOCK;
    let within = row[first..].iter().position(|logit| *logit == max).unwrap_or(0);
    (first + within) as u32
}

fn not_finite(row: &[f32]) -> ChooseError {
    let token = row.iter().position(|logit| !logit.is_finite()).unwrap_or(0);
    ChooseError::NotFinite { token: token as u32, value: row[token] }
}

#[cfg(test)]
mod tests;
