//! Policy-gradient losses over sampled tokens or sequences, and the value loss that goes with them. Advantages come
//! from outside (`advantage`); KL and entropy terms are separate losses that the caller adds.

use std::ops::Bound;

use tch::{Kind, TchError, Tensor};

use super::{check, segments};

/// How far a ratio of probabilities may move before a clipped loss stops pushing it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// The ratio is not pushed below `1 - low`; in 0 to 1, 1 for no such bound.
    pub low: f64,
    /// The ratio is not pushed above `1 + high`; at least 0. Larger than `low` for "clip higher" (Yu et al., DAPO,
    /// 2025).
    pub high: f64,
    /// With a negative advantage, the loss is at most `dual * |advantage|`; above 1. Without it a token that became
    /// much more likely has an unbounded loss (Ye et al., 2020, "Mastering Complex Control in MOBA Games").
    pub dual: Option<f64>,
}

/// A clipped loss and what it says about the step.
#[derive(Debug)]
pub struct Clipped {
    /// One loss an item.
    pub loss: Tensor,
    /// 1 where a bound holds and so no gradient flows, else 0; detached. Its mean is the clip fraction.
    pub clipped: Tensor,
    /// The ratio before any bound; detached.
    pub ratio: Tensor,
}

/// REINFORCE: `-advantages * log_probs` (Williams, 1992; its gradient is the policy gradient, its value means nothing).
///
/// `log_probs`: learned, `[n]`. `advantages`: detached, `[n]`. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn reinforce(log_probs: &Tensor, advantages: &Tensor) -> Result<Tensor, TchError> {
    let n = check::vector("log_probs", log_probs)?;
    check::shape("advantages", advantages, &[n])?;
    advantages.f_detach()?.f_neg()?.f_mul(log_probs)
}

/// What a critic of outcomes credits each token with: the softmax of its logits at the token, of the record's true class (Le et al.,
/// `CodeRL`, 2022, equation 6: the intermediate return). It lies between 0 and 1, and only scales what the token is rewarded with.
///
/// `logits`: `[n, classes]`. `classes`: 64-bit integers below the number of classes, `[n]`. Returns `[n]`, detached.
///
/// # Errors
/// See the head of [`losses`](super); also for a class that the critic has not.
pub fn class_credit(logits: &Tensor, classes: &Tensor) -> Result<Tensor, TchError> {
    let (n, count) = check::matrix("logits", logits)?;
    check::indices("classes", classes, n, count)?;
    let probabilities = logits.f_detach()?.f_softmax(-1, Kind::Float)?;
    probabilities.f_gather(-1, &classes.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)
}

/// PPO's clipped surrogate (Schulman et al., 2017, equation 7), with bounds on each side and optionally the dual bound:
/// `-min(r A, clip(r, 1 - low, 1 + high) A)` and, if `dual` is set and `A < 0`, at most `-dual A`;
/// `r = exp(log_probs - old)`.
///
/// `log_probs`: learned, `[n]`. `old`: of the policy that the bounds are about, detached, `[n]`. `advantages`: `A`,
/// detached, `[n]`. All of the result is `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn ppo_clip(log_probs: &Tensor, old: &Tensor, advantages: &Tensor, clip: Clip) -> Result<Clipped, TchError> {
    let n = check::vector("log_probs", log_probs)?;
    check::shape("old", old, &[n])?;
    check::shape("advantages", advantages, &[n])?;
    surrogate(&log_probs.f_sub(&old.f_detach()?)?, advantages, clip)
}

/// Options of [`decoupled`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoupled {
    /// Bounds on the ratio to the proximal policy.
    pub clip: Clip,
    /// Largest importance weight; above 0, infinity for none.
    pub weight_cap: f64,
}

/// PPO for tokens of a policy older than the one the bounds are about (Hilton et al., 2022, "Batch size-invariance for
/// policy optimization", the decoupled objective; Fu et al., `AReaL`, 2025): `-w min(r A, clip(r) A)` with
/// `r = exp(log_probs - proximal)` and `w = min(exp(proximal - behaviour), weight_cap)`.
///
/// `log_probs`: learned, `[n]`. `proximal`: of a recent policy, usually the one at the start of the update, detached,
/// `[n]`. `behaviour`: of the policy that sampled the tokens, detached, `[n]`. `advantages`: detached, `[n]`. All of
/// the result is `[n]`; `ratio` is `r`. With `proximal = behaviour` it is [`ppo_clip`].
///
/// # Errors
/// See the head of [`losses`](super).
pub fn decoupled(
    log_probs: &Tensor,
    proximal: &Tensor,
    behaviour: &Tensor,
    advantages: &Tensor,
    options: Decoupled,
) -> Result<Clipped, TchError> {
    let Decoupled { clip, weight_cap } = options;
    check::option("weight_cap", weight_cap, (Bound::Excluded(0.0), Bound::Unbounded))?;
    let clipped = ppo_clip(log_probs, proximal, advantages, clip)?;
    check::shape("behaviour", behaviour, &log_probs.size())?;
    let weight = proximal.f_sub(behaviour)?.f_detach()?.f_clamp_max(weight_cap.ln())?.f_exp()?;
    Ok(Clipped { loss: clipped.loss.f_mul(&weight)?, ..clipped })
}

