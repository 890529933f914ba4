//! What the verdicts of several verifiers come to. Votes are three-valued: a vote is decided as soon as what was not decided could not
//! change it. A number depends on all members.

use galapagos_domain::recipe::verify::{Combine, How};
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::{number, passed, undecided};

/// Scores that are no further apart are equal.
const SAME: f64 = 1.0e-6;

/// See the head of this file.
pub(super) fn combine(combine: &Combine, said: &[Verdict]) -> Verdict {
    let weights: Vec<f64> = combine.of.iter().map(|member| member.weight).collect();
    match combine.how {
        How::All => all(said),
        How::Any => any(said),
        How::Majority => majority(said, &weights),
        How::Mean | How::Min | How::Product | How::NoisyOr | How::Equal => numbers(combine, said, &weights),
    }
}

/// Passes if all pass; one fail decides.
pub(super) fn all(said: &[Verdict]) -> Verdict {
    if let Some((place, fail)) = said.iter().enumerate().find(|(_, verdict)| verdict.outcome == Outcome::Fail) {
        return Verdict::fail(format!("part {} fails: {}", place + 1, fail.reason));
    }
    match said.iter().all(|verdict| verdict.outcome == Outcome::Pass) {
        true if !said.is_empty() => Verdict::pass(format!("all {} pass", said.len())),
        _ => undecided(said),
    }
}

/// Passes if one passes; one pass decides.
fn any(said: &[Verdict]) -> Verdict {
    if let Some((place, pass)) = said.iter().enumerate().find(|(_, verdict)| verdict.outcome == Outcome::Pass) {
        return Verdict::pass(format!("part {} passes: {}", place + 1, pass.reason));
    }
    match said.iter().all(|verdict| verdict.outcome == Outcome::Fail) {
        true if !said.is_empty() => Verdict::fail(format!("none of {} passes", said.len())),
        _ => undecided(said),
    }
}

/// Passes if more than half of all weight passes, fails if it cannot any more. Sure as the share of the weight that says so.
pub(super) fn majority(said: &[Verdict], weights: &[f64]) -> Verdict {
    let of = |such: Outcome| -> f64 {
        said.iter().zip(weights).filter(|(verdict, _)| verdict.outcome == such).map(|(_, weight)| weight).sum()
    };
    let (pass, fail, total) = (of(Outcome::Pass), of(Outcome::Fail), weights.iter().sum::<f64>());
    if said.is_empty() || (2.0 * pass <= total && 2.0 * fail < total) {
        return undecided(said);
    }
    let passes = 2.0 * pass > total;
    let share = if passes { pass } else { fail } / total;
    let verdict = passed(passes, format!("{pass} of {total} pass, {fail} fail"));
    Verdict { confidence: Some(share as f32), ..verdict }
}

