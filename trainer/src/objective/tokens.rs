//! Losses of single tokens: likelihoods and policy gradients, with penalties.

use galapagos_domain::recipe::train::{Clip, Loss, PolicyGradient, Proximal, Surrogate};
use tch::{Kind, TchError, Tensor};

use super::{Columns, Objective, Part, Parts, Penalty, misplaced};
use crate::losses::policy_gradient::{self, Clipped, Decoupled};
use crate::losses::{kl, likelihood};

pub(super) fn sum(objective: &Objective, logits: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
    let log_probs = likelihood::token_log_probs(logits, &columns.targets)?;
    let mut parts = Parts::default();
    parts.add(Part::Count, columns.marks as f64);
    mismatch(&mut parts, &log_probs, columns)?;
    let mut losses = match &objective.loss {
        Loss::Nll | Loss::WeightedNll | Loss::Component(_) => likelihood::nll(&log_probs)?.f_mul(&columns.values)?,
        Loss::Pg(pg) => surrogate(pg, &log_probs, columns, &mut parts)?,
        _ => return Err(misplaced(objective)),
    };
    if let Some(of) = objective.kl {
        losses = losses.f_add(&penalty(of, &log_probs, columns, &mut parts)?)?;
    }
    if objective.entropy > 0.0 {
        let entropy = likelihood::entropy(logits)?;
        parts.add(Part::Entropy, total(&entropy)?);
        losses = losses.f_sub(&entropy.f_mul_scalar(objective.entropy)?)?;
    }
    let sum = losses.f_mul(&columns.weights)?.f_sum(Kind::Float)?;
    parts.add(Part::Loss, sum.f_double_value(&[])?);
    Ok((sum, parts))
}

pub(super) fn entropy(objective: &Objective, logits: &Tensor, weights: &Tensor) -> Result<(Tensor, Parts), TchError> {
    let entropy = likelihood::entropy(logits)?;
    let mut parts = Parts::default();
    parts.add(Part::Entropy, total(&entropy.f_mul(weights)?)?);
    let sum = entropy.f_mul(weights)?.f_sum(Kind::Float)?.f_mul_scalar(-objective.entropy)?;
    parts.add(Part::Loss, sum.f_detach()?.f_double_value(&[])?);
    Ok((sum, parts))
}

fn surrogate(
    pg: &PolicyGradient,
    log_probs: &Tensor,
    columns: &Columns,
    parts: &mut Parts,
) -> Result<Tensor, TchError> {
    let advantages = &columns.values;
    let clipped = match (pg.surrogate, pg.proximal) {
        (Surrogate::Reinforce, _) => return policy_gradient::reinforce(log_probs, advantages),
        (Surrogate::Clip(clip), Proximal::Behaviour) => {
            policy_gradient::ppo_clip(log_probs, &columns.behaviour, advantages, range(clip))?
        }
        (Surrogate::Clip(clip), Proximal::Start { weight_cap }) => {
            let proximal = columns.need(&columns.notes.proximal, "log-probabilities under the start")?;
            let options = Decoupled { clip: range(clip), weight_cap };
            policy_gradient::decoupled(log_probs, proximal, &columns.behaviour, advantages, options)?
        }
        (Surrogate::SequenceClip(_), _) => {
            return Err(TchError::Shape("a ratio of whole records is no loss of single tokens".to_owned()));
        }
    };
    note_clipped(parts, &clipped)?;
    Ok(clipped.loss)
}

pub(super) fn note_clipped(parts: &mut Parts, clipped: &Clipped) -> Result<(), TchError> {
    parts.add(Part::Clipped, total(&clipped.clipped)?);
    parts.add(Part::Ratio, total(&clipped.ratio)?);
    Ok(())
}

/// The weighted divergence from the reference, token by token; what is noted is without weights.
pub(super) fn penalty(
    of: Penalty,
    log_probs: &Tensor,
    columns: &Columns,
    parts: &mut Parts,
) -> Result<Tensor, TchError> {
    let reference = columns.need(&columns.notes.reference, "log-probabilities under the reference")?;
    let penalty = kl::kl(of.form, log_probs, reference)?;
    parts.add(Part::Kl, total(&penalty)?);
    match of.first_turn {
        None => penalty.f_mul_scalar(of.weight),
        Some(first) => {
            let weights = columns.first_turn.f_mul_scalar(first - of.weight)?.f_add_scalar(of.weight)?;
            penalty.f_mul(&weights)
        }
    }
}

/// How far the engine's log-probabilities are from the trainer's, over tokens that the round's start sampled. Of meaning only before
/// the first update.
pub(super) fn mismatch(parts: &mut Parts, log_probs: &Tensor, columns: &Columns) -> Result<(), TchError> {
    let ours = &columns.sampled_by_start;
    let count = total(ours)?;
    if count > 0.0 {
        let distance = log_probs.f_detach()?.f_sub(&columns.behaviour)?.f_abs()?;
        // Marks without a recorded log-probability hold NaN, which a product with 0 would keep.
        let distance = distance.f_where_self(&ours.f_to_kind(Kind::Bool)?, &ours.f_zeros_like()?)?;
        parts.add(Part::Mismatch, total(&distance)?);
        parts.add(Part::MismatchCount, count);
    }
    Ok(())
}

pub(super) fn range(clip: Clip) -> policy_gradient::Clip {
    policy_gradient::Clip { low: clip.low, high: clip.high, dual: clip.dual }
}

/// The sum of a tensor's numbers.
pub(super) fn total(tensor: &Tensor) -> Result<f64, TchError> {
    tensor.f_detach()?.f_sum(Kind::Double)?.f_double_value(&[])
}
