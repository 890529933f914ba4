//! Losses over pairs of answers of which one is preferred, and over single answers judged desirable or not. They read
//! log-probabilities of whole answers; whether those are sums over tokens or means is the caller's choice and said at
//! each loss.

use std::ops::Bound;

use tch::{Kind, TchError, Tensor};

use super::check;

/// Log-probabilities of the two answers of each pair, by the policy and by its reference; all `[n]`. Gradients flow
/// through `chosen` and `rejected`.
#[derive(Debug, Clone, Copy)]
pub struct Margins<'a> {
    pub chosen: &'a Tensor,
    pub rejected: &'a Tensor,
    pub ref_chosen: &'a Tensor,
    pub ref_rejected: &'a Tensor,
}

/// How likely the label of a pair is wrong.
#[derive(Debug, Clone, Copy)]
pub enum Smoothing<'a> {
    /// The same for all pairs; 0 for labels that are certain.
    All(f64),
    /// One for each pair, f32 `[n]`, detached.
    Each(&'a Tensor),
}

impl Margins<'_> {
    /// `h = (chosen - ref_chosen) - (rejected - ref_rejected)`, `[n]`.
    fn difference(self) -> Result<Tensor, TchError> {
        let n = check::vector("chosen", self.chosen)?;
        check::shape("rejected", self.rejected, &[n])?;
        check::shape("ref_chosen", self.ref_chosen, &[n])?;
        check::shape("ref_rejected", self.ref_rejected, &[n])?;
        let chosen = self.chosen.f_sub(&self.ref_chosen.f_detach()?)?;
        chosen.f_sub(&self.rejected.f_sub(&self.ref_rejected.f_detach()?)?)
    }
}

/// Direct preference optimisation with conservative label smoothing `e` (Rafailov et al., 2023, equation 7; Mitchell,
/// cDPO, 2023): `-(1 - e) ln sigmoid(beta h) - e ln sigmoid(-beta h)` with
/// `h = (chosen - ref_chosen) - (rejected - ref_rejected)`, sums over tokens.
///
/// `beta`: above 0. `smoothing`: `e`, in 0 to 0.5; a pair more likely wrong than right is to be swapped instead.
/// Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn dpo(margins: Margins<'_>, beta: f64, smoothing: Smoothing<'_>) -> Result<Tensor, TchError> {
    check::positive("beta", beta)?;
    let logits = margins.difference()?.f_mul_scalar(beta)?;
    // -ln sigmoid(x) = softplus(-x), and softplus(x) = softplus(-x) + x.
    let wrong = match smoothing {
        Smoothing::All(wrong) => {
            check::option("smoothing", wrong, 0.0..=0.5)?;
            logits.f_mul_scalar(wrong)?
        }
        Smoothing::Each(wrong) => {
            check::within("smoothing", wrong, logits.size1()?, 0.0..=0.5)?;
            logits.f_mul(&wrong.f_detach()?)?
        }
    };
    negative_log_sigmoid(&logits)?.f_add(&wrong)
}

/// DPO made unbiased under labels that are wrong at a known rate `e` (Chowdhury et al., 2024, "Provably Robust DPO"):
/// `(-(1 - e) ln sigmoid(beta h) + e ln sigmoid(-beta h)) / (1 - 2 e)`, `h` as in [`dpo`]. It may be negative.
///
/// `beta`: above 0. `flip_rate`: `e`, in 0 to 0.5 but below. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn robust_dpo(margins: Margins<'_>, beta: f64, flip_rate: f64) -> Result<Tensor, TchError> {
    check::positive("beta", beta)?;
    check::option("flip_rate", flip_rate, 0.0..0.5)?;
    let logits = margins.difference()?.f_mul_scalar(beta)?;
    // (1 - e) softplus(-x) - e softplus(x) = (1 - 2 e) softplus(-x) - e x.
    negative_log_sigmoid(&logits)?.f_sub(&logits.f_mul_scalar(flip_rate / (1.0 - 2.0 * flip_rate))?)
}

/// Identity preference optimisation (Azar et al., 2023, equation 17): `(h - 1 / (2 beta))^2`, `h` as in [`dpo`]; `beta`
/// is the paper's tau. With means over tokens instead of sums the target does not depend on the answers' lengths.
///
/// `beta`: above 0. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn ipo(margins: Margins<'_>, beta: f64) -> Result<Tensor, TchError> {
    check::positive("beta", beta)?;
    margins.difference()?.f_sub_scalar(0.5 / beta)?.f_square()
}

