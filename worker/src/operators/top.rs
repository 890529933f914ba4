//! `top_k`: the best records of each task or of the dataset, in their old order. Ties go to the earlier record, so nothing is left to chance.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use galapagos_domain::recipe::curate::{Measure, TopK};
use galapagos_domain::trajectory::Trajectory;

use super::error::OperatorError;
use super::measure::measure;
use super::stage::{Fate, Group, Whole, chosen};

/// How good a record is: greater is better.
#[derive(Debug, Clone, PartialEq)]
struct Rank {
    /// A record without a number is behind all that have it.
    numbers: Vec<Option<f64>>,
    place: u64,
}

impl Rank {
    fn of(record: &Trajectory, by: &[Measure], place: u64) -> Self {
        Self { numbers: by.iter().map(|by| measure(record, by)).collect(), place }
    }
}

impl Eq for Rank {}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.iter().zip(&other.numbers).map(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        });
        let first = numbers.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        first.then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `k` best seen so far; the worst of them on top.
#[derive(Debug)]
struct Best {
    k: usize,
    heap: BinaryHeap<std::cmp::Reverse<Rank>>,
}

impl Best {
    fn new(k: u32) -> Self {
        Self { k: k as usize, heap: BinaryHeap::new() }
    }

    fn see(&mut self, rank: Rank) {
        self.heap.push(std::cmp::Reverse(rank));
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    fn places(self) -> HashSet<u64> {
        self.heap.into_iter().map(|rank| rank.0.place).collect()
    }
}

pub(super) fn of_task(top: &TopK) -> Group<'_> {
    Box::new(move |rows| {
        let mut best = Best::new(top.k);
        for (place, row) in (0..).zip(&rows) {
            best.see(Rank::of(row, &top.by, place));
        }
        let best = best.places();
        Ok(chosen(rows, |place| best.contains(&(place as u64))))
    })
}

/// Of all records: keeps the ranks of `k` of them.
#[derive(Debug)]
pub(super) struct OfDataset<'a> {
    by: &'a [Measure],
    best: Best,
    seen: u64,
    chosen: HashSet<u64>,
}

impl<'a> OfDataset<'a> {
    pub(super) fn new(top: &'a TopK) -> Self {
        Self { by: &top.by, best: Best::new(top.k), seen: 0, chosen: HashSet::new() }
    }
}

impl<'a> Whole<'a> for OfDataset<'a> {
    fn see(&mut self, record: &Trajectory) -> Result<(), OperatorError> {
        self.best.see(Rank::of(record, self.by, self.seen));
        self.seen += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        self.chosen = std::mem::replace(&mut self.best, Best::new(0)).places();
        Ok(())
    }

    fn give(&mut self, number: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        Ok(if self.chosen.contains(&number) { Fate::Kept(record) } else { Fate::Dropped })
    }
}
