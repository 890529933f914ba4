//! `relabel`, `noise`, `reward` and `shape_turns`: other rewards, by verdict, turned around at random, summed of several numbers, or
//! for what a turn is better than the one before it.

use galapagos_domain::recipe::curate::{Measure, Relabel, RewardSum, RewardTerm, ShapeTurns};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::measure::measure;
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

/// The weighted sum of the terms.
pub(super) fn sum(reward: &RewardSum) -> Each<'_> {
    Box::new(move |_, mut record| {
        let mut sum = 0.0;
        for term in &reward.sum {
            let Some(number) = worth(term, &record) else { return Ok(Fate::Without) };
            sum += term.weight * number;
        }
        record.credit.reward = Some(sum as f32);
        Ok(Fate::Kept(record))
    })
}

/// The number of a term before it is weighed.
fn worth(term: &RewardTerm, record: &Trajectory) -> Option<f64> {
    let number = measure(record, &term.of)?;
    let number = match term.of {
        Measure::Verdict if number > 0.5 => term.pass.unwrap_or(1.0),
        Measure::Verdict => term.fail.unwrap_or(0.0),
        Measure::Reward
        | Measure::Confidence
        | Measure::Length
        | Measure::Shortest
        | Measure::MeanQ
        | Measure::MinQ
        | Measure::LastQ
        | Measure::Score(_) => number,
    };
    Some(match term.saturate {
        Some(half) => number.max(0.0) / (number.max(0.0) + half),
        None => number,
    })
}

/// Each learned turn after the first also gets so many times what it is better than the one before it; the first one so many times its
/// own.
pub(super) fn shape_turns<'a>(shape: ShapeTurns) -> Each<'a> {
    Box::new(move |_, mut record| {
        let mut turns: Vec<_> = record.credit.spans.iter_mut().filter(|span| span.learn).collect();
        let rewards: Option<Vec<f64>> = turns.iter().map(|turn| turn.value.map(f64::from)).collect();
        let Some(rewards) = rewards.filter(|rewards| !rewards.is_empty()) else { return Ok(Fate::Without) };
        for (turn, pair) in turns.iter_mut().skip(1).zip(rewards.windows(2)) {
            turn.value = Some((pair[1] + shape.bonus * (pair[1] - pair[0])) as f32);
        }
        turns[0].value = Some((shape.first * rewards[0]) as f32);
        Ok(Fate::Kept(record))
    })
}

/// Whether a chance of `flip` comes true.
fn falls(seed: Seed, flip: f64) -> bool {
    (seed.0 >> 11) as f64 / (1u64 << 53) as f64 <= flip && flip > 0.0
}
