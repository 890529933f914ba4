//! Operators that draw at random: `subsample`, `balance`. What they draw depends on the seed and on the places of records, never
//! on how records are stored.

use std::collections::BTreeMap;

use galapagos_domain::ids::Digest;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use rand::seq::SliceRandom;

use super::error::OperatorError;
use super::stage::{Fate, Whole};

/// Which of `len` places are drawn when `n` are to be: `min(n, len)` times true.
pub(super) fn choose(len: usize, n: usize, seed: Seed) -> Vec<bool> {
    let mut chosen: Vec<bool> = (0..len).map(|place| place < n).collect();
    chosen.shuffle(&mut seed.stream());
    chosen
}

/// The place of a record in a list that this machine could hold flags of.
pub(super) fn at(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn fate(stays: bool, record: Trajectory) -> Fate {
    if stays { Fate::Kept(record) } else { Fate::Dropped }
}

/// Numbers records in the order in which they come; both sides of a preference are one.
#[derive(Debug, Default)]
pub(super) struct Units {
    preferences: BTreeMap<Digest, u64>,
    pub(super) count: u64,
}

impl Units {
    pub(super) fn of(&mut self, record: &Trajectory) -> u64 {
        let next = self.count;
        let unit = match &record.credit.pair {
            Some(side) => *self.preferences.entry(Digest::of(side.pair.as_bytes())).or_insert(next),
            None => next,
        };
        self.count += u64::from(unit == next);
        unit
    }
}

/// `subsample`: at most `n` records or preferences; those drawn keep their order.
#[derive(Debug)]
pub(super) struct Subsample {
    n: u32,
    seed: Seed,
    seen: Units,
    given: Units,
    chosen: Vec<bool>,
}

impl Subsample {
    pub(super) fn new(n: u32, seed: Seed) -> Self {
        Self { n, seed, seen: Units::default(), given: Units::default(), chosen: Vec::new() }
    }
}

impl<'a> Whole<'a> for Subsample {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        self.seen.of(record);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        self.chosen = choose(at(self.seen.count), self.n as usize, self.seed);
        Ok(())
    }

    fn give(&mut self, _: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        let unit = self.given.of(&record);
        Ok(fate(self.chosen.get(at(unit)) == Some(&true), record))
    }
}

/// Draws of each class as many as the rarest has.
#[derive(Debug)]
struct Classes<K> {
    seen: BTreeMap<K, usize>,
    left: BTreeMap<K, std::vec::IntoIter<bool>>,
}

impl<K: Ord + Clone> Classes<K> {
    fn new() -> Self {
        Self { seen: BTreeMap::new(), left: BTreeMap::new() }
    }

    fn see(&mut self, class: K) {
        *self.seen.entry(class).or_default() += 1;
    }

    fn settle(&mut self, each: usize, seed: impl Fn(&K) -> Seed) {
        let draw = |(class, seen): (&K, &usize)| (class.clone(), choose(*seen, each, seed(class)).into_iter());
        self.left = self.seen.iter().map(draw).collect();
    }

    fn give(&mut self, class: &K) -> bool {
        self.left.get_mut(class).and_then(Iterator::next) == Some(true)
    }
}

/// `balance: verdict`: as many passes as fails; other verdicts say nothing about the completion and are dropped.
#[derive(Debug)]
pub(super) struct BalanceVerdicts {
    seed: Seed,
    classes: Classes<Outcome>,
}

impl BalanceVerdicts {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, classes: Classes::new() }
    }
}

impl<'a> Whole<'a> for BalanceVerdicts {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        if record.verdict.outcome.is_decided() {
            self.classes.see(record.verdict.outcome);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        let count = |outcome| self.classes.seen.get(&outcome).copied().unwrap_or(0);
        let each = count(Outcome::Pass).min(count(Outcome::Fail));
        let seed = self.seed;
        self.classes.settle(each, |outcome| seed.derive(if *outcome == Outcome::Pass { "pass" } else { "fail" }));
        Ok(())
    }

    fn give(&mut self, _: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        Ok(fate(self.classes.give(&record.verdict.outcome), record))
    }
}

/// `balance: task`: as many records of each task as the rarest has.
#[derive(Debug)]
pub(super) struct BalanceTasks {
    seed: Seed,
    classes: Classes<String>,
}

impl BalanceTasks {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, classes: Classes::new() }
    }
}

/// `SET/TASK`.
pub(super) fn task_of(record: &Trajectory) -> String {
    format!("{}/{}", record.task_set, record.task)
}

impl<'a> Whole<'a> for BalanceTasks {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        self.classes.see(task_of(record));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        let each = self.classes.seen.values().copied().min().unwrap_or(0);
        let seed = self.seed;
        self.classes.settle(each, |task| seed.derive(task));
        Ok(())
    }

    fn give(&mut self, _: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        Ok(fate(self.classes.give(&task_of(&record)), record))
    }
}
