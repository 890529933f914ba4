//! What a rank learns from: trajectories become rows, rows items, items batches.
//!
//! Pure: no tensors, no files, no randomness but the seed given. Every rank holds all items and computes the same batches; the
//! micro-batches of a batch are then shared out. The order depends on the round's seed alone, never on the world size.

pub mod batch;
mod error;
pub mod item;
mod preferences;
mod row;
mod scores;
mod settings;
mod tokens;

pub use error::DataError;
pub use row::Row;

use galapagos_domain::ids::Digest;
use galapagos_domain::image::Patch;
use galapagos_domain::recipe::train::{Baseline, Loss, Reads, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;

use item::{Item, Mark, Sequence};

/// What the model can take, and what it starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest sequence.
    pub positions: usize,
    /// Token ids are below this, but those of patches of images.
    pub vocabulary: usize,
    /// Whether the model reads images.
    pub images: bool,
    /// Outputs of a head with classes, 0 of another.
    pub classes: u32,
    /// The checkpoint that the round starts from.
    pub start: Digest,
}

/// All items of a round, ready to be laid out data epoch by data epoch.
#[derive(Debug)]
pub struct Dataset {
    items: Vec<Item>,
    /// Names of the rows for people, by number.
    names: Vec<String>,
    left_out: u64,
    pack: usize,
    batch: usize,
    data_epochs: u32,
    /// Items that a loss needs at once.
    least: usize,
    seed: Seed,
}

/// What the builders of items have to look at, beside the rows.
struct Needs<'a> {
    limits: &'a Limits,
    seed: Seed,
}

/// What a builder made.
#[derive(Debug, Default)]
struct Built {
    items: Vec<Item>,
    left_out: u64,
}

impl Built {
    fn add(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Leaves out what counts for nothing: a batch of it alone would have no mean.
    fn leave_out_weightless(&mut self) {
        let before: usize = self.items.iter().map(|item| item.rows.len()).sum();
        self.items.retain(|item| item.share > 0.0);
        let after: usize = self.items.iter().map(|item| item.rows.len()).sum();
        self.left_out += (before - after) as u64;
    }
}

impl Needs<'_> {
    /// A row as a sequence with these marks.
    fn sequence(&self, row: &Row, marks: Vec<Mark>) -> Sequence {
        // Comparable only where each mark has the log-probability of the same token after the same tokens.
        let known = !row.log_probs.is_empty() && marks.iter().all(|mark| mark.behaviour.is_finite());
        let sampled_by_start = row.policy == self.limits.start && known && !row.shortened;
        Sequence { tokens: row.tokens(), marks, weight: 1.0, value: 0.0, sampled_by_start }
    }

    /// A class that the head has.
    fn class(&self, row: &Row, class: u32) -> Result<u32, DataError> {
        let classes = self.limits.classes.max(1);
        if class < classes {
            return Ok(class);
        }
        Err(row.wrong(format!("has class {class}, but the head's classes are 0 to {}", classes - 1)))
    }
}

impl Dataset {
    /// Takes every trajectory that `train.loss` can use and checks it against the model's limits.
    ///
    /// # Errors
    /// [`DataError`] says which setting or which record is at fault; an empty result is an error too.
    pub fn new(trajectories: &[Trajectory], train: &Train, limits: Limits, seed: Seed) -> Result<Self, DataError> {
        settings::check(train, &limits)?;
        let row = |(number, trajectory)| Row::new(number, trajectory, train.shots);
        let rows = (0u32..).zip(trajectories).map(row).collect::<Result<Vec<_>, _>>()?;
        check_tokens(&rows, &train.loss, limits)?;
        let needs = Needs { limits: &limits, seed };
        let mut built = tokens::build(&rows, &needs, &train.loss)
            .or_else(|| preferences::build(&rows, &needs, &train.loss))
            .or_else(|| scores::build(&rows, &needs, &train.loss))
            .unwrap_or_else(|| Ok(Built::default()))?;
        let least = if matches!(train.loss, Loss::ContrastiveMi(_)) { 2 } else { 1 };
        if built.items.len() < least {
            let (loss, needs) = (train.loss.name(), what_it_needs(&train.loss));
            return Err(DataError::Empty { records_in: rows.len(), loss, needs });
        }
        built.leave_out_weightless();
        if built.items.len() < least {
            return Err(DataError::Weightless);
        }
        let pack = train.pack as usize;
        let (tokens, records) = batch::longest(&built.items, pack);
        if tokens > limits.positions {
            return Err(DataError::TooLong { records, tokens, positions: limits.positions });
        }
        Ok(Self {
            items: built.items,
            names: rows.iter().map(|row| format!("{}#{}", row.task, row.sample)).collect(),
            left_out: built.left_out,
            pack,
            batch: train.batch as usize,
            data_epochs: train.data_epochs,
            least,
            seed,
        })
    }