/// Regression of the implied reward difference onto a known one: `(beta h - target_margin)^2`, `h` as in [`dpo`] (Huang
/// et al., 2024, "Self-Improvement in Language Models: The Sharpening Mechanism", whose target is the difference of the
/// base model's log-probabilities). The factor 1/2 is not in it.
///
/// `beta`: above 0. `target_margin`: reward of chosen minus reward of rejected, detached, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn dpo_regression(margins: Margins<'_>, beta: f64, target_margin: &Tensor) -> Result<Tensor, TchError> {
    check::positive("beta", beta)?;
    let difference = margins.difference()?;
    check::shape("target_margin", target_margin, &difference.size())?;
    difference.f_mul_scalar(beta)?.f_sub(&target_margin.f_detach()?)?.f_square()
}

/// Contrastive preference learning (Hejna et al., 2023, with its conservative bias `lambda`):
/// `-ln (exp(alpha c) / (exp(alpha c) + exp(lambda alpha r)))`. With `lambda = 1` and log-ratios to a reference in
/// place of log-probabilities it is [`dpo`].
///
/// `chosen_sum`, `rejected_sum`: `c` and `r`, the sums over a segment's steps of `gamma^t ln policy(a_t | s_t)`,
/// learned, `[n]`. `alpha`: above 0. `lambda`: above 0 and up to 1. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn cpl(chosen_sum: &Tensor, rejected_sum: &Tensor, alpha: f64, lambda: f64) -> Result<Tensor, TchError> {
    check::positive("alpha", alpha)?;
    check::option("lambda", lambda, (Bound::Excluded(0.0), Bound::Included(1.0)))?;
    let n = check::vector("chosen_sum", chosen_sum)?;
    check::shape("rejected_sum", rejected_sum, &[n])?;
    negative_log_sigmoid(&chosen_sum.f_sub(&rejected_sum.f_mul_scalar(lambda)?)?.f_mul_scalar(alpha)?)
}

/// Options of [`kto`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kto {
    /// Above 0.
    pub beta: f64,
    /// Weight of desirable answers; at least 0.
    pub weight_desirable: f64,
    /// Weight of undesirable answers; at least 0.
    pub weight_undesirable: f64,
}

/// Kahneman-Tversky optimisation (Ethayarajh et al., 2024):
/// `weight_desirable (1 - sigmoid(beta (l - z)))` for a desirable answer and
/// `weight_undesirable (1 - sigmoid(beta (z - l)))` for an undesirable one.
///
/// `log_ratio`: `l = ln policy(answer) - ln reference(answer)`, sums over tokens, learned, `[n]`. `desirable`: 1 or 0,
/// detached, `[n]`. `reference_point`: `z`, a scalar `[]`, detached, as from [`kto_reference_point`]. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn kto(log_ratio: &Tensor, desirable: &Tensor, reference_point: &Tensor, options: Kto) -> Result<Tensor, TchError> {
    let Kto { beta, weight_desirable, weight_undesirable } = options;
    check::positive("beta", beta)?;
    check::option("weight_desirable", weight_desirable, 0.0..f64::INFINITY)?;
    check::option("weight_undesirable", weight_undesirable, 0.0..f64::INFINITY)?;
    let n = check::vector("log_ratio", log_ratio)?;
    check::flags("desirable", desirable, n)?;
    check::shape("reference_point", reference_point, &[])?;
    let desirable = desirable.f_detach()?;
    let gain = log_ratio.f_sub(&reference_point.f_detach()?)?.f_mul_scalar(beta)?;
    // 1 - sigmoid(x) = sigmoid(-x).
    let loss_if_desirable = gain.f_neg()?.f_sigmoid()?.f_mul_scalar(weight_desirable)?;
    let loss_if_not = gain.f_sigmoid()?.f_mul_scalar(weight_undesirable)?;
    loss_if_desirable.f_where_self(&desirable.f_eq(1.0)?, &loss_if_not)
}

/// The reference point of [`kto`]: `max(0, mean of kl_log_ratios)`, an estimate of `KL(policy || reference)`
/// (Ethayarajh et al., 2024). Over several ranks it needs the mean of all of them before the maximum.
///
/// `kl_log_ratios`: log-ratios of answers that belong to other prompts than the ones they are read after, detached,
/// `[m]` with `m > 0`. Returns a scalar `[]` that no gradient flows through.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn kto_reference_point(kl_log_ratios: &Tensor) -> Result<Tensor, TchError> {
    if check::vector("kl_log_ratios", kl_log_ratios)? == 0 {
        return Err(TchError::Shape("`kl_log_ratios` is [0]; a reference point needs at least one answer".to_owned()));
    }
    kl_log_ratios.f_detach()?.f_mean(Kind::Float)?.f_clamp_min(0.0)
}

fn negative_log_sigmoid(logits: &Tensor) -> Result<Tensor, TchError> {
    logits.f_log_sigmoid()?.f_neg()
}
