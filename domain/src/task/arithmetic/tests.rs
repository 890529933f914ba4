//! Lines of working by hand, and over random expressions.

use proptest::prelude::*;

use super::*;
use crate::seed::Seed;

#[test]
fn lines_are_checked_one_by_one() {
    assert_eq!(check_step("100 - 20 + 5", "100 - 20 = 80").unwrap(), "80 + 5");
    assert_eq!(check_step("80 + 5", " 80+5 = 85.").unwrap(), "85");
    assert_eq!(check_step("2 + 3 * 4", "3 * 4 = 12").unwrap(), "2 + 12");
    assert_eq!(check_step("9 + 3 - 4", "3 - 4 = -1").unwrap(), "9 + -1");
    assert_eq!(check_step("9 + -1", "9 + -1 = 8").unwrap(), "8");
    let early = [("100 - 20 + 5", "20 + 5 = 25"), ("2 + 3 * 4", "2 + 3 = 5"), ("2 * 3 - 4 - 5", "4 - 5 = -1")];
    for (expression, line) in early {
        assert!(matches!(check_step(expression, line), Err(StepError::Early { .. })), "{expression}: {line}");
    }
    assert_eq!(check_step("80 + 5", "80 + 5 = 86").unwrap_err().to_string(), "`80 + 5` is not 86");
    assert_eq!(check_step("80 + 5", "5 + 80 = 85").unwrap_err().to_string(), "`5 + 80` does not stand in `80 + 5`");
    for line in ["", "85", "80 + 5", "80 + 5 = x", "80 + 5 + 1 = 86", "= 85", "80 / 5 = 16", "é = 5"] {
        assert!(matches!(check_step("80 + 5", line), Err(StepError::Form { .. })), "{line:?}");
    }
}

#[test]
fn a_repeated_pair_is_found_where_it_may_be_computed() {
    assert_eq!(check_step("7 - 2 + 3 + 2 + 3", "2 + 3 = 5").unwrap(), "7 - 2 + 3 + 5");
}

#[test]
fn the_last_line_decides_and_the_working_is_told() {
    let answer = " 100 - 20 = 80\n80 + 5 = 85";
    let prompt = "Q: 100 - 20 + 5\nA:";
    let verdict = |text: &str| verify(answer, prompt, text);
    assert_eq!(verdict(answer).outcome, Outcome::Pass);
    assert!(verdict(answer).reason.ends_with("all lines are right"));
    let lucky = verdict(" 100 - 20 = 70\n80 + 5 = 85\n");
    assert_eq!((lucky.outcome, lucky.reason.contains("line 1: `100 - 20` is not 70")), (Outcome::Pass, true));
    assert_eq!(verdict(" 100 - 20 = 80\n80 + 5 = 86").outcome, Outcome::Fail);
    assert_eq!(verdict("85").outcome, Outcome::Pass);
    assert_eq!(verdict("").outcome, Outcome::Fail);
    assert_eq!(verdict(" eighty-five").outcome, Outcome::Fail);
}

#[test]
fn a_part_of_a_working_is_checked_line_by_line() {
    let checked = |text: &str| check_working("Q: 12 + 30 - 5\nA:", text).outcome;
    assert!(["", " 12 + 30 = 42\n", " 12 + 30 = 42\n42 - 5 = 37\n"].iter().all(|text| checked(text) == Outcome::Pass));
    assert!([" 12 + 30 = 43\n", " 30 - 5 = 25\n12 + 2 = 14\n"].iter().all(|text| checked(text) == Outcome::Fail));
}

#[test]
fn the_longest_working_is_that_of_the_largest_numbers() {
    assert_eq!(Shape::DEFAULT.longest(), (29, 70));
    let shape = |count, digits, products| Shape { count, digits, products }.longest();
    assert_eq!(shape((2, 2), (1, 1), false), (5, "9 + 9 = 18".len() as u32));
    assert_eq!(shape((2, 2), (1, 1), true), (5, "9 * 9 = 81".len() as u32));
    assert_eq!(shape((3, 3), (2, 2), false), (12, "99 + 99 = 198\n198 + 99 = 297".len() as u32));
    let out_of_range = Shape { count: (0, 90), ..Shape::DEFAULT };
    assert_eq!(out_of_range.longest(), Shape::DEFAULT.longest(), "where nothing can be drawn");
}

#[test]
fn reordered_terms_and_factors_have_one_form() {
    let form = |text: &str| Expression::parse(text).unwrap().canonical();
    assert_eq!(form("3 * 20 + 7 - 5"), form("7 - 5 + 20 * 3"));
    assert_ne!(form("7 - 5"), form("5 - 7"));
    assert_ne!(form("7 + 5"), form("7 * 5"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_working_is_right_and_reaches_the_value(seed in 0u64..) {
        let drawn = Expression::draw(&mut Seed(seed).stream(), Shape::default()).unwrap();
        let (lines, value) = drawn.worked().unwrap();
        prop_assert_eq!(lines.len(), drawn.lines_left());
        // An independent value: fold products first, then add.
        let (mut sum, mut term) = (0i64, drawn.numbers[0]);
        for (operator, number) in drawn.operators.iter().zip(&drawn.numbers[1..]) {
            match operator {
                Operator::Times => term *= number,
                Operator::Plus => { sum += term; term = *number; }
                Operator::Minus | Operator::Over => { sum += term; term = -number; }
            }
        }
        prop_assert_eq!(sum + term, value);
        prop_assert_eq!(Expression::parse(&drawn.to_string()).unwrap(), drawn);
    }

    #[test]
    fn any_allowed_line_keeps_the_value(seed in 0u64.., pick in 0usize..8) {
        let drawn = Expression::draw(&mut Seed(seed).stream(), Shape { count: (3, 6), ..Shape::default() }).unwrap();
        let (_, value) = drawn.worked().unwrap();
        let places: Vec<usize> = (0..drawn.operators.len()).filter(|at| drawn.is_next(*at)).collect();
        let at = places[pick % places.len()];
        let (a, operator, b) = (drawn.numbers[at], drawn.operators[at], drawn.numbers[at + 1]);
        let line = format!("{a} {} {b} = {}", operator.sign(), compute(a, operator, b).unwrap());
        prop_assert_eq!(drawn.step(&line).unwrap().worked().unwrap().1, value, "{} by {}", drawn, line);
    }

    #[test]
    fn no_text_breaks_the_checker(text in "[-+*/=0-9 é.]{0,30}") {
        let _verdict = check_step("12 + 30 * 2", &text);
    }
}
