//! Styles and begun prompts over drawn task sets.

use proptest::prelude::*;

use super::*;
use crate::task::{Problem, TaskSetData, arithmetic::Expression, countdown};
use crate::trajectory::Outcome;

fn family(json: &str) -> Family {
    serde_json::from_str(json).unwrap()
}

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![
        Just(family("\"countdown_steps\"")),
        Just(family(r#"{"countdown_steps": {"count": [3, 3], "largest": 9, "target": 30}}"#)),
        Just(family(r#"{"countdown_steps": {"count": [2, 2], "largest": 9, "target": 30}}"#)),
        Just(family(r#"{"countdown_steps": {"count": [4, 4], "largest": 20, "target": 50}}"#)),
        Just(family(r#"{"countdown_steps": {"count": [3, 3], "largest": 20, "target": 60, "products": false}}"#)),
    ]
}

fn drawn(source: &Builtin, split: Split, seed: u64) -> Vec<Problem> {
    TaskSetData::generate(source, split, Seed(seed)).unwrap().problems().to_vec()
}

fn demonstrated(family: Family, style: Style, begun: Begun, seed: u64) -> Vec<Problem> {
    drawn(&Builtin { demonstrations: 10, style, begun, ..Builtin::of(family) }, Split::Demonstrations, seed)
}

fn count(answer: &str, word: &str) -> usize {
    answer.lines().filter(|line| *line == word).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn styles_pass_or_fail_as_they_say(family in families(), seed in 0u64..) {
        let [direct, search, wrong, filler] = [Style::Direct, Style::Search, Style::WrongSearch, Style::Filler]
            .map(|style| demonstrated(family, style, Begun::None, seed));
        let longest = family.longest().1 as usize;
        for (at, plain) in direct.iter().enumerate() {
            let (search, wrong, filler) = (&search[at], &wrong[at], &filler[at]);
            for right in [plain, search, filler] {
                prop_assert_eq!(family.verify(right, &right.answer).outcome, Outcome::Pass, "{}{}", right.prompt, right.answer);
                prop_assert_eq!(&right.prompt, &plain.prompt);
                prop_assert_eq!(family.read(&right.answer), Some(plain.answer.clone()));
                prop_assert!(right.answer.len() < longest, "{}", right.answer);
            }
            let verdict = family.verify(wrong, &wrong.answer);
            prop_assert!(verdict.outcome == Outcome::Fail && verdict.reason.contains("the working ends at"), "{}", verdict.reason);
            prop_assert_eq!(filler.answer.len(), search.answer.len());
            prop_assert!(filler.answer.contains('.') && !filler.answer.contains(UNDO) && !plain.answer.contains(UNDO));
            for text in [&search.answer, &wrong.answer] {
                prop_assert!((1..=3).contains(&count(text, UNDO)) && text.ends_with("\ncheck"), "{}", text);
            }
        }
        for (plain, wrong) in direct.iter().zip(demonstrated(family, Style::Wrong, Begun::None, seed)) {
            let verdict = family.verify(&wrong, &wrong.answer);
            prop_assert!(verdict.outcome == Outcome::Fail && verdict.reason.contains("the working ends at"), "{}", verdict.reason);
            prop_assert_eq!(&wrong.prompt, &plain.prompt);
            prop_assert!(!wrong.answer.contains(UNDO) && wrong.answer.lines().count() == plain.answer.lines().count());
        }
        let again = demonstrated(family, Style::Search, Begun::None, seed);
        prop_assert_eq!(again, search);
    }

    #[test]
    fn a_dead_end_that_is_played_is_taken_back_from_a_wrong_end(family in families(), seed in 0u64..) {
        let shown = |style| {
            let source = Builtin { demonstrations: 60, style, taken_back: TakenBack::WhenPlayed, ..Builtin::of(family) };
            (drawn(&source, Split::Demonstrations, seed), source.max_tokens() as usize)
        };
        let ((searches, most), (fillers, _)) = (shown(Style::Search), shown(Style::Filler));
        let (mut none, mut some) = (false, false);
        for (search, filler) in searches.iter().zip(&fillers) {
            prop_assert_eq!(family.verify(search, &search.answer).outcome, Outcome::Pass, "{}{}", search.prompt, search.answer);
            prop_assert_eq!(filler.answer.len(), search.answer.len());
            prop_assert!(search.answer.len() < most, "{}", search.answer);
            let (instance, mut working) = steps::of_prompt(&search.prompt).unwrap();
            let (mut before, mut played) = ("", 0);
            for text in search.answer.lines() {
                if text == UNDO && before != UNDO {
                    prop_assert!(working.pool().len() == 1 && working.pool() != [instance.target], "{}", search.answer);
                    played += 1;
                }
                working.line(text).unwrap();
                before = text;
            }
            prop_assert!(played <= 3, "{}", search.answer);
            none |= played == 0;
            some |= played > 0;
        }
        prop_assert!(none && some, "of {} searches a part is right at once", searches.len());
        for wrong in shown(Style::WrongSearch).0 {
            prop_assert_eq!(family.verify(&wrong, &wrong.answer).outcome, Outcome::Fail);
        }
    }

    #[test]
    fn styles_change_demonstrations_alone(family in families(), seed in 0u64..) {
        let of = |style| Builtin { train: 10, demonstrations: 5, style, ..Builtin::of(family) };
        prop_assert_eq!(
            drawn(&of(Style::Direct), Split::Train, seed), drawn(&of(Style::WrongSearch), Split::Train, seed)
        );
    }

    #[test]
    fn a_begun_search_is_lost_until_it_is_undone(family in families(), seed in 0u64.., style in 0usize..5) {
        let style = styles(family)[style];
        let most = most_begun(family).unwrap();
        for wrong in 1..=most {
            let plain = demonstrated(family, Style::Direct, Begun::None, seed);
            let begun = demonstrated(family, style, Begun::WrongSteps(wrong), seed);
            let (more_prompt, more_answer) = longest_begun(family);
            for (plain, begun) in plain.iter().zip(&begun) {
                prop_assert_eq!((&plain.key, &plain.canonical), (&begun.key, &begun.canonical));
                prop_assert!(begun.prompt.starts_with(&plain.prompt));
                let (instance, working) = steps::of_prompt(&begun.prompt).unwrap();
                prop_assert!((1..=most as usize).contains(&working.operations()));
                prop_assert_eq!(countdown::solution(working.pool(), instance.target), None, "{}", begun.prompt);
                let wanted = if [Style::Wrong, Style::WrongSearch].contains(&style) { Outcome::Fail } else { Outcome::Pass };
                prop_assert_eq!(family.verify(begun, &begun.answer).outcome, wanted, "{}{}", begun.prompt, begun.answer);
                prop_assert_eq!(family.verify(begun, &plain.answer).outcome, Outcome::Fail);
                let (prompt, answer) = family.longest();
                prop_assert!(begun.prompt.len() <= (prompt + more_prompt) as usize);
                prop_assert!(begun.answer.len() < (answer + more_answer) as usize);
            }
        }
    }

    #[test]
    fn a_begun_working_is_wrong_and_the_right_one_may_follow(
        seed in 0u64.., least in 2u32..=5, digits in 1u32..=6, products: bool,
    ) {
        let shape = arithmetic::Shape { count: (least, 6), digits: (1, digits), products };
        let family = Family::ArithmeticSteps(shape);
        for wrong in 1..least {
            let of = |begun| drawn(&Builtin { val: 5, begun, ..Builtin::of(family) }, Split::Val, seed);
            for (plain, begun) in of(Begun::None).iter().zip(&of(Begun::WrongSteps(wrong))) {
                prop_assert_eq!((&plain.key, &plain.canonical), (&begun.key, &begun.canonical));
                let lines: Vec<&str> = begun.prompt.strip_prefix(&plain.prompt).unwrap().trim().lines().collect();
                prop_assert_eq!(lines.len(), wrong as usize);
                let expression = Expression::parse(&plain.prompt[2..plain.prompt.len() - 3]).unwrap();
                let refused = expression.step(lines[0]);
                prop_assert!(refused.is_err() && !matches!(refused, Err(arithmetic::StepError::Form { .. })), "{}", begun.prompt);
                let verdict = family.verify(begun, &begun.answer);
                prop_assert!(verdict.outcome == Outcome::Pass && verdict.reason.ends_with("all lines are right"), "{}", verdict.reason);
                prop_assert_eq!(begun.answer.as_str(), plain.answer.trim_start());
                prop_assert!(begun.prompt.chars().all(|c| family.characters().contains(&c)), "{}", begun.prompt);
                prop_assert!(begun.prompt.len() <= (family.longest().0 + longest_begun(family).0) as usize, "{}", begun.prompt);
            }
        }
    }
}

#[test]
fn every_style_and_beginning_of_a_family_is_refused_or_shown() {
    for family in Family::ALL {
        assert!(styles(family).contains(&Style::Direct), "{family}");
        assert_eq!(longest_begun(family) == (0, 0), most_begun(family).is_none(), "{family}");
    }
}

#[test]
fn without_products_nothing_is_shown_that_has_one() {
    let sums = family(r#"{"countdown_steps": {"count": [3, 4], "largest": 30, "target": 90, "products": false}}"#);
    let shown = [Style::Direct, Style::Wrong, Style::Search, Style::WrongSearch]
        .into_iter()
        .flat_map(|style| demonstrated(sums, style, Begun::WrongSteps(1), 3))
        .flat_map(|problem| [problem.prompt, problem.answer]);
    let products = shown.filter(|text| text.contains(['*', '/'])).count();
    assert_eq!(products, 0);
}