/// PPO's clipped surrogate with one ratio for each sequence, the geometric mean of its tokens' (Zheng et al., GSPO,
/// 2025): `s = exp(mean over its tokens of (log_probs - old))`, then `-min(s A, clip(s) A)`. The bounds are usually far
/// closer to 1 than those of tokens.
///
/// `log_probs`: of tokens, learned, `[n]`. `old`: detached, `[n]`. `segment`: the sequence of each token, 64-bit
/// integers, `[n]`. `advantages`: of sequences, detached, `[count]`. All of the result is `[count]`.
///
/// # Errors
/// See the head of [`losses`](super); also for a sequence without tokens.
pub fn sequence_clip(
    log_probs: &Tensor,
    old: &Tensor,
    segment: &Tensor,
    advantages: &Tensor,
    clip: Clip,
) -> Result<Clipped, TchError> {
    let n = check::vector("log_probs", log_probs)?;
    check::shape("old", old, &[n])?;
    let count = check::vector("advantages", advantages)?;
    let log_ratio = segments::mean_by(&log_probs.f_sub(&old.f_detach()?)?, segment, count)?;
    surrogate(&log_ratio, advantages, clip)
}

/// The value loss of PPO as OpenAI Baselines has it (Dhariwal et al., 2017; the paper has no bound):
/// `max((v - R)^2, (v_old + clip(v - v_old, -clip, clip) - R)^2) / 2`, and `(v - R)^2 / 2` without `clip`. The factor
/// 1/2 is in it.
///
/// `values`: `v`, learned, `[n]`. `old_values`: `v_old`, detached, `[n]`. `returns`: `R`, detached, `[n]`. `clip`: in
/// the unit of values, above 0. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn value_clip(
    values: &Tensor,
    old_values: &Tensor,
    returns: &Tensor,
    clip: Option<f64>,
) -> Result<Tensor, TchError> {
    let n = check::vector("values", values)?;
    check::shape("old_values", old_values, &[n])?;
    check::shape("returns", returns, &[n])?;
    let (old, returns) = (old_values.f_detach()?, returns.f_detach()?);
    let free = values.f_sub(&returns)?.f_square()?.f_mul_scalar(0.5)?;
    let Some(clip) = clip else { return Ok(free) };
    check::positive("clip", clip)?;
    let near = values.f_sub(&old)?.f_clamp(-clip, clip)?.f_add(&old)?;
    free.f_maximum(&near.f_sub(&returns)?.f_square()?.f_mul_scalar(0.5)?)
}

/// `min(r A, clip(r) A)` is `A` times `r` bounded above where `A >= 0` and below where `A < 0`. The bounds hold on
/// `ln r`, so that a ratio too large for f32 that is bounded anyway gives neither infinity nor NaN.
fn surrogate(log_ratio: &Tensor, advantages: &Tensor, clip: Clip) -> Result<Clipped, TchError> {
    check::option("clip.low", clip.low, 0.0..=1.0)?;
    check::option("clip.high", clip.high, 0.0..f64::INFINITY)?;
    if let Some(dual) = clip.dual {
        check::option("clip.dual", dual, (Bound::Excluded(1.0), Bound::Excluded(f64::INFINITY)))?;
    }
    let advantages = advantages.f_detach()?;
    let least = (-clip.low).ln_1p();
    let most = clip.dual.map_or(f64::INFINITY, f64::ln);
    let pushed_up = log_ratio.f_clamp_max(clip.high.ln_1p())?;
    let pushed_down = log_ratio.f_clamp(least, most)?;
    let bounded = pushed_up.f_where_self(&advantages.f_ge(0.0)?, &pushed_down)?;
    let clipped = bounded.f_ne_tensor(log_ratio)?.f_logical_and(&advantages.f_ne(0.0)?)?;
    Ok(Clipped {
        loss: bounded.f_exp()?.f_mul(&advantages)?.f_neg()?,
        clipped: clipped.f_to_kind(Kind::Float)?,
        ratio: log_ratio.f_detach()?.f_exp()?,
    })
}
