//! The rows of one step, each chosen alone, on the threads of a pool.

use std::sync::{Mutex, PoisonError};

use galapagos_kernels::Pool;

use super::{ChooseError, Chosen, Sampler, Scratch, TokenMask};

/// How one row wants its token.
#[derive(Clone, Copy, Debug)]
pub struct RowChoice<'a> {
    /// The sample whose next token it is.
    pub sampler: &'a Sampler,
    /// The tokens that may come; `None` allows all.
    pub allowed: Option<&'a TokenMask>,
    /// Most probable tokens to report.
    pub top: usize,
}

/// A token for each row of `logits` [choices, vocabulary], in order. A row's result depends on that row alone.
/// `scratch` is grown to one entry for each thread.
pub fn choose_rows(
    pool: &Pool,
    logits: &[f32],
    choices: &[RowChoice<'_>],
    scratch: &mut Vec<Scratch>,
) -> Vec<Result<Chosen, ChooseError>> {
    let Some(vocabulary) = logits.len().checked_div(choices.len()).filter(|width| *width > 0) else {
        return Vec::new();
    };
    let parts = pool.threads().min(choices.len());
    if scratch.len() < parts {
        scratch.resize_with(parts, Scratch::default);
    }
    let rows: Vec<(&RowChoice<'_>, &[f32])> = choices.iter().zip(logits.chunks_exact(vocabulary)).collect();
    let run = rows.len().div_ceil(parts);
    let work: Vec<_> = scratch.iter_mut().zip(rows.chunks(run)).map(|part| Mutex::new((part, Vec::new()))).collect();
    pool.run(work.len(), &|part| {
        let mut guard = work[part].lock().unwrap_or_else(PoisonError::into_inner);
        let ((scratch, rows), chosen) = &mut *guard;
        chosen.extend(rows.iter().map(|(row, logits)| row.sampler.choose(logits, row.allowed, row.top, scratch)));
    });
    work.into_iter().flat_map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner).1).collect()
}
