//! `certainty`: what a role that reads both answers of a preference says of it under masks, in both orders (UPO; paper notes, section 15).
//! A preference that the role cannot read has none of the numbers.

use galapagos_domain::recipe::curate::Certainty;
use galapagos_domain::recipe::verify::Dropout;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Score;

use super::error::OperatorError;
use super::joined::{Joint, Sides, sides};
use super::stage::{Estimate, Group, Joined};
use crate::engine::Codec;

/// What masks say of a preference.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    /// The share of masks under which the chosen answer is more likely the better one; a half counts half.
    agrees: f64,
    /// The mean probability that it is.
    preferred: f64,
    /// H(mean p) - mean H(p), in bits, from 0 to 1.
    bald: f64,
}

/// The entropy of a choice between two, in bits.
fn entropy(p: f64) -> f64 {
    [p, 1.0 - p].into_iter().filter(|p| *p > 0.0).map(|p| -p * p.log2()).sum()
}

/// Of the probabilities that the chosen answer is the better one; `None` without any.
fn said(probabilities: &[f64]) -> Option<Said> {
    if probabilities.is_empty() || probabilities.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return None;
    }
    let mean = |of: &dyn Fn(f64) -> f64| probabilities.iter().map(|p| of(*p)).sum::<f64>() / probabilities.len() as f64;
    let half = |p: f64| if p == 0.5 { 0.5 } else { f64::from(u8::from(p > 0.5)) };
    let preferred = mean(&|p| p);
    // Rounding must not make it negative.
    let bald = (entropy(preferred) - mean(&entropy)).max(0.0);
    Some(Said { agrees: mean(&half), preferred, bald })
}

/// Adds the numbers to both sides of each preference; all other records stay as they are.
pub(super) fn of_pairs<'a>(
    sure: &'a Certainty,
    (codec, estimators): (&'a dyn Codec, &'a dyn Estimate),
    seed: Seed,
) -> Result<Group<'a>, OperatorError> {
    let joint = Joint::new(codec, "certainty", (&sure.between, &sure.behind))?;
    let dropout = Dropout { samples: sure.samples, rate: sure.rate };
    Ok(Box::new(move |mut rows| {
        let pairs = sides(&rows, "certainty")?;
        let mut texts = Vec::with_capacity(2 * pairs.len());
        for Sides { chosen, rejected } in &pairs {
            let (better, worse) = (&rows[*chosen], &rows[*rejected]);
            let name = better.credit.pair.as_ref().map_or("", |side| side.pair.as_str());
            for (order, first, second) in [(0, better, worse), (1, worse, better)] {
                let tokens = [&better.prompt_tokens[..], &joint.tokens(first, second)?].concat();
                let prefix = better.prefix_len as usize;
                texts.push(Joined { tokens, prefix, seed: seed.derive(&format!("{name}/{order}")) });
            }
        }
        let mut given = estimators.under_masks(&sure.role, texts, dropout)?.into_iter();
        for Sides { chosen, rejected } in pairs {
            let (Some(first), Some(second)) = (given.next().flatten(), given.next().flatten()) else { continue };
            let chosen_better: Vec<f64> = first.into_iter().chain(second.into_iter().map(|p| 1.0 - p)).collect();
            let Some(Said { agrees, preferred, bald }) = said(&chosen_better) else { continue };
            let scores = [("agrees/1", agrees), ("preferred/1", preferred), ("bald/1", bald)];
            for place in [chosen, rejected] {
                let score = |(by, value): (&str, f64)| Score { by: by.to_owned(), value: value as f32 };
                rows[place].scores.extend(scores.map(score));
            }
        }
        Ok(rows.into_iter().enumerate().collect())
    }))
}

#[cfg(test)]
mod tests;
