//! Operators over records in memory: what an operator means is written here in the fewest words, and what `stream` must give too.

use std::collections::BTreeMap;

use galapagos_domain::job::OperatorCount;
use galapagos_domain::recipe::curate::Operator;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use galapagos_domain::tree::doubted;

use super::error::OperatorError;
use super::plan::stage;
use super::stage::{Fate, Group, Kin, Means, Sources, Stage};
use super::tally::{Lacking, Passed, counts};

/// Applies `operators` in order; the operator at place i draws from `seed.derive("operator/i")`.
///
/// # Errors
/// [`OperatorError`] if an operator lacks what it needs.
pub fn apply(
    operators: &[Operator],
    mut records: Vec<Trajectory>,
    seed: Seed,
    means: Means<'_>,
) -> Result<(Vec<Trajectory>, Vec<OperatorCount>), OperatorError> {
    let (mut passed, mut lacking) = (vec![count(&records)], Vec::new());
    for (place, operator) in operators.iter().enumerate() {
        let stage = stage(operator, seed.derive(&format!("operator/{place}")), means)?;
        let (left, lacks) = run(stage, records, means.sources)?;
        records = left;
        passed.push(count(&records));
        lacking.push(lacks);
    }
    let counts = counts(operators, &passed, &lacking);
    Ok((records, counts))
}

fn count(records: &[Trajectory]) -> Passed {
    let mut passed = Passed::default();
    records.iter().for_each(|record| passed.see(record));
    passed
}

/// The records left, and what the operator could not use.
fn run(
    stage: Stage<'_>,
    records: Vec<Trajectory>,
    sources: &dyn Sources,
) -> Result<(Vec<Trajectory>, Lacking), OperatorError> {
    let (mut out, mut lacking) = (Vec::new(), Lacking::default());
    let mut end = |fate, out: &mut Vec<Trajectory>| match fate {
        Fate::Kept(record) => out.push(record),
        Fate::Dropped => {}
        Fate::Without => lacking.without += 1,
    };
    match stage {
        Stage::Each(mut each) => {
            for (number, record) in (0..).zip(records) {
                end(each(number, record)?, &mut out);
            }
        }
        Stage::Kin(kin, group) => out = together(kin, group, records)?,
        Stage::Whole(mut whole) => {
            records.iter().try_for_each(|record| whole.see(record))?;
            whole.settle()?;
            for (number, record) in (0..).zip(records) {
                end(whole.give(number, record)?, &mut out);
            }
            for record in whole.more()? {
                out.push(record?);
            }
        }
        Stage::Trees(mut fell) => {
            for tree in sources.trees()? {
                let tree = tree?;
                match doubted(&tree) {
                    Some(_) => lacking.doubted += 1,
                    None => out.extend(fell(&tree)?),
                }
            }
        }
    }
    Ok((out, lacking))
}

fn together(kin: Kin, mut group: Group<'_>, records: Vec<Trajectory>) -> Result<Vec<Trajectory>, OperatorError> {
    let mut kins: BTreeMap<_, (Vec<usize>, Vec<Trajectory>)> = BTreeMap::new();
    for (place, record) in records.into_iter().enumerate() {
        let (places, rows) = kins.entry(kin.name(&record, 0)).or_default();
        places.push(place);
        rows.push(record);
    }
    let mut out = Vec::new();
    for (places, rows) in kins.into_values() {
        out.extend(group(rows)?.into_iter().map(|(place, record)| (places[place], record)));
    }
    out.sort_by_key(|(place, _)| *place);
    Ok(out.into_iter().map(|(_, record)| record).collect())
}
