//! Which batch each optimiser step of a round is on: the loss's own data, and in between data that is mixed in. Pure.

use crate::data::Dataset;
use crate::data::item::Item;

/// All steps of a round.
#[derive(Debug)]
pub struct Plan {
    pub main: Dataset,
    pub mix: Option<Mixed>,
}

/// Data mixed in: one batch after so many of the main data, from the first again after the last.
#[derive(Debug)]
pub struct Mixed {
    pub data: Dataset,
    pub every: u64,
}

/// Which data a step is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The loss's own, in this data epoch.
    Main {
        data_epoch: u32,
    },
    Mix,
}

/// One step's batch.
#[derive(Debug)]
pub struct Batch {
    /// From 0.
    pub step: u64,
    pub source: Source,
    pub items: Vec<Item>,
    /// Items that a micro-batch needs at least.
    pub least: usize,
}

impl Plan {
    /// Optimiser steps in all.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let main = self.main.steps();
        main + self.mix.as_ref().map_or(0, |mix| main / mix.every.max(1))
    }

    /// Steps of the mix before `step`.
    fn mixed_before(&self, step: u64) -> u64 {
        self.mix.as_ref().map_or(0, |mix| step / (mix.every.max(1) + 1))
    }

    /// The batches from step `from` to the end.
    pub fn batches(&self, from: u64) -> impl Iterator<Item = Batch> {
        let mixed = self.mixed_before(from);
        let mut main = (from - mixed..).zip(self.main.batches(from - mixed));
        let mut mix = self.mix.as_ref().map(|mix| {
            let cycle = mix.data.steps();
            let first = mix.data.batches(mixed % cycle);
            (mix.every.max(1), first.chain(std::iter::repeat_with(|| mix.data.batches(0)).flatten()))
        });
        (from..self.steps()).map_while(move |step| {
            let turn = mix.as_mut().filter(|(every, _)| step % (*every + 1) == *every);
            if let Some((_, batches)) = turn {
                return Some(Batch { step, source: Source::Mix, items: batches.next()?, least: 1 });
            }
            let (number, items) = main.next()?;
            let data_epoch = (number / self.main.steps_of_epoch().max(1)) as u32;
            Some(Batch { step, source: Source::Main { data_epoch }, items, least: self.main.least() })
        })
    }
}

#[cfg(test)]
mod tests;
