//! Numbers of answers in several turns: the rule is asked about the first and the last, and both verdicts come to one number.

use std::sync::Arc;

use galapagos_domain::recipe::verify::{TurnNumber, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};
use strsim::levenshtein;

use super::undecided;
use crate::search::strategy::Question;
use crate::search::tree::Path;

/// What the rule is asked: about the first answer of the question's path, and about the last one.
pub(in crate::search) fn turns(question: &Question) -> Vec<Question> {
    let steps = &question.path.steps;
    let nothing = String::new();
    let ends = [steps.first().unwrap_or(&nothing), steps.last().unwrap_or(&nothing)];
    let asked = |(place, answer): (usize, &String)| Question {
        verifier: Arc::new(Verifier::Rule),
        path: Path::told(Vec::new(), answer),
        answered: true,
        seed: question.seed.derive(&format!("part/{place}")),
    };
    ends.into_iter().enumerate().map(asked).collect()
}

/// What is seen of the answers without asking the rule, if that is wanted.
pub(in crate::search) fn edited(number: TurnNumber, steps: &[String]) -> Option<Verdict> {
    match number {
        TurnNumber::Edit => {}
        TurnNumber::First | TurnNumber::Last | TurnNumber::Gain | TurnNumber::Gained | TurnNumber::Lost => return None,
    }
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Some(Verdict::new(Outcome::Error, "there is no answer").by("turns/1"));
    };
    let longer = first.chars().count().max(last.chars().count());
    let changed = levenshtein(first, last);
    let share = if longer == 0 { 0.0 } else { changed as f64 / longer as f64 };
    Some(Verdict::pass(format!("{changed} of {longer} characters changed")).scored(share as f32).by("turns/1"))
}

/// What the verdicts on [`turns`] come to.
pub(super) fn compare(number: TurnNumber, said: &[Verdict]) -> Verdict {
    let [first, last] = said else { return undecided(said) };
    if !(first.outcome.is_decided() && last.outcome.is_decided()) {
        return undecided(said);
    }
    let passes = |verdict: &Verdict| verdict.outcome == Outcome::Pass;
    let word = |verdict: &Verdict| if passes(verdict) { "passes" } else { "fails" };
    let reason = format!("the first answer {}, the last one {}", word(first), word(last));
    match number.of(passes(first), passes(last)) {
        Some(number) => Verdict::pass(reason).scored(number as f32),
        None => Verdict::new(Outcome::Error, "the rule was not to be asked"),
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;

    use super::super::{fold, tests::verifier};
    use super::*;

    const NUMBERS: [&str; 5] = ["first", "last", "gain", "gained", "lost"];

    fn given(number: &str, said: [Verdict; 2]) -> Verdict {
        fold(&verifier(&format!(r#"{{"turns": "{number}"}}"#)), &said)
    }

    #[test]
    fn the_rule_is_asked_about_the_first_and_the_last_answer() {
        let mut path = Path::told(Vec::new(), "c");
        path.steps = ["a", "b", "c"].map(str::to_owned).to_vec();
        let verifier = Arc::new(verifier(r#"{"turns": "gain"}"#));
        let asked = turns(&Question { verifier, path, answered: true, seed: Seed(1) });
        let seen: Vec<_> = asked.iter().map(|part| (part.path.answer.as_str(), &*part.verifier)).collect();
        assert_eq!(seen, [("a", &Verifier::Rule), ("c", &Verifier::Rule)]);
    }

    #[test]
    fn five_numbers_of_two_verdicts_and_none_where_one_is_undecided() {
        let (pass, fail) = (|| Verdict::pass(""), || Verdict::fail(""));
        let cases = [
            ([fail(), fail()], [0.0, 0.0, 0.0, 0.0, 0.0]),
            ([fail(), pass()], [0.0, 1.0, 1.0, 1.0, 0.0]),
            ([pass(), fail()], [1.0, 0.0, -1.0, 0.0, 1.0]),
            ([pass(), pass()], [1.0, 1.0, 0.0, 0.0, 0.0]),
        ];
        for (said, expected) in cases {
            let numbers = NUMBERS.map(|number| given(number, said.clone()).score.unwrap());
            assert_eq!(numbers, expected, "{said:?}");
        }
        let lost = given("gain", [pass(), Verdict::new(Outcome::Timeout, "slow")]);
        assert_eq!((lost.outcome, lost.score, lost.verifier.as_str()), (Outcome::Timeout, None, "turns/1"));
    }

    #[test]
    fn the_edit_is_the_share_of_changed_characters() {
        let share = |first: &str, last: &str| {
            edited(TurnNumber::Edit, &[first.to_owned(), "x".to_owned(), last.to_owned()]).unwrap().score.unwrap()
        };
        assert_eq!((share("12", "12"), share("12", "34"), share("", "")), (0.0, 1.0, 0.0));
        assert!((share("kitten", "sitting") - 3.0 / 7.0).abs() < 1e-6);
        assert_eq!(edited(TurnNumber::Gain, &["a".to_owned()]), None);
    }
}
