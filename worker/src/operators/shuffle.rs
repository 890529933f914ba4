//! `shuffle`: permutes the verdicts among all records, for negative controls. Everything else stays where it is.

use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Trajectory, Verdict};
use rand::seq::SliceRandom;

pub(super) fn shuffle_verdicts(mut records: Vec<Trajectory>, seed: Seed) -> Vec<Trajectory> {
    let mut verdicts: Vec<Verdict> = records.iter().map(|record| record.verdict.clone()).collect();
    verdicts.shuffle(&mut seed.stream());
    for (record, verdict) in records.iter_mut().zip(verdicts) {
        record.verdict = verdict;
    }
    records
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::super::test_records::records;
    use super::*;

    fn reasons(records: &[Trajectory]) -> Vec<String> {
        records.iter().map(|record| record.verdict.reason.clone()).collect()
    }

    proptest! {
        #[test]
        fn the_verdicts_are_permuted_and_nothing_else_changes(records in records(), seed in any::<u64>()) {
            let shuffled = shuffle_verdicts(records.clone(), Seed(seed));
            let (mut before, mut after) = (reasons(&records), reasons(&shuffled));
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
            for (record, shuffled) in records.iter().zip(&shuffled) {
                let restored = Trajectory { verdict: record.verdict.clone(), ..shuffled.clone() };
                prop_assert_eq!(&restored, record);
            }
        }
    }

    #[test]
    fn a_long_list_does_not_stay_in_place() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let records = loop {
            let records = records().new_tree(&mut runner).unwrap().current();
            if records.len() > 20 {
                break records;
            }
        };
        assert_ne!(reasons(&shuffle_verdicts(records.clone(), Seed(1))), reasons(&records));
    }
}
