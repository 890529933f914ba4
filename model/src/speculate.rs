//! Speculative decoding that changes no token: drafts, and their check against the target model.
//!
//! The draw of a position belongs to (seed, sample, position), so the token the target model takes there is settled before
//! anything is drafted. [`verify`] draws position after position from the target's logits and goes on while the draft said the
//! same; the first token that differs is itself a token of the completion. So completions are the same with and without
//! speculation, token by token, which is more than equal in distribution. A draft model is sampled with the same draws
//! ([`CoupledDraft`]), so that it agrees with the target as often as their distributions allow.
//!
//! ```
//! # use std::sync::Arc;
//! # use galapagos_model::sampling::{Sampler, Sampling, Scratch};
//! # use galapagos_model::speculate::{Drafter, PromptLookup, SequenceRows, verify};
//! let mut history = vec![1, 2, 3, 1, 2];
//! let mut sampler = Sampler::new(Arc::new(Sampling::GREEDY), (0, 0), &history);
//! let mut drafter = PromptLookup::default();
//! let draft = drafter.draft(&history, 2); // [3, 1]: what followed [1, 2] before
//! let logits = [[0.0, 0.1, 0.2, 9.0], [0.0, 0.1, 9.0, 0.2], [9.0, 0.1, 0.2, 0.3]].concat(); // after [], [3], [3, 1]
//! let rows = SequenceRows { sampler: &mut sampler, guide: None, draft: &draft, logits: &logits, top: 0 };
//! let chosen = verify(rows, &mut Scratch::default())?;
//! assert_eq!(chosen.iter().map(|chosen| chosen.token).collect::<Vec<_>>(), [3, 2]);
//! drafter.checked(draft.len(), chosen.len() - 1);
//! history.extend(chosen.iter().map(|chosen| chosen.token));
//! # Ok::<(), galapagos_model::speculate::VerifyError>(())
//! ```

use std::sync::{Mutex, PoisonError};

use galapagos_kernels::Pool;

use crate::guide::{Guide, GuideError};
use crate::sampling::{ChooseError, Chosen, Sampler, Scratch};

mod lookup;

pub use lookup::PromptLookup;

/// Guesses what comes next in one sequence.
pub trait Drafter: Send {
    /// At most `most` tokens that may follow `history` (prompt and completion so far), best guess; may be none.
    fn draft(&mut self, history: &[u32], most: usize) -> Vec<u32>;

    /// Tells how many tokens of the last draft were right.
    fn checked(&mut self, drafted: usize, accepted: usize);
}

/// The target's logits for the next positions of one sequence.
#[derive(Debug)]
pub struct SequenceRows<'a> {
    /// The sequence's sampler, before the first of these positions.
    pub sampler: &'a mut Sampler,
    /// Its guide, likewise.
    pub guide: Option<&'a mut Guide>,
    /// Tokens that were drafted for these positions; empty for a plain step.
    pub draft: &'a [u32],
    /// Row `i` `[vocabulary]` holds the logits after the first `i` drafted tokens; one row more than drafted tokens.
    pub logits: &'a [f32],
    /// Most probable tokens to report.
    pub top: usize,
}

/// Why a sequence got no tokens.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No token could be chosen.
    #[error("no token can be chosen at position {position} of the completion")]
    Choose {
        /// The position.
        position: u64,
        /// Why.
        #[source]
        source: ChooseError,
    },
    /// The guide failed.
    #[error("the guide failed at position {position} of the completion")]
    Guide {
        /// The position.
        position: u64,
        /// Why.
        #[source]
        source: GuideError,
    },
}

