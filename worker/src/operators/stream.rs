//! Operators over more records than memory holds. Gives the same records and counts as `memory`, whatever the sizes below.
//!
//! Records pass one by one. An operator that needs those of a task together spills them into partitions by task, works on one partition at
//! a time and merges what comes out by the place of what went in; one that needs to see all spills them once and reads them again. What
//! must fit in memory: the records of one task, one tree, and of all records a few bytes each.

mod groups;
mod spill;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use galapagos_domain::job::OperatorCount;
use galapagos_domain::recipe::curate::Operator;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use galapagos_domain::tree::doubted;

use super::error::OperatorError;
use super::plan::stage;
use super::stage::{Each, Fate, Fell, Means, Records, Sources, Stage, Whole};
use super::tally::{Lacking, Passed, counts};
use crate::cancel::Cancel;
use spill::Held;

/// How much is in memory at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Where records are spilled to; its files have no names and vanish with the process.
    pub scratch: &'a Path,
    /// Looked at with every record that is spilled or read back.
    pub cancel: &'a Cancel,
    /// Bytes of records, as files count them, that are held before they are spilled, and that a partition holds unless one task has more.
    pub held_bytes: u64,
    /// Partitions that records are cut into at once, and runs that are merged at once.
    pub fan: usize,
}

impl<'a> Limits<'a> {
    /// For a worker: well below 1 GB in all.
    #[must_use]
    pub const fn new(scratch: &'a Path, cancel: &'a Cancel) -> Self {
        Self { scratch, cancel, held_bytes: 32 << 20, fan: 32 }
    }

    fn go_on(&self) -> Result<(), OperatorError> {
        if self.cancel.is_raised() { Err(OperatorError::Cancelled) } else { Ok(()) }
    }
}

/// Records that operators leave, as they come.
pub struct Streamed<'a> {
    operators: &'a [Operator],
    records: Records<'a>,
    passed: Vec<Rc<Cell<Passed>>>,
    lacking: Vec<Rc<Cell<Lacking>>>,
}

impl std::fmt::Debug for Streamed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed").field("operators", &self.operators.len()).finish_non_exhaustive()
    }
}

impl Streamed<'_> {
    /// What each operator counted so far; of the whole once the records have ended.
    #[must_use]
    pub fn counts(&self) -> Vec<OperatorCount> {
        let passed: Vec<_> = self.passed.iter().map(|passed| passed.get()).collect();
        let lacking: Vec<_> = self.lacking.iter().map(|lacking| lacking.get()).collect();
        counts(self.operators, &passed, &lacking)
    }
}

impl Iterator for Streamed<'_> {
    type Item = Result<Trajectory, OperatorError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.records.next()
    }
}

/// Applies `operators` in order to `records`, with the seeds that [`super::apply`] gives them. After an error nothing more is to be taken.
///
/// # Errors
/// [`OperatorError`] if an operator lacks what it needs.
pub fn stream<'a>(
    operators: &'a [Operator],
    records: Records<'a>,
    seed: Seed,
    means: Means<'a>,
    limits: Limits<'a>,
) -> Result<Streamed<'a>, OperatorError> {
    let means = Means { scratch: Some(limits.scratch), ..means };
    let first = Rc::new(Cell::new(Passed::default()));
    let mut records = counted(records, Rc::clone(&first));
    let (mut passed, mut lacking) = (vec![first], Vec::new());
    for (place, operator) in operators.iter().enumerate() {
        let lacks = Rc::new(Cell::new(Lacking::default()));
        records = match stage(operator, seed.derive(&format!("operator/{place}")), means)? {
            Stage::Each(each) => one_by_one(each, records, Rc::clone(&lacks)),
            Stage::Kin(kin, group) => lazy(move || groups::together((kin, group), records, limits)),
            Stage::Whole(whole) => {
                let lacks = Rc::clone(&lacks);
                lazy(move || twice(whole, records, lacks, limits))
            }
            Stage::Trees(fell) => {
                let lacks = Rc::clone(&lacks);
                lazy(move || instead(fell, records, means.sources, lacks))
            }
        };
        let place = Rc::new(Cell::new(Passed::default()));
        records = counted(records, Rc::clone(&place));
        passed.push(place);
        lacking.push(lacks);
    }
    Ok(Streamed { operators, records, passed, lacking })
}

fn counted<'a>(records: Records<'a>, passed: Rc<Cell<Passed>>) -> Records<'a> {
    Box::new(records.inspect(move |record| {
        if let Ok(record) = record {
            let mut so_far = passed.get();
            so_far.see(record);
            passed.set(so_far);
        }
    }))
}

/// What is left of a fate; counts what had no number.
fn left(fate: Fate, lacks: &Cell<Lacking>) -> Option<Trajectory> {
    match fate {
        Fate::Kept(record) => Some(record),
        Fate::Dropped => None,
        Fate::Without => {
            lacks.set(Lacking { without: lacks.get().without + 1, ..lacks.get() });
            None
        }
    }
}

fn one_by_one<'a>(mut each: Each<'a>, records: Records<'a>, lacks: Rc<Cell<Lacking>>) -> Records<'a> {
    Box::new((0..).zip(records).filter_map(move |(number, record)| {
        let fate = record.and_then(|record| each(number, record));
        fate.map(|fate| left(fate, &lacks)).transpose()
    }))
}

/// Records that are made when the first of them is asked for.
fn lazy<'a>(make: impl FnOnce() -> Result<Records<'a>, OperatorError> + 'a) -> Records<'a> {
    let mut make = Some(make);
    let mut made: Records<'a> = Box::new(std::iter::empty());
    Box::new(std::iter::from_fn(move || {
        if let Some(make) = make.take() {
            match make() {
                Ok(records) => made = records,
                Err(error) => return Some(Err(error)),
            }
        }
        made.next()
    }))
}

fn twice<'a>(
    mut whole: Box<dyn Whole<'a> + 'a>,
    records: Records<'a>,
    lacks: Rc<Cell<Lacking>>,
    limits: Limits<'a>,
) -> Result<Records<'a>, OperatorError> {
    let mut held = Held::new(limits);
    for (number, record) in (0..).zip(records) {
        let record = record?;
        whole.see(&record)?;
        held.push(number, record)?;
    }
    whole.settle()?;
    let mut more = Some(whole.more()?);
    let mut again = held.again()?;
    let mut behind: Records<'a> = Box::new(std::iter::empty());
    Ok(Box::new(std::iter::from_fn(move || {
        for record in again.by_ref() {
            let fate = record.and_then(|(number, record)| whole.give(number, record));
            if let Some(record) = fate.map(|fate| left(fate, &lacks)).transpose() {
                return Some(record);
            }
        }
        if let Some(more) = more.take() {
            behind = more;
        }
        behind.next()
    })))
}

fn instead<'a>(
    mut fell: Fell<'a>,
    records: Records<'a>,
    sources: &'a dyn Sources,
    lacks: Rc<Cell<Lacking>>,
) -> Result<Records<'a>, OperatorError> {
    // They are counted, no more.
    for record in records {
        record?;
    }
    let grown = sources.trees()?.map(move |tree| {
        let tree = tree?;
        if doubted(&tree).is_none() {
            return fell(&tree);
        }
        lacks.set(Lacking { doubted: lacks.get().doubted + 1, ..lacks.get() });
        Ok(Vec::new())
    });
    Ok(Box::new(grown.flat_map(|records| {
        let (records, error) = match records {
            Ok(records) => (records, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        records.into_iter().map(Ok).chain(error.map(Err))
    })))
}
