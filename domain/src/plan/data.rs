//! Upper bounds of dataset sizes, followed through the recipe steps.

use std::collections::BTreeMap;

use crate::ids::Name;
use crate::recipe::Recipe;
use crate::recipe::curate::{Curate, From, LabelSource, Operator, Over, PairFrom, Per, TopK};
use crate::recipe::tasks::Split;
use crate::recipe::train::{On, Source};

/// Most records and tasks that a dataset may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub records: u64,
    pub tasks: u64,
    /// Most nodes of the trees behind it; 0 where there are none.
    pub nodes: u64,
    /// Whether some of its records are sides of preferences.
    pub pairs: bool,
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
            From::Datasets(names) => {
                names.iter().filter_map(|name| self.newest.get(name)).fold(Size::default(), |sum, one| Size {
                    records: sum.records.saturating_add(one.records),
                    tasks: sum.tasks.saturating_add(one.tasks),
                    nodes: sum.nodes.saturating_add(one.nodes),
                    pairs: sum.pairs || one.pairs,
                })
            }
            From::Questions { questions, .. } => {
                let asked = recipe.tasks.get(questions).map_or(0, |set| u64::from(set.size(Split::Train)));
                Size { records: asked, tasks: asked, nodes: 0, pairs: false }
            }
            From::Demonstrations { demonstrations } => {
                let given =
                    recipe.tasks.get(demonstrations).map_or(0, |set| u64::from(set.size(Split::Demonstrations)));
                Size { records: given, tasks: given, ..Size::default() }
            }
        };
        let nodes = size.nodes;
        for operator in &curate.apply {
            size.records = self.left(operator, size, nodes);
            size.pairs = match operator {
                Operator::Pair(_) => true,
                Operator::JoinPairs(_) | Operator::Repairs(_) => false,
                _ => size.pairs,
            };
        }
        Size { nodes: 0, ..size }
    }

    /// Most records that an operator leaves of `size`; `nodes` are those of the trees behind the dataset.
    fn left(&self, operator: &Operator, size: Size, nodes: u64) -> u64 {
        let per_task = |each: u32| size.tasks.saturating_mul(u64::from(each));
        match operator {
            Operator::Cap { per: Per::Task, max } => size.records.min(per_task(*max)),
            Operator::TopK(TopK { k, per: Over::Task, .. }) => size.records.min(per_task(*k)),
            Operator::TopK(TopK { k, per: Over::Dataset, .. }) => size.records.min(u64::from(*k)),
            // Both sides of a preference are drawn as one.
            Operator::Subsample(taken) => size.records.min(u64::from(taken.n) * if size.pairs { 2 } else { 1 }),
            Operator::Pair(pair) => {
                let each = u64::from(pair.each_side);
                let pairs = match pair.from {
                    PairFrom::Siblings | PairFrom::SameDepth => nodes.saturating_mul(each),
                    PairFrom::Leaves | PairFrom::Samples => size.tasks.saturating_mul(each.saturating_mul(each)),
                };
                pairs.saturating_mul(2)
            }
            Operator::LabelFrom(label) if label.from == LabelSource::Trees => nodes,
            Operator::Linearise(_) => size.tasks,
            Operator::Mix(mix) => {
                let of = |name| self.newest.get(name).map_or(0, |size: &Size| size.records);
                mix.with.keys().map(of).fold(size.records, u64::saturating_add)
            }
            Operator::Keep { .. }
            | Operator::Drop { .. }
            | Operator::Filter(_)
            | Operator::Dedupe
            | Operator::DedupeBy(_)
            | Operator::Balance(_)
            | Operator::Shuffle(_)
            | Operator::LabelFrom(_)
            | Operator::Splice(_)
            | Operator::Mask(_)
            | Operator::Relabel(_)
            | Operator::Noise { .. }
            | Operator::RepeatVerify { .. }
            | Operator::Normalise(_)
            | Operator::ShapeTurns(_)
            | Operator::Reward(_)
            | Operator::JoinPairs(_)
            | Operator::Certainty(_)
            | Operator::Repairs(_) => size.records,
            Operator::Hindsight(how) => size.records.saturating_mul(1 + u64::from(how.keep)),
        }
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