/// The tokens the target chooses while the draft is right, and the one after: at least one, at most one more than drafted.
/// Ends early when the guide does. Sampler and guide have accepted the tokens that are given.
///
/// # Errors
/// [`VerifyError`]; sampler and guide are then of no more use.
pub fn verify(rows: SequenceRows<'_>, scratch: &mut Scratch) -> Result<Vec<Chosen>, VerifyError> {
    let SequenceRows { sampler, mut guide, draft, logits, top } = rows;
    let vocabulary = logits.len() / (draft.len() + 1);
    let mut tokens = Vec::new();
    for (index, row) in logits.chunks_exact(vocabulary.max(1)).take(draft.len() + 1).enumerate() {
        let chosen = next(sampler, guide.as_deref_mut(), (row, top), scratch)?;
        let token = chosen.token;
        tokens.push(chosen);
        if draft.get(index) != Some(&token) || guide.as_ref().is_some_and(|guide| guide.is_stopped()) {
            break;
        }
    }
    Ok(tokens)
}

/// [`verify`] for each sequence alone, on the threads of a pool. `scratch` is grown to one entry for each thread.
pub fn verify_all(
    pool: &Pool,
    sequences: Vec<SequenceRows<'_>>,
    scratch: &mut Vec<Scratch>,
) -> Vec<Result<Vec<Chosen>, VerifyError>> {
    let parts = pool.threads().min(sequences.len()).max(1);
    if scratch.len() < parts {
        scratch.resize_with(parts, Scratch::default);
    }
    let count = sequences.len();
    let run = count.div_ceil(parts).max(1);
    let mut sequences = sequences.into_iter();
    let parts =
        scratch.iter_mut().map(|scratch| (scratch, sequences.by_ref().take(run).collect::<Vec<_>>(), Vec::new()));
    let work: Vec<Mutex<_>> = parts.take(count.div_ceil(run)).map(Mutex::new).collect();
    pool.run(work.len(), &|part| {
        let mut guard = work[part].lock().unwrap_or_else(PoisonError::into_inner);
        let (scratch, sequences, found) = &mut *guard;
        found.extend(sequences.drain(..).map(|rows| verify(rows, scratch)));
    });
    work.into_iter().flat_map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner).2).collect()
}

/// Chooses one token and moves on by it.
fn next(
    sampler: &mut Sampler,
    mut guide: Option<&mut Guide>,
    (row, top): (&[f32], usize),
    scratch: &mut Scratch,
) -> Result<Chosen, VerifyError> {
    let position = sampler.position();
    let failed = |source| VerifyError::Guide { position, source };
    let allowed = guide.as_mut().map(|guide| guide.mask()).transpose().map_err(failed)?;
    let chosen = sampler
        .choose(row, allowed.as_ref(), top, scratch)
        .map_err(|source| VerifyError::Choose { position, source })?;
    if let Some(guide) = guide {
        guide.accept(chosen.token).map_err(failed)?;
    }
    sampler.push(chosen.token);
    Ok(chosen)
}

/// Draws a draft from a draft model's logits with the draws the target will make.
///
/// Where the two distributions are the same, so are the tokens. Feed it the draft model's row after the history, then after
/// each proposed token; give [`CoupledDraft::tokens`] to [`verify`].
#[derive(Clone, Debug)]
pub struct CoupledDraft {
    sampler: Sampler,
    guide: Option<Guide>,
    tokens: Vec<u32>,
}

impl CoupledDraft {
    /// At the position where the target's sampler and guide are, which stay there.
    #[must_use]
    pub fn new(sampler: &Sampler, guide: Option<&Guide>) -> Self {
        Self { sampler: sampler.clone(), guide: guide.cloned(), tokens: Vec::new() }
    }

    /// The next token of the draft, given the draft model's logits; `None` when the guide has come to its end.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn propose(&mut self, logits: &[f32], scratch: &mut Scratch) -> Result<Option<u32>, VerifyError> {
        if self.guide.as_ref().is_some_and(Guide::is_stopped) {
            return Ok(None);
        }
        let chosen = next(&mut self.sampler, self.guide.as_mut(), (logits, 0), scratch)?;
        self.tokens.push(chosen.token);
        Ok(Some(chosen.token))
    }

    /// The draft so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests;
