//! `normalise`: rewards or values of parts on one scale, within siblings, a task, a tree or the dataset. What has no number gets none.

use std::collections::BTreeMap;

use galapagos_domain::recipe::curate::Of;
use galapagos_domain::trajectory::Trajectory;

use super::error::OperatorError;
use super::stage::{Fate, Group, Whole};

/// Calls `on` for each number of a record, in order.
fn each(record: &Trajectory, of: Of, mut on: impl FnMut(f64)) {
    match of {
        Of::Reward => record.reward().into_iter().for_each(&mut on),
        Of::Values => record.credit.spans.iter().filter_map(|span| span.value).map(f64::from).for_each(&mut on),
    }
}

/// Puts `new` of each number in its place.
fn change(record: &mut Trajectory, of: Of, new: impl Fn(f64) -> f64) {
    match of {
        Of::Reward => record.credit.reward = record.reward().map(|reward| new(reward) as f32).or(record.credit.reward),
        Of::Values => {
            for value in record.credit.spans.iter_mut().filter_map(|span| span.value.as_mut()) {
                *value = new(f64::from(*value)) as f32;
            }
        }
    }
}

/// Mean and variance as they come (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn see(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    /// Of the whole, not of a sample.
    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1.0)).sqrt()
    }
}

fn in_order(rows: Vec<Trajectory>) -> Vec<(usize, Trajectory)> {
    rows.into_iter().enumerate().collect()
}

pub(super) fn per_prompt<'a>(of: Of) -> Group<'a> {
    Box::new(move |mut rows| {
        let mut moments = Moments::default();
        rows.iter().for_each(|row| each(row, of, |value| moments.see(value)));
        rows.iter_mut().for_each(|row| change(row, of, |value| value - moments.mean));
        Ok(in_order(rows))
    })
}

/// To 0 to 1; where all are equal, to a half.
pub(super) fn per_tree<'a>(of: Of) -> Group<'a> {
    Box::new(move |mut rows| {
        let tree = |row: &Trajectory| row.leaf.as_ref().map(|leaf| (row.job.clone(), leaf.tree.clone()));
        let mut bounds: BTreeMap<_, (f64, f64)> = BTreeMap::new();
        for row in &rows {
            let (low, high) = bounds.entry(tree(row)).or_insert((f64::INFINITY, f64::NEG_INFINITY));
            each(row, of, |value| (*low, *high) = (low.min(value), high.max(value)));
        }
        for row in &mut rows {
            let Some((low, high)) = bounds.get(&tree(row)).copied() else { continue };
            change(row, of, |value| if high > low { (value - low) / (high - low) } else { 0.5 });
        }
        Ok(in_order(rows))
    })
}

/// A step is what was written up to its end; its siblings go on from what was written up to its start. However many records pass
/// through a step, it counts once, with the first one's value.
pub(super) fn sibling_center<'a>() -> Group<'a> {
    Box::new(|mut rows| {
        let written = |row: &Trajectory, end: u32| {
            let mut hasher = blake3::Hasher::new();
            let tokens = row.completion_tokens.get(..end as usize).unwrap_or(&row.completion_tokens);
            for token in tokens {
                hasher.update(&token.to_le_bytes());
            }
            *hasher.finalize().as_bytes()
        };
        let mut families: BTreeMap<[u8; 32], BTreeMap<[u8; 32], f64>> = BTreeMap::new();
        for row in &rows {
            for span in &row.credit.spans {
                if let Some(value) = span.value {
                    let family = families.entry(written(row, span.start)).or_default();
                    family.entry(written(row, span.end)).or_insert_with(|| f64::from(value));
                }
            }
        }
        let mean = |family: &BTreeMap<[u8; 32], f64>| family.values().sum::<f64>() / family.len() as f64;
        let means: BTreeMap<_, _> = families.iter().map(|(parent, family)| (*parent, mean(family))).collect();
        for row in &mut rows {
            let starts: Vec<_> = row.credit.spans.iter().map(|span| written(row, span.start)).collect();
            for (span, start) in row.credit.spans.iter_mut().zip(starts) {
                let mean = means.get(&start).copied().unwrap_or(0.0);
                span.value = span.value.map(|value| (f64::from(value) - mean) as f32);
            }
        }
        Ok(in_order(rows))
    })
}

/// To mean 0 and standard deviation 1 over the dataset; where all are equal, to 0.
#[derive(Debug)]
pub(super) struct Whiten {
    of: Of,
    moments: Moments,
}

impl Whiten {
    pub(super) fn new(of: Of) -> Self {
        Self { of, moments: Moments::default() }
    }
}

impl<'a> Whole<'a> for Whiten {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        each(record, self.of, |value| self.moments.see(value));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }

    fn give(&mut self, _: u64, mut record: Trajectory) -> Result<Fate, OperatorError> {
        let (mean, deviation) = (self.moments.mean, self.moments.deviation());
        change(&mut record, self.of, |value| if deviation > 0.0 { (value - mean) / deviation } else { 0.0 });
        Ok(Fate::Kept(record))
    }
}
