//! Losses of critics: pairs ranked, labels and values fitted, classes told apart. Scores come from a head of any kind;
//! which position was read is the caller's.

use tch::{Kind, Reduction, TchError, Tensor};

use super::check;

const NO_WEIGHT: Option<&Tensor> = None;

/// Bradley-Terry: `-ln sigmoid(chosen - rejected - margin)` (Bradley and Terry, 1952; as a reward-model loss Ouyang et
/// al., 2022, equation 1; the margin as in Touvron et al., Llama 2, 2023, equation 2). The weight
/// `1 / (pairs of the prompt)` is the caller's.
///
/// `chosen`, `rejected`: scores, learned, `[n]`. `margin`: by how much they should differ at least, detached, `[n]`.
/// Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn bt_pair(chosen: &Tensor, rejected: &Tensor, margin: Option<&Tensor>) -> Result<Tensor, TchError> {
    let n = check::vector("chosen", chosen)?;
    check::shape("rejected", rejected, &[n])?;
    let mut difference = chosen.f_sub(rejected)?;
    if let Some(margin) = margin {
        check::shape("margin", margin, &[n])?;
        difference = difference.f_sub(&margin.f_detach()?)?;
    }
    difference.f_log_sigmoid()?.f_neg()
}

/// Binary cross-entropy with labels that may be soft: `-y ln sigmoid(x) - (1 - y) ln sigmoid(-x)`.
///
/// `logits`: `x`, learned, `[n]`. `labels`: `y`, in 0 to 1, detached, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn bce_soft(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    let n = check::vector("logits", logits)?;
    check::within("labels", labels, n, 0.0..=1.0)?;
    logits.f_binary_cross_entropy_with_logits(&labels.f_detach()?, NO_WEIGHT, NO_WEIGHT, Reduction::None)
}

/// Squared error: `(values - targets)^2`, without a factor 1/2.
///
/// `values`: learned, `[n]`. `targets`: detached, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn mse(values: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
    let n = check::vector("values", values)?;
    check::shape("targets", targets, &[n])?;
    values.f_mse_loss(&targets.f_detach()?, Reduction::None)
}

/// Huber's loss (1964) of `e = values - targets`: `e^2 / 2` where `|e| <= delta`, else `delta (|e| - delta / 2)`.
///
/// `values`: learned, `[n]`. `targets`: detached, `[n]`. `delta`: above 0. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn huber(values: &Tensor, targets: &Tensor, delta: f64) -> Result<Tensor, TchError> {
    check::positive("delta", delta)?;
    let n = check::vector("values", values)?;
    check::shape("targets", targets, &[n])?;
    values.f_huber_loss(&targets.f_detach()?, Reduction::None, delta)
}

/// Cross-entropy over `k` classes with label smoothing `s` (Szegedy et al., 2016):
/// `-(1 - s) ln p[i, classes[i]] - (s / k) sum_j ln p[i, j]` with `p = softmax(logits)`.
///
/// `logits`: learned, `[n, k]`. `classes`: 64-bit integers, `[n]`, each in `0..k`. `smoothing`: `s`, in 0 to 1. Returns
/// `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn classes(logits: &Tensor, classes: &Tensor, smoothing: f64) -> Result<Tensor, TchError> {
    check::option("smoothing", smoothing, 0.0..=1.0)?;
    let (n, count) = check::matrix("logits", logits)?;
    check::indices("classes", classes, n, count)?;
    let log_probs = logits.f_log_softmax(-1, Kind::Float)?;
    let right = log_probs.f_gather(-1, &classes.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
    let all = log_probs.f_mean_dim(-1, false, Kind::Float)?;
    right.f_mul_scalar(smoothing - 1.0)?.f_sub(&all.f_mul_scalar(smoothing)?)
}
