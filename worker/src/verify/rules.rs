//! Symbolic rules on what a policy wrote: which of them are broken, by their names. Pure; a rule that cannot be read is the recipe's
//! fault and makes the verdict an error.

use galapagos_domain::recipe::verify::{Equations, Must, Rules};
use galapagos_domain::trajectory::{Outcome, Verdict};
use regex::RegexBuilder;

use super::math::{self, Options};

/// Largest compiled expression, in bytes.
const MAX_EXPRESSION: usize = 1 << 20;

/// Broken rules that a reason names.
const NAMED: usize = 12;

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
struct Written<'a> {
    text: &'a str,
    steps: &'a [String],
}

/// The verdict on an answer and its steps: the score is the weighted share of rules kept, and it passes from `pass_at` on. The reason
/// names the rules that are broken.
#[must_use]
pub fn judge(rules: &Rules, answer: &str, steps: &[String]) -> Verdict {
    let written = Written { text: answer, steps };
    let (mut kept, mut all, mut broken) = (0.0, 0.0, Vec::new());
    for rule in &rules.list {
        all += rule.weight;
        match keeps(&rule.must, written) {
            Ok(true) => kept += rule.weight,
            Ok(false) => broken.push(rule.id.as_str()),
            Err(problem) => {
                return Verdict::new(Outcome::Error, format!("the rule {} cannot be read: {problem}", rule.id)).by(BY);
            }
        }
    }
    let score = if all > 0.0 { kept / all } else { 1.0 };
    let more = broken.len().saturating_sub(NAMED);
    let named = broken.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let reason = match (broken.len(), more) {
        (0, _) => format!("keeps all {} rules", rules.list.len()),
        (_, 0) => format!("breaks {named}"),
        (_, more) => format!("breaks {named} and {more} more"),
    };
    // Sums of weights are not exact.
    let pass = broken.is_empty() || score >= rules.pass_at - 1e-9;
    let verdict = if pass { Verdict::pass(reason) } else { Verdict::fail(reason) };
    verdict.scored(score as f32).by(BY)
}

const BY: &str = "rules/1";

fn keeps(must: &Must, written: Written<'_>) -> Result<bool, String> {
    let words = || written.text.split_whitespace().count();
    let alone = |step: &String, must: &Must| keeps(must, Written { text: step, steps: std::slice::from_ref(step) });
    Ok(match must {
        Must::Match(expression) => {
            let compiled = RegexBuilder::new(expression).size_limit(MAX_EXPRESSION).build();
            compiled.map_err(|error| error.to_string())?.is_match(written.text)
        }
        Must::Contain(text) => written.text.contains(text.as_str()),
        Must::MinWords(least) => words() >= *least as usize,
        Must::MaxWords(most) => words() <= *most as usize,
        Must::MinSteps(least) => written.steps.len() >= *least as usize,
        Must::MaxSteps(most) => written.steps.len() <= *most as usize,
        Must::Equations(Equations::Hold) => written.text.lines().all(holds),
        Must::Not(inner) => !keeps(inner, written)?,
        Must::All(several) => each(several.iter().map(|inner| keeps(inner, written)))?,
        Must::Any(several) => {
            let mut one = false;
            for inner in several {
                one |= keeps(inner, written)?;
            }
            one
        }
        Must::EveryStep(inner) => each(written.steps.iter().map(|step| alone(step, inner)))?,
        Must::FirstStep(inner) => written.steps.first().map_or(Ok(false), |step| alone(step, inner))?,
        Must::LastStep(inner) => written.steps.last().map_or(Ok(false), |step| alone(step, inner))?,
    })
}

/// Whether all are true; an error anywhere is one, whatever stands before it.
fn each(several: impl Iterator<Item = Result<bool, String>>) -> Result<bool, String> {
    let mut all = true;
    for one in several {
        all &= one?;
    }
    Ok(all)
}

