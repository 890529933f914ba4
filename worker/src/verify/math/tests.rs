//! Equivalence: its laws on random values, formats and texts, its limits, its options. The pairs of `tests/data/math_pairs.jsonl` are
//! checked in `tests/math_reference`.

use galapagos_domain::seed::Seed;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use super::*;

fn outcome(gold: &str, answer: &str) -> Outcome {
    equivalent(gold, answer, &Options::default()).outcome
}

#[test]
fn what_is_too_large_is_undecided_and_quick() {
    let long = "x".repeat(1_000_000);
    let unwieldy = |side, what| Outcome::Undecided(Undecided::Unwieldy { side, what });
    assert_eq!(outcome("5", &long), unwieldy(Side::Answer, TooLarge::Bytes));
    assert_eq!(outcome(&long, &long), unwieldy(Side::Gold, TooLarge::Bytes));
    assert_eq!(outcome("5", "9^9^9^9"), unwieldy(Side::Answer, TooLarge::Magnitude));
    assert_eq!(outcome("5", &"(".repeat(1_000)), unwieldy(Side::Answer, TooLarge::Depth));
    assert_eq!(outcome("5", &format!("5{}", "!".repeat(1_000))), unwieldy(Side::Answer, TooLarge::Depth));
    assert_eq!(outcome("5", &format!("1{}", "/1".repeat(700))), unwieldy(Side::Answer, TooLarge::Depth));
    assert_eq!(outcome("5", &format!("1{}", "±1".repeat(700))), unwieldy(Side::Answer, TooLarge::Depth));
    assert_eq!(outcome("5", &"1+".repeat(2_000)), unwieldy(Side::Answer, TooLarge::Tokens));
    assert_eq!(outcome("5", "1e9999999"), unwieldy(Side::Answer, TooLarge::Magnitude));
    let sines = format!("{}x", "\\sin(x)+".repeat(295));
    assert_eq!(outcome(&sines, "x"), Outcome::Different);
    assert_eq!(outcome(&format!("{sines}+0"), &sines), Outcome::Undecided(Undecided::TooLarge(TooLarge::Steps)));
}

#[test]
fn undefined_and_unreadable_name_the_side() {
    let undefined = |side| Outcome::Undecided(Undecided::Undefined { side, what: "a division by zero" });
    assert_eq!(outcome("1", "1/0"), undefined(Side::Answer));
    assert_eq!(outcome("1/(\\sqrt{2}^2-2)", "1"), undefined(Side::Gold));
    assert!(matches!(outcome("5", ""), Outcome::Undecided(Undecided::Unreadable { side: Side::Answer, .. })));
    assert!(matches!(outcome("5", "\\foo"), Outcome::Undecided(Undecided::Unreadable { side: Side::Answer, .. })));
}

#[test]
fn values_that_differ_late_are_told_apart() {
    let nines = |digit| format!("\\sqrt{{2}}+10^{{-60}}\\cdot\\pi\\cdot{digit}");
    assert_eq!(outcome(&nines(1), &nines(2)), Outcome::Different);
    assert_eq!(outcome("\\sin(10^{-90})", "\\sin(2\\cdot10^{-90})"), Outcome::Different);
    assert_eq!(outcome("\\frac{\\pi}{10^{400}}", "0"), Outcome::Different);
    assert_eq!(outcome("(10^{80}+\\pi)-10^{80}", "\\pi"), Outcome::Equal);
    assert_eq!(outcome("\\sqrt{2}^2-2", "0"), Outcome::Equal);
}

#[test]
fn units_count_as_the_option_says() {
    let with = |units, gold, answer| equivalent(gold, answer, &Options { units, ..Options::default() }).outcome;
    let (km, m) = ("1\\text{ km}", "1000\\text{ m}");
    assert_eq!(with(Units::Compare, km, m), Outcome::Equal);
    assert_eq!(with(Units::WhereGiven, km, m), Outcome::Equal);
    assert_eq!(with(Units::Drop, km, m), Outcome::Different);
    assert_eq!(with(Units::Drop, "5\\text{ km}", "5\\text{ m}"), Outcome::Equal);
    assert_eq!(with(Units::WhereGiven, "5\\text{ km}", "5\\text{ m}"), Outcome::Different);
    assert_eq!(with(Units::WhereGiven, "5\\text{ km}", "5"), Outcome::Equal);
    assert_eq!(with(Units::Compare, "5\\text{ km}", "5"), Outcome::Different);
    assert_eq!(with(Units::Compare, "50\\%", "0.5"), Outcome::Equal);
    assert_eq!(with(Units::Compare, "50\\%", "50"), Outcome::Different);
    assert_eq!(with(Units::Compare, "180^\\circ", "\\pi"), Outcome::Equal);
    assert_eq!(with(Units::Compare, "180^\\circ", "180"), Outcome::Different);
}

#[test]
fn rounded_decimals_stand_for_what_rounds_to_them_only_if_asked() {
    let with =
        |rounded_places, answer| equivalent("1/3", answer, &Options { rounded_places, ..Options::default() }).outcome;
    assert_eq!(with(Some(6), "0.333333"), Outcome::Equal);
    assert_eq!(with(Some(6), "0.333334"), Outcome::Different);
    assert_eq!(with(Some(2), "0.33"), Outcome::Equal);
    assert_eq!(with(None, "0.333333"), Outcome::Different);
}

