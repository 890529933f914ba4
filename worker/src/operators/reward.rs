//! `relabel` and `noise`: other rewards, by verdict or turned around at random.

use galapagos_domain::recipe::curate::Relabel;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Outcome;

use super::stage::{Each, Fate};

/// Records whose verdict says nothing about the completion keep having no reward.
pub(super) fn relabel(relabel: &Relabel) -> Each<'_> {
    match &relabel.classes {
        Some(classes) => by_class(classes),
        None => by_verdict(relabel),
    }
}

/// Records whose verdict has none of the classes are left out.
fn by_class(classes: &[f64]) -> Each<'_> {
    Box::new(move |_, mut record| {
        let class = record.verdict.class.and_then(|class| classes.get(class as usize));
        let Some(reward) = class else { return Ok(Fate::Without) };
        record.credit.reward = Some(*reward as f32);
        Ok(Fate::Kept(record))
    })
}

fn by_verdict<'a>(relabel: &Relabel) -> Each<'a> {
    let (pass, fail, by_score) = (relabel.pass.unwrap_or(1.0), relabel.fail.unwrap_or(0.0), relabel.by_score);
    Box::new(move |_, mut record| {
        let share = match (record.verdict.outcome, record.verdict.score) {
            (Outcome::Pass | Outcome::Fail, Some(score)) if by_score => Some(f64::from(score)),
            (Outcome::Pass, _) => Some(1.0),
            (Outcome::Fail, _) => Some(0.0),
            (Outcome::Error | Outcome::Timeout | Outcome::Suspect, _) => None,
        };
        if let Some(share) = share {
            record.credit.reward = Some((fail + share * (pass - fail)) as f32);
        }
        Ok(Fate::Kept(record))
    })
}

/// With the chance `flip`: a preference changes sides, both its records together; any other record's reward r becomes 1 - r.
pub(super) fn noise<'a>(flip: f64, seed: Seed) -> Each<'a> {
    Box::new(move |number, mut record| {
        match &mut record.credit.pair {
            Some(side) => side.chosen ^= falls(seed.derive(&side.pair), flip),
            None if falls(seed.nth(number), flip) => {
                record.credit.reward = record.reward().map(|reward| (1.0 - reward) as f32);
            }
            None => {}
        }
        Ok(Fate::Kept(record))
    })
}

/// Whether a chance of `flip` comes true.
fn falls(seed: Seed, flip: f64) -> bool {
    (seed.0 >> 11) as f64 / (1u64 << 53) as f64 <= flip && flip > 0.0
}
