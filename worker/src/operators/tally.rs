//! What is counted between operators.

use galapagos_domain::job::{OperatorCount, Oracle};
use galapagos_domain::recipe::Shuffled;
use galapagos_domain::recipe::curate::Operator;
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::measure::is_of_verdict;

/// Records that passed a place between two operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub records: u64,
    passes: u64,
    decided: u64,
}

impl Passed {
    pub(super) fn see(&mut self, record: &Trajectory) {
        self.records += 1;
        self.passes += u64::from(record.verdict.outcome == Outcome::Pass);
        self.decided += u64::from(record.verdict.outcome.is_decided());
    }
}

/// What an operator could not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lacking {
    /// Records without the number that it looks at.
    pub(super) without: u64,
    /// Trees that are not believed.
    pub(super) doubted: u64,
}

/// One count for each operator; `passed` are the places before, between and behind them, `lacking` the operators' own counts.
pub(super) fn counts(operators: &[Operator], passed: &[Passed], lacking: &[Lacking]) -> Vec<OperatorCount> {
    let mut is_true = true;
    let mut counts = Vec::with_capacity(operators.len());
    for (place, operator) in operators.iter().enumerate() {
        // A shuffled verdict is nobody's, and so is one on the answer to another prompt.
        is_true &= !matches!(operator, Operator::Shuffle(Shuffled::Verdicts | Shuffled::Prompts));
        let (before, after) = (passed[place], passed[place + 1]);
        let oracle = (is_true && chooses_by_else(operator)).then_some(Oracle {
            passes_in: before.passes,
            decided_in: before.decided,
            passes_out: after.passes,
            decided_out: after.decided,
        });
        let Lacking { without, doubted } = lacking[place];
        counts.push(OperatorCount {
            without,
            doubted,
            oracle,
            ..OperatorCount::new(operator.word(), before.records, after.records)
        });
    }
    counts
}

/// Whether it chooses records by what they are, and not by their verdict.
fn chooses_by_else(operator: &Operator) -> bool {
    match operator {
        Operator::Filter(filter) => !is_of_verdict(&filter.by),
        Operator::TopK(top) => !top.by.iter().any(is_of_verdict),
        Operator::Drop { .. } | Operator::DedupeBy(_) => true,
        _ => false,
    }
}
