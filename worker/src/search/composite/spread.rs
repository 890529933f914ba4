//! What one verifier says several times: how it agrees with itself, and how unsure a role's number is.

use galapagos_domain::recipe::verify::{Agreement, Repeat, Uncertainty};
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::combine::{all, majority};
use super::{number, passed, undecided};

/// Repetitions; sure as the share of them that says what is decided, or for numbers as in [`spread`].
pub(super) fn repeat(repeat: &Repeat, said: &[Verdict]) -> Verdict {
    let verdict = match repeat.how {
        Agreement::All => all(said),
        Agreement::Majority => majority(said, &vec![1.0; said.len()]),
        Agreement::Mean => return mean(repeat, said),
    };
    Verdict { confidence: agreement(verdict.outcome, said), ..verdict }
}

/// The share of all repetitions that say so.
fn agreement(outcome: Outcome, said: &[Verdict]) -> Option<f32> {
    let same = said.iter().filter(|verdict| verdict.outcome == outcome).count();
    outcome.is_decided().then(|| same as f32 / said.len().max(1) as f32)
}

/// The mean of those that decided: the others are repetitions that are missing.
fn mean(repeat: &Repeat, said: &[Verdict]) -> Verdict {
    let decided: Vec<&Verdict> = said.iter().filter(|verdict| verdict.outcome.is_decided()).collect();
    if decided.is_empty() {
        return undecided(said);
    }
    let scores: Vec<f64> = decided.iter().map(|verdict| number(verdict)).collect();
    let (mean, deviation) = moments(&scores);
    let passing = decided.iter().filter(|verdict| verdict.outcome == Outcome::Pass).count();
    let passes = 2 * passing > decided.len();
    let verdict = passed(passes, format!("mean {mean:.4} of {} of {}", decided.len(), said.len())).scored(mean as f32);
    let confidence = if repeat.verify.decides() { agreement(verdict.outcome, said) } else { Some(sureness(deviation)) };
    Verdict { confidence, ..verdict }
}

/// Continuations that were judged: the mean of those that were decided.
pub(super) fn continued(said: &[Verdict]) -> Verdict {
    let scores: Vec<f64> = said.iter().filter(|verdict| verdict.outcome.is_decided()).map(number).collect();
    if scores.is_empty() {
        return undecided(said);
    }
    let (mean, _) = moments(&scores);
    Verdict::pass(format!("mean {mean:.4} of {} of {} continuations", scores.len(), said.len())).scored(mean as f32)
}

/// A role's number: the mean less `penalty` standard deviations (of a sample: n - 1), sure as 1/(1 + deviation).
pub(in crate::search) fn spread(uncertainty: &Uncertainty, said: &[Verdict]) -> Verdict {
    if said.is_empty() || said.iter().any(|verdict| !verdict.outcome.is_decided()) {
        return undecided(said);
    }
    let scores: Vec<f64> = said.iter().map(number).collect();
    let (mean, deviation) = moments(&scores);
    let score = mean - uncertainty.penalty * deviation;
    let reason = format!("{mean:.4} with a deviation of {deviation:.4} among {}", scores.len());
    let confidence = Some(sureness(deviation));
    match uncertainty.suspect_above.filter(|above| deviation > *above) {
        Some(above) => {
            let verdict = Verdict::new(Outcome::Suspect, format!("{reason}: more than {above}"));
            Verdict { confidence, ..verdict }
        }
        None => {
            let verdict = passed(uncertainty.pass_at.is_none_or(|at| score >= at), reason).scored(score as f32);
            Verdict { confidence, ..verdict }
        }
    }
}

fn sureness(deviation: f64) -> f32 {
    (1.0 / (1.0 + deviation)) as f32
}

/// Mean and standard deviation of a sample; of one number the deviation is 0.
fn moments(scores: &[f64]) -> (f64, f64) {
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    (mean, if scores.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() })
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::verify::Verifier;

    use super::super::fold;
    use super::super::tests::{said, verifier};
    use super::*;

    fn repeated(how: &str) -> Verifier {
        verifier(&format!(
            r#"{{"repeat": {{"times": 4, "how": "{how}", "verify": {{"mc_rollout": {{"samples": 1}}}}}}}}"#
        ))
    }

    #[test]
    fn repetitions_agree_as_far_as_they_say_the_same() {
        use Outcome::{Error, Fail, Pass};
        let of = |how: &str, outcomes: [Outcome; 4]| {
            let verdict = fold(&repeated(how), &outcomes.map(said));
            (verdict.outcome, verdict.confidence)
        };
        assert_eq!(of("majority", [Pass, Pass, Pass, Fail]), (Pass, Some(0.75)));
        assert_eq!(of("majority", [Pass, Pass, Fail, Fail]), (Fail, Some(0.5)));
        assert_eq!(of("majority", [Pass, Pass, Pass, Error]), (Pass, Some(0.75)));
        assert_eq!(of("majority", [Pass, Pass, Fail, Error]), (Error, None));
        assert_eq!(of("all", [Pass, Pass, Pass, Pass]), (Pass, Some(1.0)));
        assert_eq!(of("all", [Pass, Pass, Pass, Fail]), (Fail, Some(0.25)));
        assert_eq!(of("all", [Pass, Pass, Pass, Error]), (Error, None));
    }

    #[test]
    fn a_mean_is_that_of_the_repetitions_that_decided() {
        let scores =
            [0.5, 1.0, 0.0].map(|score| Verdict { cost: 3, ..passed(score > 0.0, String::new()).scored(score) });
        let verdict = fold(&repeated("mean"), &[&scores[..], &[said(Outcome::Error)]].concat());
        assert_eq!((verdict.outcome, verdict.score, verdict.cost), (Outcome::Pass, Some(0.5), 9));
        // The deviation of 0, 1/2 and 1 is 1/2.
        assert_eq!(verdict.confidence, Some(1.0 / 1.5));
        assert_eq!(fold(&repeated("mean"), &[said(Outcome::Timeout)]).outcome, Outcome::Timeout);
    }

    fn doubtful(rest: &str) -> Verifier {
        verifier(&format!(
            r#"{{"uncertainty": {{"verify": {{"orm": "a"}}, "how": {{"ensemble": ["b", "c"]}}{rest}}}}}"#
        ))
    }

    #[test]
    fn doubt_is_taken_from_the_mean_by_hand() {
        let numbers = [1.0f32, 2.0, 3.0].map(|number| Verdict::pass("").scored(number));
        let of = |rest: &str| fold(&doubtful(rest), &numbers);
        // Mean 2, deviation of a sample 1.
        let plain = of("");
        assert_eq!((plain.outcome, plain.score, plain.confidence), (Outcome::Pass, Some(1.0), Some(0.5)));
        assert_eq!(of(r#", "penalty": 0"#).score, Some(2.0));
        assert_eq!(of(r#", "penalty": 0.5"#).score, Some(1.5));
        let at = |at: f64| of(&format!(r#", "pass_at": {at}"#)).outcome;
        assert_eq!((at(1.0), at(1.1)), (Outcome::Pass, Outcome::Fail));
        let (sure, unsure) = (of(r#", "suspect_above": 1.0"#), of(r#", "suspect_above": 0.9"#));
        assert_eq!((sure.outcome, unsure.outcome, unsure.score), (Outcome::Pass, Outcome::Suspect, None));
        assert_eq!(unsure.reason, "2.0000 with a deviation of 1.0000 among 3: more than 0.9");
        let same = fold(&doubtful(""), &[numbers[0].clone(), numbers[0].clone()]);
        assert_eq!((same.score, same.confidence), (Some(1.0), Some(1.0)));
    }
}
