//! A recipe's answer checkers on an answer: what the checkers of `answer` say, as verdicts. What a checker cannot decide says nothing
//! about the answer: `error` if the task or the recipe is at fault, `suspect` if the question is too hard.

use galapagos_domain::recipe::verify::{self as recipe, Place, Verifier, Which as RecipeWhich};
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_telemetry::ErrorChain;
use serde_json::Value;

use super::answer::{
    CheckError, Choice, Exact, Extract, JsonSchema, Judgement, List, Matching, Math, Numeric, Pattern, Which, find,
};
use super::behaviour::{Behaviour, Counts};
use super::math::{Options, Units};

/// What the verifier says of `completion`, where the task expects `expected`. `None` for verifiers that need more than that.
#[must_use]
pub fn check(verifier: &Verifier, expected: &str, completion: &str) -> Option<Verdict> {
    let judged = match verifier {
        Verifier::Exact(options) => exact(options).check(expected, completion),
        Verifier::Numeric(options) => numeric(options).check(expected, completion),
        Verifier::List(options) => list(options).check(expected, completion),
        Verifier::MultipleChoice(options) => {
            Choice { extract: places(&options.read), ..Choice::default() }.check(expected, completion)
        }
        Verifier::Regex(options) => pattern(options).and_then(|pattern| pattern.check(expected, completion)),
        Verifier::JsonSchema(options) => JsonSchema::new(&Value::Object(options.schema.clone()), options.equal)
            .and_then(|schema| schema.check(expected, completion)),
        Verifier::Math(options) => math(*options).check(expected, completion),
        Verifier::Behaviour(counted) => return Some(count(*counted, completion)),
        Verifier::Rule
        | Verifier::Working
        | Verifier::StepExecutor(_)
        | Verifier::UnitTests(_)
        | Verifier::Value(_)
        | Verifier::Orm(_)
        | Verifier::Prm(_)
        | Verifier::McRollout(_)
        | Verifier::SelfLogProb
        | Verifier::SequenceLogProb
        | Verifier::Consistency(_)
        | Verifier::Rules(_)
        | Verifier::Judge(_)
        | Verifier::JudgePair(_)
        | Verifier::Principles(_)
        | Verifier::FirstError(_)
        | Verifier::EnvReturn(_)
        | Verifier::SuccessClassifier(_)
        | Verifier::Combine(_)
        | Verifier::Repeat(_)
        | Verifier::Uncertainty(_)
        | Verifier::Turns(_) => return None,
    };
    Some(verdict(judged).by(format!("{}/1", verifier.name())))
}

