//! Answers, steps and the solver by hand, and over drawn instances.

use proptest::prelude::*;

use super::*;
use crate::seed::Seed;

#[test]
fn answers_are_checked_exactly() {
    let game = Countdown { numbers: vec![1, 3, 4, 6], target: 24 };
    assert_eq!(game.check("6/(1-3/4)"), Ok(()), "needs fractions");
    assert_eq!(game.check(" 6 ÷ (1 − 3/4) = 24"), Ok(()));
    assert!(matches!(game.check("6*4"), Err(AnswerError::Numbers { .. })));
    assert!(matches!(game.check("6*4*1*3"), Err(AnswerError::Value { .. })));
    assert!(matches!(game.check("6/(3-4+1)"), Err(AnswerError::Expression(ExpressionError::ByZero))));
    assert_eq!(game.check("1+3+4+6").unwrap_err().to_string(), "it is 14, not 24");
    assert_eq!(game.check("13+4+6").unwrap_err().to_string(), "it uses 13, 4, 6, not each of 1, 3, 4, 6 once");
}

#[test]
fn steps_take_two_numbers_and_put_one_back() {
    assert_eq!(step(&[2, 3, 7], "7 * 3"), Ok(vec![2, 21]));
    assert_eq!(step(&[2, 3, 7], "7-3 = 4"), Ok(vec![2, 4]));
    assert_eq!(step(&[2, 3], "2 - 3"), Err(StepError::Result { a: 2, sign: '-', b: 3 }));
    assert_eq!(step(&[2, 3], "3 / 2"), Err(StepError::Result { a: 3, sign: '/', b: 2 }));
    assert_eq!(step(&[2, 3], "2 + 2").unwrap_err().to_string(), "2 is not among 2, 3");
    for text in ["", "+", "2 +", "two + 3", "2 + 3 + 4", "é", "-"] {
        assert_eq!(step(&[2, 3], text), Err(StepError::Form), "{text:?}");
    }
    assert_eq!(
        steps(&[4, 2]),
        ["2 - 4"; 0].into_iter().chain(["4 + 2", "4 - 2", "4 * 2", "4 / 2"]).collect::<Vec<_>>()
    );
}

#[test]
fn the_solver_finds_what_is_there_and_nothing_else() {
    assert_eq!(solve(&[5], 5), Some(vec![]));
    let steps = solve(&[2, 3, 7], 42).unwrap();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(solve(&[1, 1, 1], 50), None);
    assert_eq!(solve(&[1, 3, 4, 6], 24), None, "only by fractions");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_instance_is_solvable_and_its_solution_is_right(seed in 0u64..) {
        let (game, solution) = Countdown::draw(&mut Seed(seed).stream(), Shape::default()).unwrap();
        prop_assert_eq!(game.check(&solution), Ok(()), "{} by {}", game, solution);
        let mut pool = game.numbers.clone();
        for text in game.solve().expect("brute force finds a solution") {
            pool = step(&pool, &text).unwrap();
        }
        prop_assert_eq!(pool, vec![game.target]);
        let back = Countdown::of_canonical(&game.canonical()).unwrap();
        prop_assert_eq!(back.canonical(), game.canonical());
        prop_assert_eq!(back.target, game.target);
    }

    #[test]
    fn no_text_breaks_the_rules(text in "[-+*/()0-9 =x÷é]{0,40}") {
        let game = Countdown { numbers: vec![2, 3, 7], target: 42 };
        let _verdict = (game.check(&text), step(&game.numbers, &text));
    }
}
