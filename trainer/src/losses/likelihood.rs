//! Log-probabilities and entropy of categorical predictions: where most losses start. Works on the logits of the
//! positions that count; which ones those are is the caller's.

use tch::{Kind, TchError, Tensor};

use super::check;

/// The log-probability of each target: `logits[i, targets[i]] - ln sum_v exp(logits[i, v])`.
///
/// `logits`: learned, `[n, v]`. `targets`: 64-bit integers, `[n]`, each in `0..v`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn token_log_probs(logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
    let (n, vocabulary) = check::matrix("logits", logits)?;
    check::indices("targets", targets, n, vocabulary)?;
    logits.f_log_softmax(-1, Kind::Float)?.f_gather(-1, &targets.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)
}

/// The entropy of each prediction in nats: `-sum_v p[i, v] ln p[i, v]` with `p = softmax(logits)`.
///
/// `logits`: learned, `[n, v]`, finite: a logit of minus infinity gives NaN. Returns `[n]`, from 0 to `ln v`. As a
/// bonus it enters a loss with a minus (Williams and Peng, 1991).
///
/// # Errors
/// See the head of [`losses`](super).
pub fn entropy(logits: &Tensor) -> Result<Tensor, TchError> {
    check::matrix("logits", logits)?;
    let log_probs = logits.f_log_softmax(-1, Kind::Float)?;
    log_probs.f_exp()?.f_mul(&log_probs)?.f_sum_dim_intlist(-1, false, Kind::Float)?.f_neg()
}

/// Negative log-likelihood: `-log_probs`, in nats.
///
/// `log_probs`: learned, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn nll(log_probs: &Tensor) -> Result<Tensor, TchError> {
    check::vector("log_probs", log_probs)?;
    log_probs.f_neg()
}
