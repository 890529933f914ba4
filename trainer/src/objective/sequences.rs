//! Losses of whole sequences' log-probabilities: preferences, judgements, and ratios of whole records.

use galapagos_domain::recipe::train::{Dpo, DpoForm, Loss, PolicyGradient, Surrogate};
use tch::{Kind, TchError, Tensor};

use super::tokens::{mismatch, note_clipped, penalty, range, total};
use super::{Columns, Objective, Part, Parts, Penalty, misplaced};
use crate::losses::preference::{self, Margins, Smoothing};
use crate::losses::{policy_gradient, segments};

pub(super) fn sum(objective: &Objective, log_probs: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
    let mut parts = Parts::default();
    mismatch(&mut parts, log_probs, columns)?;
    let sum = match &objective.loss {
        Loss::Dpo(dpo) if dpo.form == DpoForm::Ipo => {
            let means = |log_probs: &Tensor| segments::mean_by(log_probs, &columns.segment, columns.sequences);
            of_pairs(columns, log_probs, means, &mut parts, |margins| preference::ipo(margins, dpo.beta))?
        }
        Loss::Dpo(Dpo { beta, smoothing, .. }) => {
            let loss = |margins: Margins<'_>| preference::dpo(margins, *beta, Smoothing::All(*smoothing));
            of_pairs(columns, log_probs, |log_probs| sums(log_probs, columns), &mut parts, loss)?
        }
        Loss::DpoRegression(regression) => {
            let loss =
                |margins: Margins<'_>| preference::dpo_regression(margins, regression.beta, &columns.pair_margins);
            of_pairs(columns, log_probs, |log_probs| sums(log_probs, columns), &mut parts, loss)?
        }
        Loss::Cpl(cpl) => {
            let sums = sums(log_probs, columns)?;
            let (chosen, rejected) = (pick(&sums, &columns.chosen)?, pick(&sums, &columns.rejected)?);
            note_order(&mut parts, &chosen.f_sub(&rejected)?)?;
            weighed(&preference::cpl(&chosen, &rejected, cpl.alpha, cpl.lambda)?, &columns.pair_weights)?
        }
        Loss::Kto(kto) => judged(kto, log_probs, columns, &mut parts)?,
        Loss::Pg(pg) => records(objective, pg, log_probs, columns, &mut parts)?,
        _ => return Err(misplaced(objective)),
    };
    parts.add(Part::Loss, sum.f_detach()?.f_double_value(&[])?);
    Ok((sum, parts))
}

/// Discounted sums of each sequence's log-probabilities.
fn sums(log_probs: &Tensor, columns: &Columns) -> Result<Tensor, TchError> {
    segments::sum_by(&log_probs.f_mul(&columns.weights)?, &columns.segment, columns.sequences)
}

fn pick(sequences: &Tensor, which: &Tensor) -> Result<Tensor, TchError> {
    sequences.f_index_select(0, which)
}

fn weighed(losses: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    losses.f_mul(weights)?.f_sum(Kind::Float)
}

fn note_order(parts: &mut Parts, difference: &Tensor) -> Result<(), TchError> {
    parts.add(Part::Correct, total(&difference.f_gt(0.0)?)?);
    parts.add(Part::Margin, total(difference)?);
    parts.add(Part::Count, difference.numel() as f64);
    Ok(())
}

/// Pairs against the reference; `joined` makes one number of a sequence's log-probabilities.
fn of_pairs(
    columns: &Columns,
    log_probs: &Tensor,
    joined: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    parts: &mut Parts,
    loss: impl Fn(Margins<'_>) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let reference = columns.need(&columns.notes.reference, "log-probabilities under the reference")?;
    let (ours, theirs) = (joined(log_probs)?, joined(reference)?);
    let (chosen, rejected) = (pick(&ours, &columns.chosen)?, pick(&ours, &columns.rejected)?);
    let (ref_chosen, ref_rejected) = (pick(&theirs, &columns.chosen)?, pick(&theirs, &columns.rejected)?);
    let margins =
        Margins { chosen: &chosen, rejected: &rejected, ref_chosen: &ref_chosen, ref_rejected: &ref_rejected };
    let losses = loss(margins)?;
    note_order(parts, &chosen.f_sub(&rejected)?.f_sub(&ref_chosen)?.f_add(&ref_rejected)?)?;
    weighed(&losses, &columns.pair_weights)
}

/// Judged records, against the reference point of the whole batch.
fn judged(
    kto: &galapagos_domain::recipe::train::Kto,
    log_probs: &Tensor,
    columns: &Columns,
    parts: &mut Parts,
) -> Result<Tensor, TchError> {
    let reference = columns.need(&columns.notes.reference, "log-probabilities under the reference")?;
    let point = columns.need(&columns.notes.point, "reference point")?;
    let ratios = sums(log_probs, columns)?.f_sub(&sums(reference, columns)?)?;
    let options =
        preference::Kto { beta: kto.beta, weight_desirable: kto.desirable, weight_undesirable: kto.undesirable };
    parts.add(Part::Kl, total(point)? * columns.sequences as f64);
    parts.add(Part::Count, columns.sequences as f64);
    weighed(&preference::kto(&ratios, &columns.sequence_values, point, options)?, &columns.sequence_weights)
}

/// Policy gradients by the ratio of whole records.
fn records(
    objective: &Objective,
    pg: &PolicyGradient,
    log_probs: &Tensor,
    columns: &Columns,
    parts: &mut Parts,
) -> Result<Tensor, TchError> {
    let Surrogate::SequenceClip(clip) = pg.surrogate else { return Err(misplaced(objective)) };
    let clipped = policy_gradient::sequence_clip(
        log_probs,
        &columns.behaviour,
        &columns.segment,
        &columns.sequence_values,
        range(clip),
    )?;
    note_clipped(parts, &clipped)?;
    parts.add(Part::Count, columns.sequences as f64);
    let mut losses = clipped.loss;
    if let Some(of) = objective.kl {
        let plain =
            penalty(Penalty { weight: 1.0, first_turn: None, ..of }, log_probs, columns, &mut Parts::default())?;
        parts.add(Part::Kl, total(&segments::mean_by(&plain, &columns.segment, columns.sequences)?)?);
        let penalty = penalty(of, log_probs, columns, &mut Parts::default())?;
        losses = losses.f_add(&segments::mean_by(&penalty, &columns.segment, columns.sequences)?)?;
    }
    weighed(&losses, &columns.sequence_weights)
}
