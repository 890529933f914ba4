//! A tournament's gate: reads the pairs in the order in which they were handed out, never in the order in which they came
//! back, and stops at the pair that decides. So fast bouts weigh no more than slow ones and timing changes no result.

use super::view::{Decision, Ladder};
use crate::ids::MemberId;
use crate::job::JobOutput;
use crate::recipe::tournament::{Gate, Tournament};
use crate::stats::{Conclusion, Pentanomial, Sprt, elo95};

/// What the pairs read so far amount to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub pentanomial: Pentanomial,
    pub llr: f64,
    pub bounds: (f64, f64),
    pub decision: Decision,
    /// Jobs whose pairs were read.
    pub jobs: usize,
}

/// Reads the outputs of bout jobs in order of their index, up to the first that is missing, the pair that decides, or
/// `max_pairs`.
pub(super) fn weigh<'a>(tournament: &Tournament, outputs: impl IntoIterator<Item = Option<&'a JobOutput>>) -> Evidence {
    let Gate::Sprt(gate) = &tournament.gate;
    let sprt = Sprt::new(gate);
    let mut pentanomial: Pentanomial = [0; 5];
    let mut read = 0;
    let mut jobs = 0;
    let mut decision = Decision::Undecided;
    let known = outputs.into_iter().map_while(|output| match output? {
        JobOutput::Bout { pairs, .. } => Some(pairs),
        JobOutput::Base { .. }
        | JobOutput::Rollout { .. }
        | JobOutput::Grow { .. }
        | JobOutput::Curate { .. }
        | JobOutput::Evaluate { .. }
        | JobOutput::Measure { .. }
        | JobOutput::Sweep { .. }
        | JobOutput::Propose { .. } => None,
    });
    'read: for pairs in known {
        jobs += 1;
        for pair in pairs {
            if let Some(count) = pentanomial.get_mut(usize::from(pair.half_points)) {
                *count += 1;
            }
            read += 1;
            decision = match sprt.conclude(&pentanomial) {
                Conclusion::Better => Decision::Promoted,
                Conclusion::NotBetter => Decision::Refused,
                Conclusion::Open if read >= tournament.max_pairs => Decision::Inconclusive,
                Conclusion::Open => Decision::Undecided,
            };
            if decision != Decision::Undecided {
                break 'read;
            }
        }
    }
    Evidence { pentanomial, llr: sprt.llr(&pentanomial), bounds: sprt.bounds(), decision, jobs }
}

impl Evidence {
    /// Pairs read.
    pub fn pairs(&self) -> u64 {
        self.pentanomial.iter().sum()
    }

    /// The evidence as people see it.
    pub fn ladder(&self, holder: &MemberId, challenger: &MemberId) -> Ladder {
        Ladder {
            holder: holder.clone(),
            challenger: challenger.clone(),
            pentanomial: self.pentanomial,
            llr: self.llr,
            bounds: self.bounds,
            elo: elo95(&self.pentanomial),
            decision: self.decision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::PairOutcome;

    fn tournament(max_pairs: u32) -> Tournament {
        let text = format!(
            r#"{{"between": ["champion", "candidate"], "tasks": {{}}, "promote": "policy", "max_pairs": {max_pairs},
                "gate": {{"sprt": {{"elo": [0, 100], "alpha": 0.05, "beta": 0.05}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn bout(half_points: &[u8]) -> JobOutput {
        let pair = |(task, half_points): (u32, &u8)| PairOutcome { task, half_points: *half_points };
        JobOutput::Bout { pairs: (0..).zip(half_points).map(pair).collect(), tokens: 1 }
    }

    #[test]
    fn pairs_behind_a_missing_job_are_not_read() {
        let (won, lost) = (bout(&[4; 12]), bout(&[0; 12]));
        let gap = weigh(&tournament(400), [Some(&bout(&[2])), None, Some(&won), Some(&won)]);
        assert_eq!((gap.pairs(), gap.jobs, gap.decision), (1, 1, Decision::Undecided));
        let filled = weigh(&tournament(400), [Some(&bout(&[2])), Some(&lost), Some(&won), Some(&won)]);
        assert_eq!((filled.decision, filled.jobs), (Decision::Refused, 2));
    }

    #[test]
    fn reading_stops_at_the_pair_that_decides() {
        let decided = weigh(&tournament(400), [Some(&bout(&[4; 40])), Some(&bout(&[0; 40]))]);
        assert_eq!((decided.decision, decided.jobs), (Decision::Promoted, 1));
        assert!(decided.pairs() < 40, "{} pairs were read", decided.pairs());
        assert!(decided.llr >= decided.bounds.1);
    }

    #[test]
    fn bouts_that_run_out_are_inconclusive() {
        let open = weigh(&tournament(3), [Some(&bout(&[4, 0, 3]))]);
        assert_eq!((open.decision, open.pairs()), (Decision::Inconclusive, 3));
    }
}
