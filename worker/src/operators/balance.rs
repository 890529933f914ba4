//! `balance`: as many passed as failed records. Other verdicts say nothing about the completion and are dropped.

use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::subsample::choose;

/// Draws from the more frequent verdict by seed; what is left keeps its order.
pub(super) fn balance_verdicts(mut records: Vec<Trajectory>, seed: Seed) -> Vec<Trajectory> {
    let count = |outcome| records.iter().filter(|record| record.verdict.outcome == outcome).count();
    let (passes, fails) = (count(Outcome::Pass), count(Outcome::Fail));
    let each = passes.min(fails);
    let mut pass_chosen = choose(passes, each, seed.derive("pass")).into_iter();
    let mut fail_chosen = choose(fails, each, seed.derive("fail")).into_iter();
    records.retain(|record| match record.verdict.outcome {
        Outcome::Pass => pass_chosen.next() == Some(true),
        Outcome::Fail => fail_chosen.next() == Some(true),
        Outcome::Error | Outcome::Timeout | Outcome::Suspect => false,
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
        fn as_many_of_each_as_the_rarer_has(records in records(), seed in any::<u64>()) {
            let count = |from: &[Trajectory], outcome| from.iter().filter(|r| r.verdict.outcome == outcome).count();
            let rarer = count(&records, Outcome::Pass).min(count(&records, Outcome::Fail));
            let balanced = balance_verdicts(records, Seed(seed));
            prop_assert_eq!(count(&balanced, Outcome::Pass), rarer);
            prop_assert_eq!(count(&balanced, Outcome::Fail), rarer);
            prop_assert_eq!(balanced.len(), 2 * rarer);
            prop_assert!(balanced.is_sorted_by_key(|record| record.sample));
        }
    }
}
