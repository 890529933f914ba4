//! `keep`: the records with one verdict.

use galapagos_domain::trajectory::{Outcome, Trajectory};

pub(super) fn keep(mut records: Vec<Trajectory>, verdict: Outcome) -> Vec<Trajectory> {
    records.retain(|record| record.verdict.outcome == verdict);
    records
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_records::records;
    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_and_what_is_left_make_the_whole(records in records()) {
            let kept = keep(records.clone(), Outcome::Fail);
            prop_assert!(kept.iter().all(|r| r.verdict.outcome == Outcome::Fail));
            let failed = records.iter().filter(|r| r.verdict.outcome == Outcome::Fail);
            prop_assert!(kept.iter().eq(failed), "every failed record, in order");
        }
    }
}
