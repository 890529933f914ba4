//! Data operators: pure functions from records to records, with the counts in and out. Order is kept unless an operator
//! says otherwise; randomness comes from the seed given. Nothing here reads files or knows of jobs.

mod balance;
mod cap;
mod dedupe;
mod keep;
mod shuffle;
mod subsample;
#[cfg(test)]
mod test_records;

use galapagos_domain::job::OperatorCount;
use galapagos_domain::recipe::Shuffled;
use galapagos_domain::recipe::curate::{BalanceBy, Operator, Per};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;

/// Applies `operators` in order; the operator at place i draws from `seed.derive("operator/i")`.
#[must_use]
pub fn apply(
    operators: &[Operator],
    mut records: Vec<Trajectory>,
    seed: Seed,
) -> (Vec<Trajectory>, Vec<OperatorCount>) {
    let mut counts = Vec::with_capacity(operators.len());
    for (place, operator) in operators.iter().enumerate() {
        let records_in = records.len() as u64;
        records = apply_one(operator, records, seed.derive(&format!("operator/{place}")));
        let operator = name(operator).to_owned();
        counts.push(OperatorCount { operator, records_in, records_out: records.len() as u64 });
    }
    (records, counts)
}

fn apply_one(operator: &Operator, records: Vec<Trajectory>, seed: Seed) -> Vec<Trajectory> {
    match operator {
        Operator::Keep { verdict } => keep::keep(records, *verdict),
        Operator::Dedupe => dedupe::dedupe(records),
        Operator::Cap { per: Per::Task, max } => cap::cap_per_task(records, *max),
        Operator::Balance(BalanceBy::Verdict) => balance::balance_verdicts(records, seed),
        Operator::Subsample { n } => subsample::subsample(records, *n, seed),
        Operator::Shuffle(Shuffled::Verdicts) => shuffle::shuffle_verdicts(records, seed),
    }
}

/// The operator's name, as written in the recipe.
fn name(operator: &Operator) -> &'static str {
    match operator {
        Operator::Keep { .. } => "keep",
        Operator::Dedupe => "dedupe",
        Operator::Cap { .. } => "cap",
        Operator::Balance(_) => "balance",
        Operator::Subsample { .. } => "subsample",
        Operator::Shuffle(_) => "shuffle",
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::trajectory::Outcome;
    use proptest::prelude::*;

    use super::test_records::records;
    use super::*;

    fn operators() -> impl Strategy<Value = Vec<Operator>> {
        let one = prop_oneof![
            Just(Operator::Keep { verdict: Outcome::Pass }),
            Just(Operator::Dedupe),
            (0..4u32).prop_map(|max| Operator::Cap { per: Per::Task, max }),
            Just(Operator::Balance(BalanceBy::Verdict)),
            (0..30u32).prop_map(|n| Operator::Subsample { n }),
            Just(Operator::Shuffle(Shuffled::Verdicts)),
        ];
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn counts_form_a_chain_and_the_same_seed_gives_the_same_records(
            operators in operators(), records in records(), seed in any::<u64>(),
        ) {
            let (out, counts) = apply(&operators, records.clone(), Seed(seed));
            let mut expected_in = records.len() as u64;
            for count in &counts {
                prop_assert_eq!(count.records_in, expected_in);
                prop_assert!(count.records_out <= count.records_in);
                expected_in = count.records_out;
            }
            prop_assert_eq!(out.len() as u64, expected_in);
            prop_assert_eq!(apply(&operators, records, Seed(seed)), (out, counts));
        }
    }
}