fn numbers(combine: &Combine, said: &[Verdict], weights: &[f64]) -> Verdict {
    if said.is_empty() || said.iter().any(|verdict| !verdict.outcome.is_decided()) {
        return undecided(said);
    }
    let scores: Vec<f64> = said.iter().map(number).collect();
    let score = match combine.how {
        How::Min => scores.iter().copied().fold(f64::INFINITY, f64::min),
        How::Product => scores.iter().product(),
        How::Equal => f64::from(u8::from(scores.iter().all(|score| (score - scores[0]).abs() < SAME))),
        How::NoisyOr => match scores.iter().enumerate().find(|(_, score)| !(0.0..=1.0).contains(*score)) {
            Some((place, score)) => {
                let reason = format!("`noisy_or` reads scores from 0 to 1, and part {} gave {score}", place + 1);
                return Verdict::new(Outcome::Error, reason);
            }
            None => 1.0 - scores.iter().map(|score| 1.0 - score).product::<f64>(),
        },
        How::Mean | How::All | How::Any | How::Majority => {
            let sum: f64 = scores.iter().zip(weights).map(|(score, weight)| score * weight).sum();
            sum / weights.iter().sum::<f64>()
        }
    };
    if !score.is_finite() {
        return Verdict::new(Outcome::Error, format!("`{}` of {scores:?} is {score}", combine.how.name()));
    }
    let reason = format!("{} {score:.4} of {scores:?}", combine.how.name());
    passed(combine.pass_at.is_none_or(|at| score >= at), reason).scored(score as f32)
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::verify::Verifier;

    use super::super::fold;
    use super::super::tests::{said, verifier};
    use super::*;

    fn of(how: &str, weights: &[f64], rest: &str) -> Verifier {
        let members: Vec<String> =
            weights.iter().map(|weight| format!(r#"{{"verify": "rule", "weight": {weight}}}"#)).collect();
        verifier(&format!(r#"{{"combine": {{"how": "{how}", "of": [{}]{rest}}}}}"#, members.join(", ")))
    }

    fn vote(how: &str, outcomes: &[Outcome]) -> Outcome {
        let said: Vec<Verdict> = outcomes.iter().copied().map(said).collect();
        fold(&of(how, &vec![1.0; outcomes.len()], ""), &said).outcome
    }

    #[test]
    fn votes_by_hand_and_what_is_not_decided_is_no_fail() {
        use Outcome::{Error, Fail, Pass, Suspect, Timeout};
        let cases: [(&[Outcome], [Outcome; 3]); 10] = [
            // members, then all, any, majority
            (&[Pass, Pass, Pass], [Pass, Pass, Pass]),
            (&[Pass, Pass, Fail], [Fail, Pass, Pass]),
            (&[Pass, Fail, Fail], [Fail, Pass, Fail]),
            (&[Fail, Fail, Fail], [Fail, Fail, Fail]),
            (&[Pass, Pass, Error], [Error, Pass, Pass]),
            (&[Fail, Fail, Error], [Fail, Error, Fail]),
            (&[Pass, Fail, Timeout], [Fail, Pass, Timeout]),
            (&[Pass, Error, Suspect], [Error, Pass, Error]),
            // A tie is no majority, whatever the one that did not decide would say.
            (&[Pass, Pass, Fail, Fail], [Fail, Pass, Fail]),
            (&[Pass, Pass, Fail, Suspect], [Fail, Pass, Suspect]),
        ];
        for (outcomes, expected) in cases {
            assert_eq!(["all", "any", "majority"].map(|how| vote(how, outcomes)), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn a_majority_is_one_of_weight_and_as_sure_as_its_share() {
        let said = [Outcome::Pass, Outcome::Fail, Outcome::Fail].map(said);
        let heavy = fold(&of("majority", &[3.0, 1.0, 1.0], ""), &said);
        assert_eq!((heavy.outcome, heavy.confidence), (Outcome::Pass, Some(0.6)));
        let even = fold(&of("majority", &[2.0, 1.0, 1.0], ""), &said);
        assert_eq!((even.outcome, even.confidence), (Outcome::Fail, Some(0.5)));
    }

    #[test]
    fn numbers_by_hand() {
        let said = [Verdict::pass("").scored(0.5), Verdict::fail("").scored(0.25), Verdict::pass("")];
        let number = |how, weights: &[f64]| {
            let verdict = fold(&of(how, weights, ""), &said);
            (verdict.outcome, verdict.score)
        };
        let ones = [1.0; 3];
        assert_eq!(number("mean", &ones), (Outcome::Pass, Some(1.75 / 3.0)));
        assert_eq!(number("mean", &[2.0, 4.0, 2.0]), (Outcome::Pass, Some(0.5)));
        assert_eq!(number("min", &ones), (Outcome::Pass, Some(0.25)));
        assert_eq!(number("product", &ones), (Outcome::Pass, Some(0.125)));
        let two = fold(&of("noisy_or", &[1.0; 2], ""), &said[..2]);
        assert_eq!(two.score, Some(1.0 - 0.5 * 0.75), "{two:?}");
        let passes = |at: f64| fold(&of("min", &ones, &format!(r#", "pass_at": {at}"#)), &said).outcome;
        assert_eq!((passes(0.25), passes(0.26)), (Outcome::Pass, Outcome::Fail));
        assert!(of("min", &ones, r#", "pass_at": 0.5"#).decides() && !of("min", &ones, "").decides());
    }

    #[test]
    fn a_number_needs_all_of_its_members_and_noisy_or_probabilities() {
        let missing = [Verdict::pass("").scored(0.0), Verdict::new(Outcome::Suspect, "odd")];
        for how in ["mean", "min", "product", "noisy_or"] {
            let verdict = fold(&of(how, &[1.0; 2], r#", "pass_at": 0.5"#), &missing);
            assert_eq!((verdict.outcome, verdict.score), (Outcome::Suspect, None), "{how}");
        }
        let large = [Verdict::pass("").scored(0.5), Verdict::pass("").scored(2.0)];
        let verdict = fold(&of("noisy_or", &[1.0; 2], ""), &large);
        assert_eq!(verdict.outcome, Outcome::Error);
        assert_eq!(verdict.reason, "`noisy_or` reads scores from 0 to 1, and part 2 gave 2");
    }
}
