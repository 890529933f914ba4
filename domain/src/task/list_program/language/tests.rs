//! The language by hand, and over random programs and texts.

use proptest::prelude::*;

use super::*;
use crate::seed::Seed;

fn run(text: &str, input: &[i64]) -> String {
    match Program::compile(text) {
        Ok(program) => program.run(input, Limits::default()).map_or_else(|e| e.to_string(), |value| value.to_string()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_stage_by_hand() {
    let input = [3, -2, 8, 3, 5];
    let cases = [
        ("map +2", "[5, 0, 10, 5, 7]"),
        ("map -2", "[1, -4, 6, 1, 3]"),
        ("map *-1", "[-3, 2, -8, -3, -5]"),
        ("map * 3", "[9, -6, 24, 9, 15]"),
        ("map square", "[9, 4, 64, 9, 25]"),
        ("filter >3", "[8, 5]"),
        ("filter < 3", "[-2]"),
        ("filter even", "[-2, 8]"),
        ("filter odd", "[3, 3, 5]"),
        ("sort", "[-2, 3, 3, 5, 8]"),
        ("reverse", "[5, 3, 8, -2, 3]"),
        ("take 2", "[3, -2]"),
        ("take 9", "[3, -2, 8, 3, 5]"),
        ("drop 3", "[3, 5]"),
        ("drop 9", "[]"),
        ("unique", "[3, -2, 8, 5]"),
        ("sums", "[3, 1, 9, 12, 17]"),
        ("take 2 | repeat 2", "[3, -2, 3, -2]"),
        ("repeat 0", "[]"),
        ("sum", "17"),
        ("max", "8"),
        ("min", "-2"),
        ("count", "5"),
        ("first", "3"),
        ("last", "5"),
        (" filter odd|map *2 |sum ", "22"),
    ];
    for (text, expected) in cases {
        assert_eq!(run(text, &input), expected, "{text}");
    }
}

#[test]
fn errors_name_the_stage() {
    assert_eq!(run("", &[1]), "the program is empty");
    assert_eq!(run("sort | shuffle", &[1]), "stage 2 is no stage: \"shuffle\"");
    assert_eq!(
        run("sort | sum | take 1", &[1]),
        "`sum` makes a number, so it must be the last stage; it is stage 2 of 3"
    );
    assert_eq!(run(&["sort"; 17].join("|"), &[1]), "17 stages; at most 16 are allowed");
    for text in ["map", "map 2", "take", "take -1", "take x", "sort 2", "filter", "filter 3", "| sort", "map +é"] {
        assert!(matches!(Program::compile(text), Err(CompileError::Stage { .. })), "{text:?}");
    }
    assert_eq!(run("drop 1 | max", &[1]), "`max` of an empty list");
    let squares = ["map square"; 7].join("|");
    assert_eq!(run(&squares, &[10]), "`map square` gives a number beyond 64 bits");
    assert_eq!(run("sum", &[i64::MAX, 1]), "`sum` gives a number beyond 64 bits");
    assert_eq!(run("map -9223372036854775808", &[1]), "stage 1 is no stage: \"map -9223372036854775808\"");
}

#[test]
fn growth_ends_at_the_limit_of_steps() {
    let text = ["repeat 9"; 8].join(" | ");
    assert_eq!(run(&text, &[1, 2]), "stopped at `repeat 9` after 10000 steps");
    assert_eq!(
        run("repeat 18446744073709551615", &[1, 2]),
        "stopped at `repeat 18446744073709551615` after 10000 steps"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn programs_read_back_as_they_are_written(seed in 0u64..) {
        let program = Program::draw(&mut Seed(seed).stream(), (1, 6), true);
        prop_assert_eq!(Program::compile(&program.to_string()).unwrap(), program);
    }

    #[test]
    fn no_text_and_no_list_breaks_the_interpreter(
        text in "((map [+*-]|take |drop |filter [<>]|repeat |sums|sum|é)[0-9]{0,20}[ |]){0,6}",
        input in proptest::collection::vec(any::<i64>(), 0..9),
    ) {
        let _result = run(&text, &input);
    }
}
