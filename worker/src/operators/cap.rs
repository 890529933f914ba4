//! `cap`: at most so many records per task, the earliest kept.

use std::collections::HashMap;

use galapagos_domain::trajectory::Trajectory;

pub(super) fn cap_per_task(mut records: Vec<Trajectory>, max: u32) -> Vec<Trajectory> {
    let mut kept_of = HashMap::new();
    records.retain(|record| {
        let kept: &mut u32 = kept_of.entry((record.task_set.clone(), record.task.clone())).or_default();
        let room = *kept < max;
        *kept += u32::from(room);
        room
    });
    records
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_records::records;
    use super::*;

    proptest! {
        #[test]
        fn each_task_keeps_its_earliest_records_up_to_the_cap(records in records(), max in 0..4u32) {
            let capped = cap_per_task(records.clone(), max);
            prop_assert!(capped.is_sorted_by_key(|record| record.sample));
            for task in (0..4).map(|task| format!("train/{task}")) {
                let of_task = |from: &[Trajectory]| -> Vec<u32> {
                    from.iter().filter(|r| r.task == task).map(|r| r.sample).collect()
                };
                let mut earliest = of_task(&records);
                earliest.truncate(max as usize);
                prop_assert_eq!(of_task(&capped), earliest);
            }
        }
    }
}