/// Whether a line is no equation between numbers, or a true one. What cannot be decided counts as true.
fn holds(line: &str) -> bool {
    let arithmetic = |side: &str| {
        let numeric = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+-*/().,^×÷·−".contains(c);
        side.chars().all(numeric) && side.contains(|c: char| c.is_ascii_digit())
    };
    let sides: Vec<&str> = line.trim().trim_end_matches('.').split('=').map(str::trim).collect();
    if sides.len() < 2 || !sides.iter().all(|side| arithmetic(side)) {
        return true;
    }
    let same = |pair: &[&str]| {
        !matches!(math::equivalent(pair[0], pair[1], &Options::default()).outcome, math::Outcome::Different)
    };
    sides.windows(2).all(same)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(text: &str) -> Rules {
        serde_json::from_str(text).unwrap()
    }

    fn verdict(must: &str, steps: &[&str]) -> Verdict {
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        judge(&rules(&format!(r#"[{{"id": "R1", "must": {must}}}]"#)), &steps.concat(), &steps)
    }

    #[test]
    fn every_requirement_is_kept_and_broken() {
        let cases: [(&str, &[&str], &[&str]); 16] = [
            (r#"{"match": "^a+$"}"#, &["aaa"], &["aab"]),
            (r#"{"contain": "so"}"#, &["and so on"], &["and on"]),
            (r#"{"min_words": 3}"#, &["a b  c"], &["a b"]),
            (r#"{"max_words": 2}"#, &["a b"], &["a b\nc"]),
            (r#"{"min_steps": 2}"#, &["a", "b"], &["a b"]),
            (r#"{"max_steps": 1}"#, &["a b"], &["a", "b"]),
            (r#"{"equations": "hold"}"#, &["2 + 3 = 5\n", "5 * 2 = 10."], &["2 + 3 = 5\n", "5 * 2 = 11"]),
            (r#"{"equations": "hold"}"#, &["x = 3, or so", "\n1/3 = 2/6 = 3/9"], &["1/3 = 2/6 = 4/9"]),
            (r#"{"not": {"contain": "x"}}"#, &["y"], &["x"]),
            (r#"{"all": [{"contain": "x"}, {"contain": "y"}]}"#, &["xy"], &["x"]),
            (r#"{"any": [{"contain": "x"}, {"contain": "y"}]}"#, &["y"], &["z"]),
            (r#"{"every_step": {"max_words": 1}}"#, &["a ", "b"], &["a ", "b c"]),
            (r#"{"every_step": {"max_steps": 1}}"#, &["a", "b"], &["never"; 0]),
            (r#"{"first_step": {"contain": "a"}}"#, &["a", "b"], &["b", "a"]),
            (r#"{"last_step": {"contain": "a"}}"#, &["b", "a"], &["a", "b"]),
            (r#"{"not": {"every_step": {"equations": "hold"}}}"#, &["1 = 2\n", "3 = 3"], &["2 = 2"]),
        ];
        for (must, keeps, breaks) in cases {
            let (kept, broken) = (verdict(must, keeps), verdict(must, breaks));
            assert_eq!((kept.outcome, kept.score), (Outcome::Pass, Some(1.0)), "{must} {keeps:?}");
            if !breaks.is_empty() {
                assert_eq!((broken.outcome, broken.score), (Outcome::Fail, Some(0.0)), "{must} {breaks:?}");
                assert_eq!(broken.reason, "breaks R1");
            }
        }
    }

    #[test]
    fn the_reason_names_what_is_broken_and_the_score_is_the_weighted_share() {
        let list = r#"[{"id": "short", "must": {"max_words": 2}, "weight": 3}, {"id": "kind", "must": {"contain": "please"}},
                       {"id": "no-x", "must": {"not": {"contain": "x"}}}]"#;
        let all = judge(&rules(list), "x y", &[]);
        assert_eq!((all.outcome, all.score, all.reason.as_str()), (Outcome::Fail, Some(0.6), "breaks kind, no-x"));
        assert_eq!(all.verifier, "rules/1");
        let most = judge(&rules(&format!(r#"{{"list": {list}, "pass_at": 0.6}}"#)), "x y", &[]);
        assert_eq!((most.outcome, most.reason.as_str()), (Outcome::Pass, "breaks kind, no-x"));
        assert_eq!(judge(&rules(list), "please", &[]).reason, "keeps all 3 rules");
        let many: Vec<String> = (0..20).map(|n| format!(r#"{{"id": "R{n}", "must": {{"contain": "x"}}}}"#)).collect();
        let many = judge(&rules(&format!("[{}]", many.join(","))), "", &[]);
        assert!(many.reason.ends_with("R11 and 8 more"), "{}", many.reason);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_an_error_and_no_fail() {
        for must in
            [r#"{"match": "("}"#, r#"{"any": [{"contain": "a"}, {"match": "("}]}"#, r#"{"match": "(a{999}){999}"}"#]
        {
            let broken = verdict(must, &["a"]);
            assert_eq!((broken.outcome, broken.score), (Outcome::Error, None), "{must}");
            assert!(broken.reason.starts_with("the rule R1 cannot be read: "), "{}", broken.reason);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_sums_hold_as_they_are_computed(text in "[0-9a+*/=. \n-]{0,40}", a in 0u32..999, b in 0u32..999) {
            let hold = rules(r#"[{"id": "E", "must": {"equations": "hold"}}, {"id": "M", "must": {"every_step": {"match": "a"}}}]"#);
            let steps: Vec<String> = text.lines().map(str::to_owned).collect();
            prop_assert!(judge(&hold, &text, &steps).outcome.is_decided());
            let sum = |c: u32| format!("{a} + {b} = {c}");
            let (right, wrong) = (holds(&sum(a + b)), holds(&sum(a + b + 1)));
            prop_assert!(right && !wrong);
        }
    }
}
