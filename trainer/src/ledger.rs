//! The sample ledger: which record was trained on in which step, by which rank. It proves that every record is used exactly once in
//! each data epoch, whatever the world size and however often the round restarts: it travels with in-round checkpoints, and a round
//! whose ledger does not add up fails.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One record's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// From 0.
    pub step: u32,
    pub data_epoch: u32,
    pub row: u32,
    pub rank: u32,
    /// 1 if the guard left the step's update out.
    pub skipped: u32,
}

/// All uses so far, of this rank since the last gathering, and of all ranks before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub gathered: Vec<Entry>,
    own: Vec<Entry>,
}

/// The uses do not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("record {row} was used {times} times in data epoch {data_epoch}; it must be used once")]
    Times { row: u32, data_epoch: u32, times: u32 },
    #[error("record {row} was used in data epoch {data_epoch}, but it is none of the round's")]
    Stranger { row: u32, data_epoch: u32 },
    #[error("a rank's part of the ledger is damaged: {0} bytes are no whole number of entries")]
    Bytes(usize),
}

const ENTRY_BYTES: usize = 20;

impl Ledger {
    /// Of an earlier try, up to a step.
    #[must_use]
    pub fn resumed(gathered: Vec<Entry>) -> Self {
        Self { gathered, own: Vec::new() }
    }

    /// Notes this rank's records of a step.
    pub fn note(&mut self, (step, data_epoch, rank): (u64, u32, u32), rows: &[u32], skipped: bool) {
        let entry = |row: &u32| Entry { step: step as u32, data_epoch, row: *row, rank, skipped: u32::from(skipped) };
        self.own.extend(rows.iter().map(entry));
    }

    /// Forgets everything from `step` on: those steps are done again.
    pub fn rewind(&mut self, step: u64) {
        self.own.retain(|entry| u64::from(entry.step) < step);
        self.gathered.retain(|entry| u64::from(entry.step) < step);
    }

    /// This rank's entries since the last gathering, to be sent to all.
    #[must_use]
    pub fn own_bytes(&self) -> Vec<u8> {
        let numbers = |entry: &Entry| [entry.step, entry.data_epoch, entry.row, entry.rank, entry.skipped];
        self.own.iter().flat_map(numbers).flat_map(u32::to_le_bytes).collect()
    }

    /// Takes in what every rank sent, this one included.
    ///
    /// # Errors
    /// If a rank's bytes are no entries.
    pub fn gather(&mut self, all: &[Vec<u8>]) -> Result<(), LedgerError> {
        for bytes in all {
            if bytes.len() % ENTRY_BYTES != 0 {
                return Err(LedgerError::Bytes(bytes.len()));
            }
            self.gathered.extend(bytes.chunks_exact(ENTRY_BYTES).map(|chunk| {
                let number = |i: usize| {
                    let mut four = [0; 4];
                    four.copy_from_slice(&chunk[i * 4..i * 4 + 4]);
                    u32::from_le_bytes(four)
                };
                Entry { step: number(0), data_epoch: number(1), row: number(2), rank: number(3), skipped: number(4) }
            }));
        }
        self.own.clear();
        self.gathered.sort_unstable();
        Ok(())
    }

    /// Checks that each of `rows` was used exactly once in each of the data epochs, and nothing else was.
    ///
    /// # Errors
    /// The first record that was not.
    pub fn prove(&self, rows: &[u32], data_epochs: u32) -> Result<(), LedgerError> {
        let mut times: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for data_epoch in 0..data_epochs {
            times.extend(rows.iter().map(|row| ((data_epoch, *row), 0)));
        }
        for Entry { data_epoch, row, .. } in &self.gathered {
            let (row, data_epoch) = (*row, *data_epoch);
            match times.get_mut(&(data_epoch, row)) {
                Some(times) => *times += 1,
                None => return Err(LedgerError::Stranger { row, data_epoch }),
            }
        }
        match times.into_iter().find(|(_, times)| *times != 1) {
            Some(((data_epoch, row), times)) => Err(LedgerError::Times { row, data_epoch, times }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_ranks_used_in_any_order_adds_up(
            rows in proptest::collection::btree_set(0..1000u32, 1..40), ranks in 1..5u32, epochs in 1..4u32,
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let mut parts = vec![Ledger::default(); ranks as usize];
            for epoch in 0..epochs {
                for (i, row) in rows.iter().enumerate() {
                    let rank = (i as u32 + epoch) % ranks;
                    parts[rank as usize].note((u64::from(epoch), epoch, rank), &[*row], i % 3 == 0);
                }
            }
            let sent: Vec<Vec<u8>> = parts.iter().map(Ledger::own_bytes).collect();
            for part in &mut parts {
                part.gather(&sent).unwrap();
                prop_assert_eq!(part.prove(&rows, epochs), Ok(()));
                prop_assert!(part.own_bytes().is_empty());
            }
            prop_assert!(parts.windows(2).all(|pair| pair[0] == pair[1]));
        }

        #[test]
        fn a_record_lost_or_used_twice_is_named(rows in 2..30u32, at in 0..30u32, twice: bool) {
            let at = at % rows;
            let mut ledger = Ledger::default();
            for row in (0..rows).filter(|row| twice || *row != at) {
                ledger.note((0, 0, 0), &[row], false);
            }
            if twice {
                ledger.note((1, 0, 0), &[at], false);
            }
            ledger.gather(&[ledger.own_bytes()]).unwrap();
            let all: Vec<u32> = (0..rows).collect();
            let times = if twice { 2 } else { 0 };
            prop_assert_eq!(ledger.prove(&all, 1), Err(LedgerError::Times { row: at, data_epoch: 0, times }));
        }
    }

    #[test]
    fn steps_that_are_done_again_are_forgotten() {
        let mut ledger = Ledger::default();
        for step in 0..4 {
            ledger.note((step, 0, 0), &[step as u32], false);
        }
        ledger.rewind(2);
        ledger.note((2, 0, 1), &[2], false);
        ledger.note((3, 0, 1), &[3], false);
        ledger.gather(&[ledger.own_bytes()]).unwrap();
        assert_eq!(ledger.prove(&[0, 1, 2, 3], 1), Ok(()));
        let stranger = ledger.prove(&[0, 1, 2], 1);
        assert_eq!(stranger, Err(LedgerError::Stranger { row: 3, data_epoch: 0 }));
    }
}
