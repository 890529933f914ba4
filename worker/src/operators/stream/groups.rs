//! The records of each task, or of each question, together: partitions by it, each cut again until it fits, then the runs that come out merged by place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use galapagos_domain::trajectory::Trajectory;

use super::Limits;
use super::spill::{Held, Numbered, Spill, Spilled};
use crate::operators::error::OperatorError;
use crate::operators::stage::{Group, Kin, Records};

/// Cuts after which a partition is worked on whatever its size: more than enough for any file system.
const DEEPEST: u32 = 12;

pub(super) fn together<'a>(
    (kin, mut group): (Kin, Group<'a>),
    records: Records<'a>,
    limits: Limits<'a>,
) -> Result<Records<'a>, OperatorError> {
    let mut held = Held::new(limits);
    for (number, record) in (0..).zip(records) {
        held.push(number, record?)?;
    }
    let spill = match held.few() {
        Ok(rows) => return Ok(Box::new(worked(kin, &mut group, rows)?.into_iter().map(|(_, record)| Ok(record)))),
        Err(spill) => spill,
    };
    let mut runs = Vec::new();
    part((kin, &mut group), spill.read()?, 0, limits, &mut runs)?;
    while runs.len() > limits.fan.max(2) {
        let some = runs.drain(..limits.fan.max(2)).collect();
        let mut merged = Spill::new(limits)?;
        for row in Merge::new(some)? {
            let (number, record) = row?;
            merged.push(number, &record)?;
        }
        runs.push(merged.read()?);
    }
    Ok(Box::new(Merge::new(runs)?.map(|row| row.map(|(_, record)| record))))
}

/// The group's records of a part that fits, in order of place.
fn worked(kin: Kin, group: &mut Group<'_>, rows: Vec<Numbered>) -> Result<Vec<Numbered>, OperatorError> {
    let mut kins: BTreeMap<_, (Vec<u64>, Vec<Trajectory>)> = BTreeMap::new();
    for (number, record) in rows {
        let (numbers, rows) = kins.entry(kin.name(&record, 0)).or_default();
        numbers.push(number);
        rows.push(record);
    }
    let mut out = Vec::new();
    for (numbers, rows) in kins.into_values() {
        out.extend(group(rows)?.into_iter().map(|(place, record)| (numbers[place], record)));
    }
    out.sort_by_key(|(number, _)| *number);
    Ok(out)
}

/// A part of the records under way into a file.
struct Part<'a> {
    spill: Spill<'a>,
    /// The first kin in it, and whether there is another.
    first: Option<[u8; 32]>,
    mixed: bool,
}

/// Cuts `rows` by kin; what fits is worked on and becomes a run.
fn part<'a>(
    (kin, group): (Kin, &mut Group<'_>),
    rows: Spilled<'a>,
    depth: u32,
    limits: Limits<'a>,
    runs: &mut Vec<Spilled<'a>>,
) -> Result<(), OperatorError> {
    let fan = limits.fan.max(2);
    let open = |_| Ok(Part { spill: Spill::new(limits)?, first: None, mixed: false });
    let mut parts = (0..fan).map(open).collect::<Result<Vec<_>, OperatorError>>()?;
    for row in rows {
        let (number, record) = row?;
        let name = kin.name(&record, depth);
        let mut head = [0; 8];
        head.copy_from_slice(&name[..8]);
        let part = &mut parts[(u64::from_le_bytes(head) % fan as u64) as usize];
        part.mixed |= *part.first.get_or_insert(name) != name;
        part.spill.push(number, &record)?;
    }
    for Part { spill, mixed, .. } in parts {
        if spill.bytes == 0 {
            continue;
        }
        let again = mixed && spill.bytes > limits.held_bytes && depth < DEEPEST;
        let rows = spill.read()?;
        if again {
            part((kin, group), rows, depth + 1, limits, runs)?;
            continue;
        }
        let mut run = Spill::new(limits)?;
        for (number, record) in worked(kin, group, rows.collect::<Result<_, _>>()?)? {
            run.push(number, &record)?;
        }
        runs.push(run.read()?);
    }
    Ok(())
}

/// Several runs as one, in order of place. Equal places are of one kin, and so of one run.
struct Merge<'a> {
    runs: Vec<Spilled<'a>>,
    heads: Vec<Option<Trajectory>>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<'a> Merge<'a> {
    fn new(runs: Vec<Spilled<'a>>) -> Result<Self, OperatorError> {
        let mut merge = Self { heads: runs.iter().map(|_| None).collect(), runs, next: BinaryHeap::new() };
        (0..merge.runs.len()).try_for_each(|run| merge.advance(run))?;
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> Result<(), OperatorError> {
        if let Some(row) = self.runs[run].next() {
            let (number, record) = row?;
            self.heads[run] = Some(record);
            self.next.push(Reverse((number, run)));
        }
        Ok(())
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Numbered, OperatorError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((number, run)) = self.next.pop()?;
        let record = self.heads[run].take()?;
        Some(self.advance(run).map(|()| (number, record)))
    }
}
