//! Items of losses on preferences: pairs, every prompt's in one item, and unpaired judgements.
//!
//! Records that name a pair are paired by that name; without names the passes of a task are preferred to its fails. All pairs of one
//! name weigh 1/(n+ n-) each, so that a prompt counts once whatever the number of its samples (times the mean weight of the two records).

use std::collections::BTreeMap;

use galapagos_domain::recipe::train::Loss;

use super::item::{Item, Mark, Pair, Sequence};
use super::row::Row;
use super::tokens::mark;
use super::{Built, DataError, Needs};

/// What a side of a pair is read by.
#[derive(Debug, Clone, Copy)]
enum Read {
    /// The log-probability of every learned token, token `k` of it times `gamma^k`.
    Tokens { gamma: f64 },
    /// The score at the last token.
    Score,
}

/// Which of the losses of this file a recipe names.
pub(super) fn build(rows: &[Row], needs: &Needs<'_>, loss: &Loss) -> Option<Result<Built, DataError>> {
    let plain = Read::Tokens { gamma: 1.0 };
    Some(match loss {
        Loss::Dpo(_) | Loss::DpoRegression(_) => pairs(rows, needs, plain),
        Loss::Cpl(cpl) => pairs(rows, needs, Read::Tokens { gamma: cpl.gamma }),
        Loss::BtPair(_) => pairs(rows, needs, Read::Score),
        Loss::Kto(_) => judged(rows, needs),
        _ => return None,
    })
}

/// One item for each name or task that has both sides.
fn pairs(rows: &[Row], needs: &Needs<'_>, read: Read) -> Result<Built, DataError> {
    let named = rows.iter().any(|row| row.pair.is_some());
    let mut groups: BTreeMap<&str, [Vec<&Row>; 2]> = BTreeMap::new();
    let mut built = Built::default();
    for row in rows {
        let side = match (&row.pair, named) {
            (Some(side), _) => Some((side.pair.as_str(), side.chosen)),
            (None, true) => None,
            (None, false) => row.reward.map(|reward| (row.task.as_str(), reward >= 0.5)),
        };
        match side {
            Some((name, chosen)) => groups.entry(name).or_default()[usize::from(!chosen)].push(row),
            None => built.left_out += 1,
        }
    }
    for [chosen, rejected] in groups.values() {
        if chosen.is_empty() || rejected.is_empty() {
            built.left_out += (chosen.len() + rejected.len()) as u64;
            continue;
        }
        let sequence = |row: &&Row| side(row, needs, read);
        let sequences = chosen.iter().chain(rejected).map(sequence).collect::<Result<Vec<_>, _>>()?;
        let pairs = all_pairs(chosen, rejected);
        let share = pairs.iter().map(|pair| f64::from(pair.weight)).sum();
        let rows = chosen.iter().chain(rejected).map(|row| row.number).collect();
        built.add(Item { rows, sequences, pairs, share, prefix: 0 });
    }
    Ok(built)
}

fn all_pairs(chosen: &[&Row], rejected: &[&Row]) -> Vec<Pair> {
    let count = (chosen.len() * rejected.len()) as f32;
    let mut pairs = Vec::with_capacity(chosen.len() * rejected.len());
    for (i, better) in chosen.iter().enumerate() {
        for (j, worse) in rejected.iter().enumerate() {
            let margin = better.reward.unwrap_or(1.0) - worse.reward.unwrap_or(0.0);
            pairs.push(Pair {
                chosen: i as u32,
                rejected: (chosen.len() + j) as u32,
                weight: (better.weight + worse.weight) / 2.0 / count,
                margin: margin as f32,
            });
        }
    }
    pairs
}

fn side(row: &Row, needs: &Needs<'_>, read: Read) -> Result<Sequence, DataError> {
    let marks: Vec<Mark> = match read {
        Read::Tokens { gamma } => {
            let discounts = std::iter::successors(Some(1.0), |discount| Some(discount * gamma));
            row.learned().zip(discounts).map(|((at, _), discount)| mark(row, at, discount as f32)).collect()
        }
        Read::Score => vec![Mark::new(row.start() + row.completion.len() - 1, 0, 1.0)],
    };
    if marks.is_empty() {
        return Err(row.wrong("has no token that the policy answers for"));
    }
    Ok(needs.sequence(row, marks))
}

/// One item for each judged record: its sequence, whose value says whether it is desirable, then its prompt with the completion of the
/// next record of another task, which estimates the reference point and counts for nothing else.
fn judged(rows: &[Row], needs: &Needs<'_>) -> Result<Built, DataError> {
    let desirable =
        |row: &Row| row.pair.as_ref().map(|side| side.chosen).or_else(|| row.reward.map(|reward| reward >= 0.5));
    let used: Vec<(&Row, bool)> = rows.iter().filter_map(|row| Some((row, desirable(row)?))).collect();
    let mut built = Built { left_out: (rows.len() - used.len()) as u64, ..Built::default() };
    let judged: Vec<&Row> = used.iter().map(|(row, _)| *row).collect();
    let next = next_of_another_task(&judged);
    let read = Read::Tokens { gamma: 1.0 };
    for (i, (row, desirable)) in used.iter().enumerate() {
        let mut own = side(row, needs, read)?;
        own.value = f32::from(u8::from(*desirable));
        own.weight = row.weight;
        let beside = side(&mismatched(&judged, i, next[i], needs)?, needs, read)?;
        let sequences = vec![own, Sequence { weight: 0.0, ..beside }];
        let (rows, share) = (vec![row.number], f64::from(row.weight));
        built.add(Item { rows, sequences, pairs: Vec::new(), share, prefix: 0 });
    }
    Ok(built)
}

/// For each row the first one after it, around the end, that is of another task.
fn next_of_another_task(rows: &[&Row]) -> Vec<Option<usize>> {
    let count = rows.len();
    let mut next: Vec<Option<usize>> = vec![None; count];
    // Twice around, so that the last rows know of the first.
    for i in (0..2 * count).rev() {
        let (own, after) = (i % count, (i + 1) % count);
        next[own] = if rows[own].task == rows[after].task { next[after] } else { Some(after) };
    }
    next
}

/// The prompt of row `i` with the completion of another task's: the first one from `from` on that fits.
fn mismatched(rows: &[&Row], i: usize, from: Option<usize>, needs: &Needs<'_>) -> Result<Row, DataError> {
    let row = rows[i];
    let fits = |other: &&&Row| other.task != row.task && row.start() + other.completion.len() <= needs.limits.positions;
    let around = from.map(|from| rows[from..].iter().chain(&rows[..from]));
    let other = around.into_iter().flatten().find(fits).ok_or_else(|| {
        row.wrong("has no other task's completion to be compared with that fits behind its prompt; `kto` needs one")
    })?;
    Ok(Row { completion: other.completion.clone(), spans: other.spans.clone(), log_probs: Vec::new(), ..row.clone() })
}