    /// Records that the loss cannot use, or that weigh nothing.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Records in use.
    #[must_use]
    pub fn records(&self) -> usize {
        self.items.iter().map(|item| item.rows.len()).sum()
    }

    /// The numbers of the rows in use, each once, in order.
    #[must_use]
    pub fn rows(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.items.iter().flat_map(|item| item.rows.iter().copied()).collect();
        rows.sort_unstable();
        rows
    }

    /// `SET/TASK#SAMPLE` of a row.
    #[must_use]
    pub fn name(&self, row: u32) -> &str {
        self.names.get(row as usize).map_or("?", String::as_str)
    }

    /// Items that the loss needs at once: with fewer there is nothing to contrast.
    #[must_use]
    pub fn least(&self) -> usize {
        self.least
    }

    /// How often each record is trained on.
    #[must_use]
    pub fn data_epochs(&self) -> u32 {
        self.data_epochs
    }

    /// Optimiser steps of one data epoch.
    #[must_use]
    pub fn steps_of_epoch(&self) -> u64 {
        let count = batch::ordered_count(&self.items, self.pack);
        batch::parts(&vec![(); count], self.batch, self.least).len() as u64
    }

    /// Optimiser steps of the whole round.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps_of_epoch() * u64::from(self.data_epochs)
    }

    /// The global batches from step `from` (counted from 0) to the end: one for each optimiser step. Each data epoch uses every record
    /// exactly once, in an order of its own; its last batch may be smaller.
    pub fn batches(&self, from: u64) -> impl Iterator<Item = Vec<Item>> {
        let each = self.steps_of_epoch().max(1);
        let first = from / each;
        (first..u64::from(self.data_epochs)).flat_map(move |number| {
            let skip = if number == first { (from % each) as usize } else { 0 };
            let order = batch::ordered(&self.items, self.pack, self.seed.derive(&format!("data-epoch/{number}")));
            let batches = batch::parts(&order, self.batch, self.least);
            batches.into_iter().skip(skip).map(<[Item]>::to_vec).collect::<Vec<_>>()
        })
    }
}

/// Checks that every token has an embedding, and that none that is to be predicted is a patch of an image.
fn check_tokens(rows: &[Row], loss: &Loss, limits: Limits) -> Result<(), DataError> {
    let Limits { vocabulary, images, .. } = limits;
    for row in rows {
        let shown = row.prefix.iter().chain(&row.question);
        if matches!(loss, Loss::Component(_)) && shown.clone().any(|token| Patch::is_code(*token)) {
            return Err(row.wrong(
                "shows an image, and `component` predicts prompts too; no model writes images, so take another loss",
            ));
        }
        let readable = |token: u32| (token as usize) < vocabulary || images && Patch::is_code(token);
        let unknown = shown.copied().find(|token| !readable(*token));
        let unknown = unknown.or_else(|| row.completion.iter().copied().find(|token| *token as usize >= vocabulary));
        if let Some(token) = unknown {
            return Err(DataError::Token { task: row.task.clone(), sample: row.sample, token, vocabulary });
        }
    }
    Ok(())
}

/// For people: which records a loss can use.
fn what_it_needs(loss: &Loss) -> &'static str {
    match loss {
        Loss::Nll | Loss::Component(_) => "at least one record",
        Loss::ContrastiveMi(_) => "at least two records",
        Loss::Pg(pg) if pg.baseline == Baseline::Greedy => {
            "records that passed or failed, and a greedy one of the same task and policy that did"
        }
        Loss::WeightedNll | Loss::Pg(_) | Loss::Value(_) | Loss::Kto(_) => "records that passed or failed",
        Loss::Dpo(_) | Loss::DpoRegression(_) | Loss::Cpl(_) | Loss::BtPair(_) => {
            "both sides of a pair, or a task with records that passed and records that failed"
        }
        Loss::TdConservative(_) => "records with numbered actions (`class` of their parts)",
        Loss::Pointwise(_) if loss.reads() == Reads::Classes => "records with a class, or that passed or failed",
        Loss::Pointwise(_) => "records with labels: steps with a value, or a verdict of pass or fail",
    }
}

#[cfg(test)]
pub(crate) mod tests;
