//! Numbers of a record, as filters and rankings read them.

use galapagos_domain::recipe::curate::Measure;
use galapagos_domain::trajectory::{Outcome, Score, Trajectory};

/// The number, if the record has it.
pub(crate) fn measure(record: &Trajectory, by: &Measure) -> Option<f64> {
    let value = match by {
        Measure::Reward => record.reward(),
        Measure::Verdict => verdict(record),
        Measure::Confidence => record.verdict.confidence.map(f64::from),
        Measure::Length => Some(record.completion_tokens.len() as f64),
        Measure::Shortest => Some(-(record.completion_tokens.len() as f64)),
        Measure::MeanQ => mean_q(record),
        Measure::MinQ => values(record).reduce(f64::min),
        Measure::LastQ => values(record).last(),
        Measure::Score(name) => score(&record.scores, name),
    };
    value.filter(|value| value.is_finite())
}

fn verdict(record: &Trajectory) -> Option<f64> {
    match record.verdict.outcome {
        Outcome::Pass => Some(1.0),
        Outcome::Fail => Some(0.0),
        Outcome::Error | Outcome::Timeout | Outcome::Suspect => None,
    }
}

/// Mean value of the parts.
pub(super) fn mean_q(record: &Trajectory) -> Option<f64> {
    let (sum, count) = values(record).fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn values(record: &Trajectory) -> impl Iterator<Item = f64> {
    record.credit.spans.iter().filter_map(|span| span.value).map(f64::from)
}

/// What the verifier of that name gave: with its version, or of any version; the first one.
pub(super) fn score(scores: &[Score], name: &str) -> Option<f64> {
    let is_it = |by: &str| by == name || by.split_once('/').is_some_and(|(of, _)| of == name);
    scores.iter().find(|score| is_it(&score.by)).map(|score| f64::from(score.value))
}

/// Whether a number follows from the verdict.
pub(super) fn is_of_verdict(by: &Measure) -> bool {
    matches!(by, Measure::Reward | Measure::Verdict)
}

#[cfg(test)]
mod tests {
    use super::super::test_records::{plain, span};
    use super::*;

    #[test]
    fn numbers_of_a_record_with_three_parts() {
        let mut record = plain(0, 0, 7);
        record.completion_tokens = vec![1, 2, 3];
        record.credit.spans = vec![span(0, 1, Some(0.5)), span(1, 2, None), span(2, 3, Some(-0.25))];
        record.scores =
            vec![Score { by: "prm/3b".to_owned(), value: 0.75 }, Score { by: "prm".to_owned(), value: 2.0 }];
        let of = |by: Measure| measure(&record, &by);
        assert_eq!(of(Measure::MeanQ), Some(0.125));
        assert_eq!((of(Measure::MinQ), of(Measure::LastQ)), (Some(-0.25), Some(-0.25)));
        assert_eq!((of(Measure::Length), of(Measure::Shortest)), (Some(3.0), Some(-3.0)));
        assert_eq!(of(Measure::Score("prm".to_owned())), Some(0.75));
        assert_eq!((of(Measure::Score("pr".to_owned())), of(Measure::Confidence)), (None, None));
        assert_eq!(of(Measure::Reward), Some(1.0));
    }
}
