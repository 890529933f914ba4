//! `subsample` with chances in proportion to a number: the keys u^(1/w) of Efraimidis and Spirakis (2006), the n largest of which are a
//! sample without replacement with weights w. One pass, n keys in memory. A preference is drawn as one, by its first side's number.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use galapagos_domain::recipe::curate::{Measure, Subsample};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use rand::RngExt as _;

use super::error::OperatorError;
use super::measure::measure;
use super::sample::{Units, fate};
use super::stage::{Fate, Whole};

/// A record's key; the smallest is on top of the heap.
#[derive(Debug, PartialEq)]
struct Key {
    /// ln u / w: orders as u^(1/w) does.
    key: f64,
    number: u64,
}

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.total_cmp(&self.key).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Those drawn keep their order.
#[derive(Debug)]
pub(super) struct Weighted<'a> {
    taken: &'a Subsample,
    by: &'a Measure,
    seed: Seed,
    seen: Units,
    given: Units,
    heap: BinaryHeap<Key>,
    chosen: HashSet<u64>,
}

impl<'a> Weighted<'a> {
    pub(super) fn new(taken: &'a Subsample, by: &'a Measure, seed: Seed) -> Self {
        let (seen, given) = (Units::default(), Units::default());
        Self { taken, by, seed, seen, given, heap: BinaryHeap::new(), chosen: HashSet::new() }
    }

    fn weight(&self, record: &Trajectory) -> Option<f64> {
        let number = measure(record, self.by)?;
        Some(if self.taken.complement { 1.0 - number } else { number })
    }
}

impl<'a> Whole<'a> for Weighted<'a> {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        let before = self.seen.count;
        let number = self.seen.of(record);
        if number < before {
            // The other side of a preference has spoken for both.
            return Ok(());
        }
        if let Some(weight) = self.weight(record).filter(|weight| *weight > 0.0) {
            // In (0, 1], so that its logarithm is a number.
            let uniform = 1.0 - self.seed.nth(number).stream().random::<f64>();
            self.heap.push(Key { key: uniform.ln() / weight, number });
            if self.heap.len() > self.taken.n as usize {
                self.heap.pop();
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        self.chosen = std::mem::take(&mut self.heap).into_iter().map(|key| key.number).collect();
        Ok(())
    }

    fn give(&mut self, _: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        let number = self.given.of(&record);
        if self.weight(&record).is_none() {
            return Ok(Fate::Without);
        }
        Ok(fate(self.chosen.contains(&number), record))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_records::plain;
    use super::*;

    /// How many of two records of weights `a` and `b` are the first, when one of both is taken with many seeds.
    fn first_of(weights: [f32; 2], complement: bool) -> usize {
        let taken = Subsample { n: 1, by: Some(Measure::Confidence), complement };
        let record = |weight: f32| {
            let mut record = plain(0, 0, 7);
            record.verdict.confidence = Some(weight);
            record
        };
        let rows = weights.map(record);
        let first = |seed: u64| {
            let mut weighted = Weighted::new(&taken, &Measure::Confidence, Seed(seed));
            rows.iter().for_each(|row| weighted.see(row).unwrap());
            weighted.settle().unwrap();
            matches!(weighted.give(0, rows[0].clone()).unwrap(), Fate::Kept(_))
        };
        (0..4000).filter(|seed| first(*seed)).count()
    }

    #[test]
    fn chances_are_in_proportion_to_the_number() {
        // Four standard deviations of 4000 draws are at most 126.
        assert!(first_of([0.75, 0.25], false).abs_diff(3000) < 126);
        assert!(first_of([0.75, 0.25], true).abs_diff(1000) < 126);
        assert_eq!((first_of([0.5, 0.0], false), first_of([-1.0, 0.1], false)), (4000, 0));
    }

    #[test]
    fn both_sides_of_a_preference_are_drawn_or_neither() {
        use galapagos_domain::trajectory::Side;
        let side = |pair: &str, chosen, confidence| {
            let mut record = plain(0, 0, 7);
            record.credit.pair = Some(Side { pair: pair.to_owned(), chosen });
            record.verdict.confidence = Some(confidence);
            record
        };
        let rows = [side("p", true, 0.5), side("q", true, 0.25), side("q", false, 0.25), side("p", false, 0.5)];
        let taken = Subsample { n: 1, by: Some(Measure::Confidence), complement: false };
        for seed in 0..20 {
            let mut weighted = Weighted::new(&taken, &Measure::Confidence, Seed(seed));
            rows.iter().for_each(|row| weighted.see(row).unwrap());
            weighted.settle().unwrap();
            let mut give = |row: &Trajectory| matches!(weighted.give(0, row.clone()).unwrap(), Fate::Kept(_));
            let kept: Vec<bool> = rows.iter().map(&mut give).collect();
            assert!(kept == [true, false, false, true] || kept == [false, true, true, false], "{kept:?}");
        }
    }

    #[test]
    fn records_without_the_number_are_counted_apart() {
        let taken = Subsample { n: 5, by: Some(Measure::Confidence), complement: false };
        let mut weighted = Weighted::new(&taken, &Measure::Confidence, Seed(1));
        let record = plain(0, 0, 7);
        weighted.see(&record).unwrap();
        weighted.settle().unwrap();
        assert!(matches!(weighted.give(0, record).unwrap(), Fate::Without));
    }
}