#[test]
fn normal_forms_are_exact_where_they_can_be() {
    let seen = equivalent("(x-1)(x+1)", "\\frac{\\sqrt{2}}{2}", &Options::default());
    assert_eq!((seen.gold.as_str(), seen.answer.as_str()), ("x^2 - 1", "root(2, 2)/2"));
    assert_eq!(equivalent("2\\frac{1}{2}", "1", &Options::default()).gold, "5/2");
}

#[test]
fn the_seed_chooses_points_but_not_the_outcome() {
    for seed in 0..20 {
        let options = Options { seed: Seed(seed), ..Options::default() };
        assert_eq!(equivalent("\\sin 2x", "2\\sin x\\cos x", &options).outcome, Outcome::Equal);
        assert_eq!(equivalent("\\sqrt{x^2}", "x", &options).outcome, Outcome::Different);
    }
}

/// A value with a text of it in random notation.
fn arithmetic() -> impl Strategy<Value = (BigRational, String)> {
    let leaf = (-50i64..50, 1i64..12, 0..3u8).prop_map(|(over, under, style)| {
        let value = BigRational::new(BigInt::from(over), BigInt::from(under));
        let text = match style {
            0 => format!("({over}/{under})"),
            1 => format!("\\frac{{{over}}}{{{under}}}"),
            _ => format!("\\left( \\dfrac{{ {over} }}{{ {under} }} \\right)"),
        };
        (value, text)
    });
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), inner, 0..4u8).prop_map(|((a, left), (b, right), sign)| match sign {
            0 => (a + b, format!("({left}+{right})")),
            1 => (a - b, format!("({left} - {right})")),
            2 => (a * b, format!("{left}\\cdot {right}")),
            _ if b == BigRational::from_integer(0.into()) => (a, left),
            _ => (a / b, format!("\\frac{{{left}}}{{{right}}}")),
        })
    })
}

/// Pieces of notation.
const PIECES: &[&str] = &[
    "\\frac",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "1",
    "23",
    "0",
    ".5",
    "x",
    "y",
    "+",
    "-",
    "*",
    "/",
    "^",
    "_",
    "\\sqrt",
    "\\pi",
    "i",
    "e",
    ",",
    ";",
    "=",
    "<",
    "\\le",
    "\\cup",
    "\\infty",
    "|",
    "!",
    "%",
    "\\text{cm}",
    "\\text{ and }",
    "\\{",
    "\\}",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "\\sin",
    "\\log_2",
    "\\ln",
    "\\pm",
    "^\\circ",
    "$",
    " ",
    "abs",
    "'",
    "\\lfloor",
    "\\rfloor",
    "\\binom",
    "\\in",
    "\\mathbb{R}",
    "9^9^9",
    "\\overline{3}",
    "sqrt",
    "½",
    "²",
    "√",
    "\\circ",
    "cm",
];

/// Pieces of notation in any order.
fn soup() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

fn reversed(outcome: &Outcome) -> std::mem::Discriminant<Outcome> {
    std::mem::discriminant(outcome)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arithmetic_agrees_with_exact_rationals((value, text) in arithmetic(), off in 0i64..2) {
        let shifted = &value + BigRational::from_integer(off.into());
        let expected = if off == 0 { Outcome::Equal } else { Outcome::Different };
        prop_assert_eq!(outcome(&shifted.to_string(), &text), expected);
    }

    #[test]
    fn formatting_changes_nothing((_, text) in arithmetic()) {
        let other = text.replace("dfrac", "frac").replace("\\left", "").replace("\\right", "").replace(' ', "");
        prop_assert_eq!(outcome(&text, &other), Outcome::Equal);
        prop_assert_eq!(outcome(&other.replace('+', " + ").replace("\\frac", "\\tfrac "), &text), Outcome::Equal);
    }

    #[test]
    fn trailing_zeros_and_separators_change_nothing(whole in 0u64..10_000_000, part in 0u32..1_000) {
        let digits = whole.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        prop_assert_eq!(outcome(&format!("{whole}.{part:03}"), &format!("{grouped}.{part:03}000")), Outcome::Equal);
    }

    #[test]
    fn token_soups_are_reflexive_and_symmetric(a in soup(), b in soup()) {
        let (there, back) = (outcome(&a, &b), outcome(&b, &a));
        prop_assert_eq!(reversed(&there), reversed(&back), "{} and {}: {:?}, {:?}", a, b, there, back);
        let itself = outcome(&a, &a);
        let empty = a.trim().trim_matches(['$', ' ']).is_empty();
        let refused = matches!(itself, Outcome::Undecided(Undecided::Unwieldy { .. } | Undecided::Unreadable { .. }));
        prop_assert!(itself == Outcome::Equal || empty || refused, "{}: {:?}", a, itself);
    }

    #[test]
    fn random_texts_never_panic(a in "\\PC{0,60}", b in ".{0,60}") {
        outcome(&a, &b);
        outcome(&b, &b);
    }
}
