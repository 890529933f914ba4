//! Losses of what other heads say, and of hidden states: critics, classifiers, Q-functions, contrasts.

use galapagos_domain::recipe::train::{ContrastiveMi, Loss, Pointwise, StepLoss, TdConservative};
use tch::{Kind, TchError, Tensor};

use super::tokens::total;
use super::{Columns, Objective, Part, Parts, misplaced};
use crate::losses::td::{self, Conservative};
use crate::losses::{contrastive, policy_gradient, reward, segments};

/// Where Huber's error turns from a square to a line.
const HUBER_DELTA: f64 = 1.0;

pub(super) fn sum(objective: &Objective, outputs: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
    let mut parts = Parts::default();
    let sum = match &objective.loss {
        Loss::BtPair(pair) => pairs(outputs, columns, pair.margin, &mut parts)?,
        Loss::Pointwise(pointwise) => self::pointwise(*pointwise, outputs, columns, &mut parts)?,
        Loss::Value(value) => {
            let old = columns.need(&columns.notes.old_values, "values at the round's start")?;
            parts.add(Part::Count, columns.marks as f64);
            let losses = policy_gradient::value_clip(outputs, old, &columns.values, value.clip)?;
            weighed(&losses, &columns.weights)?
        }
        Loss::TdConservative(settings) => actions(settings, outputs, columns, &mut parts)?,
        Loss::ContrastiveMi(settings) => contrast(settings, outputs, columns, &mut parts)?,
        _ => return Err(misplaced(objective)),
    };
    parts.add(Part::Loss, sum.f_detach()?.f_double_value(&[])?);
    Ok((sum, parts))
}

fn weighed(losses: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    losses.f_mul(weights)?.f_sum(Kind::Float)
}

/// Scores of sequences, of which each has one mark.
fn pairs(scores: &Tensor, columns: &Columns, margin: bool, parts: &mut Parts) -> Result<Tensor, TchError> {
    let (chosen, rejected) = (scores.f_index_select(0, &columns.chosen)?, scores.f_index_select(0, &columns.rejected)?);
    let difference = chosen.f_sub(&rejected)?;
    parts.add(Part::Correct, total(&difference.f_gt(0.0)?)?);
    parts.add(Part::Margin, total(&difference)?);
    parts.add(Part::Count, difference.numel() as f64);
    let losses = reward::bt_pair(&chosen, &rejected, margin.then_some(&columns.pair_margins))?;
    weighed(&losses, &columns.pair_weights)
}

fn pointwise(kind: Pointwise, outputs: &Tensor, columns: &Columns, parts: &mut Parts) -> Result<Tensor, TchError> {
    let labels = &columns.values;
    let losses = match kind {
        Pointwise::Bce | Pointwise::Steps(StepLoss::Bce) => {
            let right = outputs.f_gt(0.0)?.f_eq_tensor(&labels.f_gt(0.5)?)?;
            parts.add(Part::Correct, total(&right)?);
            reward::bce_soft(outputs, labels)?
        }
        Pointwise::Mse | Pointwise::Steps(StepLoss::Mse) => reward::mse(outputs, labels)?,
        Pointwise::Huber | Pointwise::Steps(StepLoss::Huber) => reward::huber(outputs, labels, HUBER_DELTA)?,
        Pointwise::Classes | Pointwise::Steps(StepLoss::Classes) => {
            note_hits(parts, outputs, &columns.targets)?;
            reward::classes(outputs, &columns.targets, 0.0)?
        }
        Pointwise::PooledClasses => {
            let pooled = segments::max_by(outputs, &columns.segment, columns.sequences)?;
            let classes = columns.sequence_values.f_to_kind(Kind::Int64)?;
            note_hits(parts, &pooled, &classes)?;
            parts.add(Part::Count, columns.sequences as f64);
            return weighed(&reward::classes(&pooled, &classes, 0.0)?, &columns.sequence_weights);
        }
    };
    parts.add(Part::Count, columns.marks as f64);
    weighed(&losses, &columns.weights)
}

fn note_hits(parts: &mut Parts, outputs: &Tensor, classes: &Tensor) -> Result<(), TchError> {
    let hits = outputs.f_argmax(-1, false)?.f_eq_tensor(classes)?;
    parts.add(Part::Correct, total(&hits)?);
    Ok(())
}

/// Logged actions: the next mark of a sequence is the next state, and nothing follows the last.
fn actions(settings: &TdConservative, q: &Tensor, columns: &Columns, parts: &mut Parts) -> Result<Tensor, TchError> {
    let target_q = columns.need(&columns.notes.target_q, "Q-values of the target network")?;
    // What stands behind the last state of a sequence is another's; `done` hides it.
    let next_q = target_q.f_roll([-1i64].as_slice(), [0i64].as_slice())?;
    let targets = td::td_target(&columns.values, &columns.last, &next_q, None, settings.gamma)?;
    let options = Conservative { alpha: settings.alpha, calibrated: settings.calibrated };
    let returns = settings.calibrated.then_some(&columns.extra);
    let loss = td::td_conservative(q, &columns.targets, &targets, options, returns)?;
    parts.add(Part::Penalty, total(&loss.penalty)?);
    parts.add(Part::Count, columns.marks as f64);
    weighed(&loss.td.f_add(&loss.penalty)?, &columns.weights)
}

/// Two marks in each sequence: the prompt's view and the completion's.
fn contrast(
    settings: &ContrastiveMi,
    hidden: &Tensor,
    columns: &Columns,
    parts: &mut Parts,
) -> Result<Tensor, TchError> {
    let every_other = |first: i64| hidden.f_slice(0, first, columns.marks, 2);
    // Unit vectors, so that the temperature alone sets the scale.
    let unit = |views: Tensor| -> Result<Tensor, TchError> {
        let norm = views.f_norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)?.f_clamp_min(1e-8)?;
        views.f_div(&norm)
    };
    let (query, key) = (unit(every_other(0)?)?, unit(every_other(1)?)?);
    let losses = contrastive::info_nce(&query, &key, settings.temperature, settings.symmetric)?;
    parts.add(Part::Count, columns.sequences as f64);
    weighed(&losses, &columns.sequence_weights)
}
