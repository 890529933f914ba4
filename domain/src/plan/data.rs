//! Upper bounds of dataset sizes, followed through the recipe steps.

use std::collections::BTreeMap;

use crate::ids::Name;
use crate::recipe::Recipe;
use crate::recipe::curate::{Curate, From, Operator, Per};
use crate::recipe::train::{On, Source};

/// Most records and tasks that a dataset may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub records: u64,
    pub tasks: u64,
}

/// The datasets so far: the newest of each name, and the sum over generations.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    newest: BTreeMap<Name, Size>,
    all: BTreeMap<Name, u64>,
}

impl Sizes {
    /// A recipe step made this dataset.
    pub(super) fn made(&mut self, name: &Name, size: Size) {
        self.newest.insert(name.clone(), size);
        *self.all.entry(name.clone()).or_default() += size.records;
    }

    /// Most records that a `curate` leaves.
    pub(super) fn curated(&self, recipe: &Recipe, curate: &Curate) -> Size {
        let mut size = match &curate.from {
            From::Dataset(name) => self.newest.get(name).copied().unwrap_or_default(),
            From::Demonstrations { demonstrations } => {
                let given = recipe.tasks.get(demonstrations).map_or(0, |set| u64::from(set.builtin().demonstrations));
                Size { records: given, tasks: given }
            }
        };
        for operator in &curate.apply {
            size.records = match operator {
                Operator::Cap { per: Per::Task, max } => size.records.min(size.tasks.saturating_mul(u64::from(*max))),
                Operator::Subsample { n } => size.records.min(u64::from(*n)),
                Operator::Keep { .. } | Operator::Dedupe | Operator::Balance(_) | Operator::Shuffle(_) => size.records,
            };
        }
        size
    }

    /// Most records that a `train` reads.
    pub(super) fn read(&self, on: &On) -> u64 {
        let records = |source: Source| match source {
            Source::Latest(name) => self.newest.get(&name).map_or(0, |size| size.records),
            Source::All { all } => self.all.get(&all).copied().unwrap_or(0),
        };
        on.sources().into_iter().map(records).sum()
    }
}
