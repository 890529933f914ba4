//! `dedupe`: the first record of each (task, completion text).

use std::collections::HashSet;

use galapagos_domain::trajectory::Trajectory;

pub(super) fn dedupe(mut records: Vec<Trajectory>) -> Vec<Trajectory> {
    let mut seen = HashSet::new();
    records.retain(|record| seen.insert((record.task_set.clone(), record.task.clone(), record.completion.clone())));
    records
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_records::records;
    use super::*;

    proptest! {
        #[test]
        fn the_earliest_of_each_pair_of_task_and_completion_is_left(records in records()) {
            let left = dedupe(records.clone());
            for record in &records {
                let same: Vec<_> =
                    left.iter().filter(|l| l.task == record.task && l.completion == record.completion).collect();
                prop_assert_eq!(same.len(), 1);
                prop_assert!(same[0].sample <= record.sample);
            }
            prop_assert!(left.is_sorted_by_key(|record| record.sample));
            prop_assert_eq!(dedupe(left.clone()), left);
        }
    }
}
