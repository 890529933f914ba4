//! Estimates of how far a policy is from its reference, from one sampled token each. Which estimate may stand in a loss
//! and which only in a reward is part of the contract, because the value alone does not tell.

use tch::{TchError, Tensor};

use super::check;

/// An estimate of `KL(policy || reference)` from a token sampled from the policy (Schulman, "Approximating KL
/// divergence", 2020). With `d = log_probs - reference`, both of that token.
///
/// All three are read as values alike, but their gradients differ. Below, the gradient is the expectation over tokens
/// from the policy itself, with the sampling held fixed, which is what a loss over sampled tokens descends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KlForm {
    /// `d`. Unbiased, may be negative. As a loss it has no effect: its gradient `grad log_probs` is zero in
    /// expectation. It belongs in the reward.
    K1,
    /// `d^2 / 2`. Biased as a value, never negative. Its gradient `d grad log_probs` is in expectation that of
    /// `KL(policy || reference)`: the one to use as a loss for the KL it is named after.
    K2,
    /// `exp(-d) - 1 + d`. Unbiased, never negative. Its gradient `(1 - exp(-d)) grad log_probs` is in expectation that
    /// of `KL(reference || policy)`, the other direction; GRPO's choice (Shao et al., 2024, equation 4).
    K3,
}

/// The estimate of each token, in nats.
///
/// `log_probs`: of the policy, learned, `[n]`. `reference`: of the reference, detached, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn kl(form: KlForm, log_probs: &Tensor, reference: &Tensor) -> Result<Tensor, TchError> {
    let n = check::vector("log_probs", log_probs)?;
    check::shape("reference", reference, &[n])?;
    let difference = log_probs.f_sub(&reference.f_detach()?)?;
    match form {
        KlForm::K1 => Ok(difference),
        KlForm::K2 => difference.f_square()?.f_mul_scalar(0.5),
        KlForm::K3 => difference.f_neg()?.f_expm1()?.f_add(&difference),
    }
}
