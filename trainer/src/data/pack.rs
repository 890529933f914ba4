//! Lays records out as sequences: a shared prefix, then up to `pack` records that share it, each seeing the earlier ones as
//! examples. Every record is in exactly one sequence, whatever the seed.

use std::collections::BTreeMap;

use galapagos_domain::seed::Seed;
use rand::seq::SliceRandom;

use super::record::{Aim, Record};
use super::{DataError, Mark, Sequence};

/// All records in an order drawn from `seed`, as sequences. A sequence stands where its last record stands in that order;
/// the unfilled ones follow, by prefix.
pub(super) fn sequences(records: &[Record], pack: usize, seed: Seed) -> Vec<Sequence> {
    let mut order: Vec<&Record> = records.iter().collect();
    order.shuffle(&mut seed.stream());
    let mut open: BTreeMap<&[u32], Vec<&Record>> = BTreeMap::new();
    let mut done = Vec::new();
    for record in order {
        let waiting = open.entry(&record.prefix).or_default();
        waiting.push(record);
        if waiting.len() == pack {
            done.push(join(&std::mem::take(waiting)));
        }
    }
    done.extend(open.values().filter(|waiting| !waiting.is_empty()).map(|waiting| join(waiting)));
    done
}

/// How many sequences [`sequences`] makes; the same for every seed.
pub(super) fn sequence_count(records: &[Record], pack: usize) -> usize {
    by_prefix(records).values().map(|bodies| bodies.len().div_ceil(pack)).sum()
}

/// Checks the longest sequence that any order can give.
pub(super) fn check_longest(records: &[Record], pack: usize, positions: usize) -> Result<(), DataError> {
    for (prefix, mut bodies) in by_prefix(records) {
        bodies.sort_unstable_by(|a, b| b.cmp(a));
        let joined = bodies.len().min(pack);
        let tokens = prefix.len() + bodies[..joined].iter().sum::<usize>();
        if tokens > positions {
            return Err(DataError::TooLong { pack: joined, tokens, positions });
        }
    }
    Ok(())
}

/// Lengths of the records behind each prefix.
fn by_prefix(records: &[Record]) -> BTreeMap<&[u32], Vec<usize>> {
    let mut groups: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for record in records {
        groups.entry(&record.prefix).or_default().push(record.body_len());
    }
    groups
}

/// One sequence of records with one prefix. The token at `t` is predicted by the hidden state at `t - 1`, which exists
/// because no question is empty.
fn join(records: &[&Record]) -> Sequence {
    let mut tokens = records.first().map(|record| record.prefix.clone()).unwrap_or_default();
    let mut marks = Vec::new();
    for record in records {
        tokens.extend(&record.question);
        let start = tokens.len();
        tokens.extend(&record.completion);
        match record.aim {
            Aim::Tokens => marks.extend(
                record.completion.iter().enumerate().map(|(i, token)| Mark { position: start + i - 1, target: *token }),
            ),
            Aim::Label(label) => marks.push(Mark { position: tokens.len() - 1, target: label }),
        }
    }
    Sequence { tokens, marks }
}