/// What the verifier reads of `completion` as its answer, in one form: the same for answers that count as the same. Of verifiers that
/// look for no answer all of it, without white space at its ends.
#[must_use]
pub fn read(verifier: &Verifier, completion: &str) -> Option<String> {
    let text = match verifier {
        Verifier::Exact(options) => return exact(options).read(completion),
        Verifier::Numeric(options) => return numeric(options).read(completion),
        // Any letter serves: what was read does not depend on what is right.
        Verifier::MultipleChoice(options) => {
            let choice = Choice { extract: places(&options.read), ..Choice::default() };
            choice.check("A", completion).ok().map(|judged| judged.read)
        }
        Verifier::List(options) => find(&places(&options.read), completion)
            .map(|found| found.text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Verifier::Math(_) => find(&Extract::USUAL, completion).map(|found| found.text.split_whitespace().collect()),
        _ => Some(completion.trim().to_owned()),
    };
    text.filter(|text| !text.is_empty())
}

fn verdict(judged: Result<Judgement, CheckError>) -> Verdict {
    match judged {
        Ok(Judgement { right: true, read, .. }) => Verdict::pass(format!("read {read:?}")),
        Ok(Judgement { right: false, read, reason }) => Verdict::fail(format!("read {read:?}: {reason}")),
        Err(error @ CheckError::Undecided { .. }) => {
            Verdict::new(Outcome::Suspect, ErrorChain::new(&error).to_string())
        }
        Err(error) => Verdict::new(Outcome::Error, ErrorChain::new(&error).to_string()),
    }
}

fn places(read: &[Place]) -> Vec<Extract> {
    let place = |place: &Place| match place {
        Place::Boxed => Extract::Boxed,
        Place::Hashes => Extract::Hashes,
        Place::Phrase => Extract::Phrase,
        Place::LastLine => Extract::LastLine,
        Place::Whole => Extract::Whole,
    };
    read.iter().map(place).collect()
}

fn exact(options: &recipe::Exact) -> Exact {
    let recipe::Exact { read, fold_case, strip_marks } = options;
    Exact { extract: places(read), trim: true, fold_case: *fold_case, strip_marks: *strip_marks }
}

fn numeric(options: &recipe::Numeric) -> Numeric {
    let which = match options.which {
        RecipeWhich::First => Which::First,
        RecipeWhich::Last => Which::Last,
    };
    Numeric { extract: places(&options.read), which, absolute: options.absolute, relative: options.relative }
}

fn list(options: &recipe::List) -> List {
    let recipe::List { read, separator, ordered } = options;
    List { extract: places(read), separator: separator.clone(), ordered: *ordered, ..List::default() }
}

fn pattern(options: &recipe::Pattern) -> Result<Pattern, CheckError> {
    let matching = if options.whole { Matching::Whole } else { Matching::Search };
    Pattern::new(&options.pattern, matching, options.capture.as_deref())
}

fn math(options: recipe::Math) -> Math {
    let units = match options.units {
        recipe::Units::Drop => Units::Drop,
        recipe::Units::WhereGiven => Units::WhereGiven,
        recipe::Units::Compare => Units::Compare,
    };
    let options = Options { units, rounded_places: Some(options.rounded_places), ..Options::default() };
    Math { options, ..Math::default() }
}

fn count(counted: recipe::Behaviour, text: &str) -> Verdict {
    let behaviour = match counted {
        recipe::Behaviour::Verification => Behaviour::Verification,
        recipe::Behaviour::Backtracking => Behaviour::Backtracking,
        recipe::Behaviour::SubGoal => Behaviour::SubGoal,
        recipe::Behaviour::BackwardChaining => Behaviour::BackwardChaining,
    };
    let rate = Counts::of(text).per_100_words(behaviour);
    Verdict::pass(format!("{rate:.2} in 100 words")).scored(rate as f32).by("behaviour/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(verifier: &str, expected: &str, completion: &str) -> Verdict {
        check(&serde_json::from_str(verifier).unwrap(), expected, completion).unwrap()
    }

    #[test]
    fn every_checker_is_reached_with_its_options() {
        let cases = [
            (r#"{"exact": {}}"#, "Paris", " Paris\n", "paris"),
            (r#"{"exact": {"fold_case": true, "strip_marks": true}}"#, "Paris", "\"paris\".", "Lyon"),
            (r#"{"numeric": {}}"#, "1234", "so #### 1,234", "#### 1,235"),
            (r#"{"numeric": {"relative": 0.01}}"#, "100", "the answer is 100.9", "the answer is 101.1"),
            (r#"{"numeric": {"read": ["whole"], "which": "first"}}"#, "3", "3 and 4", "4 and 3"),
            (r#"{"list": {}}"#, "a, b", "b, a", "a, c"),
            (r#"{"list": {"ordered": true, "separator": ";"}}"#, "1; 2", "1; 2", "2; 1"),
            (r#"{"multiple_choice": {}}"#, "B", "Answer: (B)", "Answer: (C)"),
            (r#"{"regex": {"pattern": "n=([0-9]+)", "capture": "1"}}"#, "7", "n=7", "n=8"),
            (r#"{"regex": {"pattern": "[ab]+", "whole": true}}"#, "", "abba", "abbac"),
            (r#"{"json_schema": {"schema": {"type": "object", "required": ["x"]}}}"#, "", "{\"x\": 1}", "{\"y\": 1}"),
            (r#"{"json_schema": {"schema": {"type": "integer"}, "equal": true}}"#, "4", "4", "5"),
            (r#"{"math": {}}"#, "1/2", "\\boxed{\\frac{2}{4}}", "\\boxed{\\frac{2}{3}}"),
            (r#"{"math": {"units": "compare"}}"#, "5 cm", "\\boxed{5\\text{ cm}}", "\\boxed{5\\text{ m}}"),
        ];
        for (verifier, expected, right, wrong) in cases {
            let (right, wrong) = (verdict_of(verifier, expected, right), verdict_of(verifier, expected, wrong));
            assert_eq!(
                (right.outcome, wrong.outcome),
                (Outcome::Pass, Outcome::Fail),
                "{verifier}: {right:?} {wrong:?}"
            );
            assert!(right.verifier.ends_with("/1"), "{right:?}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_no_fail() {
        let broken = verdict_of(r#"{"regex": {"pattern": "("}}"#, "", "x");
        assert_eq!(broken.outcome, Outcome::Error, "{broken:?}");
        let task = verdict_of(r#"{"numeric": {}}"#, "not a number", "7");
        assert_eq!(task.outcome, Outcome::Error, "{task:?}");
        let hard = verdict_of(r#"{"math": {}}"#, "7", "\\boxed{9^{9^{9^9}}}");
        assert_eq!(hard.outcome, Outcome::Suspect, "{hard:?}");
        let counted =
            verdict_of(r#"{"behaviour": "backtracking"}"#, "", "Wait, that does not work. Let me try again now.");
        assert_eq!(counted.outcome, Outcome::Pass);
        assert!(counted.score.unwrap() > 10.0, "{counted:?}");
    }
}
