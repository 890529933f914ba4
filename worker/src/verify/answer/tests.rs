//! The checkers by example: what counts as the answer, what is a fault of the task, what is wrong.

use serde_json::json;

use super::*;
use crate::verify::math::TooLarge;
use crate::verify::math::Undecided;

fn right(judgement: Result<Judgement, CheckError>) -> bool {
    judgement.unwrap().right
}

#[test]
fn extraction_finds_the_last_box_with_balanced_braces() {
    let text = "so \\boxed{1}, no, \\boxed{\\frac{1}{2}} indeed";
    assert_eq!(Extract::Boxed.find(text), Some("\\frac{1}{2}"));
    assert_eq!(Extract::Boxed.find("\\boxed{\\{1,2\\}}"), Some("\\{1,2\\}"));
    assert_eq!(Extract::Boxed.find("\\boxed{1} and \\boxed{2"), Some("1"));
    assert_eq!(Extract::Boxed.find("boxed{1}"), None);
    assert_eq!(Extract::Boxed.find("\\boxed{}"), None);
}

#[test]
fn extraction_by_marks_phrases_and_lines() {
    assert_eq!(Extract::Hashes.find("6*7=42\n#### 42\n"), Some("42"));
    assert_eq!(Extract::Phrase.find("The answer is 7. No: the final answer is: **12**."), Some("12"));
    assert_eq!(Extract::Phrase.find("Answer: B\nbecause"), Some("B"));
    assert_eq!(Extract::Phrase.find("I cannot answer that"), None);
    assert_eq!(Extract::LastLine.find("a\nb\n\n"), Some("b"));
    assert_eq!(Extract::Whole.find("  a\nb "), Some("a\nb"));
    let found = find(&Extract::USUAL, "the answer is 3\n#### 4").unwrap();
    assert_eq!((found.text, found.way), ("4", Extract::Hashes));
    assert_eq!(find(&Extract::USUAL, " \n "), None);
}

#[test]
fn exact_follows_its_options() {
    let plain = Exact::default();
    assert!(right(plain.check("Paris", " Paris\n")));
    assert!(!right(plain.check("Paris", "paris")));
    assert!(!right(plain.check("Paris", "\"Paris.\"")));
    let loose = Exact { fold_case: true, strip_marks: true, ..Exact::default() };
    assert!(right(loose.check("Paris", "\"paris.\"")));
    let strict = Exact { trim: false, ..Exact::default() };
    assert!(!right(strict.check("Paris", "Paris ")));
    assert!(matches!(loose.check("...", "x"), Err(CheckError::Expected { .. })));
}

#[test]
fn numbers_are_read_in_all_their_forms() {
    for (text, value) in [
        ("42", 42.0),
        ("-3.5", -3.5),
        ("−3", -3.0),
        ("1,234,567.5", 1_234_567.5),
        ("$1,250", 1_250.0),
        ("-$5", -5.0),
        ("50%", 0.5),
        ("12.5\\%", 0.125),
        ("1e3", 1_000.0),
        ("2.5\\times 10^{-3}", 0.0025),
        ("3/4", 0.75),
        ("-\\frac{1}{2}", -0.5),
        ("x = 5 apples.", 5.0),
        ("10-3", 3.0),
    ] {
        assert_eq!(number(text, Which::Last), Some(value), "{text}");
    }
    assert_eq!(number("from 3 to 5", Which::First), Some(3.0));
    assert_eq!(number("from 3 to 5", Which::Last), Some(5.0));
    assert_eq!(number("none", Which::Last), None);
    assert_eq!(number("1/0", Which::Last), None);
}

#[test]
fn numeric_uses_tolerances_and_gsm8k_answers() {
    let numeric = Numeric::default();
    assert!(right(numeric.check("She has 6*7=42.\n#### 42", "6 times 7\n#### 42")));
    assert!(right(numeric.check("1,000", "The answer is $1000.")));
    assert!(right(numeric.check("0.5", "\\boxed{1/2}")));
    assert!(!right(numeric.check("42", "The answer is 41.")));
    let near = Numeric { absolute: 0.0, relative: 0.01, ..Numeric::default() };
    assert!(right(near.check("200", "202")));
    assert!(!right(near.check("200", "203")));
    assert_eq!(numeric.check("42", "I do not know").unwrap().reason, "the answer holds no number");
    assert!(matches!(numeric.check("many", "42"), Err(CheckError::Expected { .. })));
    let broken = Numeric { absolute: f64::NAN, ..Numeric::default() };
    assert!(matches!(broken.check("1", "1"), Err(CheckError::Option { option: "absolute", .. })));
}

#[test]
fn lists_compare_with_and_without_order() {
    let set = List::default();
    assert!(right(set.check("red, green", "Answer: {Green, red}")));
    assert!(!right(set.check("red, red", "red, green")));
    assert_eq!(set.check("red, green", "red").unwrap().reason, "1 elements where 2 are expected");
    let ordered = List { ordered: true, ..List::default() };
    assert!(!right(ordered.check("red, green", "green, red")));
    assert!(right(ordered.check("red, green", "[red, green]")));
    let numbers = List { separator: ";".to_owned(), element: Element::Numeric { tolerance: 1e-6 }, ..List::default() };
    assert!(right(numbers.check("1; 1/2", "0.5; 1.0")));
    assert!(!right(numbers.check("1; 2", "1; 3")));
    assert!(matches!(numbers.check("1; x", "1; 2"), Err(CheckError::Expected { .. })));
    assert!(matches!(set.check(" , ", "a"), Err(CheckError::Expected { .. })));
}

#[test]
fn choices_are_read_in_all_their_forms() {
    let choice = Choice::default();
    for text in [
        "B",
        "(B)",
        "B.",
        "b",
        "Answer: B",
        "The answer is (B).",
        "\\boxed{B}",
        "\\boxed{\\text{(B)}}",
        "**B**",
        "B) blue",
    ] {
        assert!(right(choice.check("B", text)), "{text}");
    }
    assert!(!right(choice.check("B", "C")));
    assert!(!right(choice.check("A", "A long story")));
    assert_eq!(choice.check("B", "B or C").unwrap().reason, "the answer is ambiguous: it names B C");
    assert_eq!(choice.check("B", "none of these").unwrap().reason, "the answer names no option");
    let options = Choice { options: vec!["red".to_owned(), "dark blue".to_owned()], ..Choice::default() };
    assert!(right(options.check("B", "the answer is dark blue.")));
    assert!(!right(options.check("B", "red")));
    assert!(!right(options.check("A", "red or dark blue")));
    assert!(matches!(options.check("C", "A"), Err(CheckError::Expected { .. })));
}

#[test]
fn patterns_match_or_capture() {
    let whole = Pattern::new("[01]+", Matching::Whole, None).unwrap();
    assert!(right(whole.check("", " 0110\n")));
    assert!(!right(whole.check("", "x0110")));
    let part = Pattern::new("<a>(?P<a>[^<]*)</a>", Matching::Search, Some("a")).unwrap();
    let seen = part.check("7", "<a>6</a> then <a> 7 </a>").unwrap();
    assert_eq!((seen.right, seen.read.as_str()), (true, " 7 "));
    assert!(!right(part.check("6", "<a>6</a> then <a>7</a>")));
    let wrong = |pattern, capture| Pattern::new(pattern, Matching::Search, capture);
    assert!(matches!(wrong("(", None), Err(CheckError::Option { option: "pattern", .. })));
    assert!(matches!(wrong("a", Some("1")), Err(CheckError::Option { option: "capture", .. })));
    assert!(matches!(wrong(r"(\w{1000}){1000}", None), Err(CheckError::Option { option: "pattern", .. })));
}

#[test]
fn schemas_allow_or_say_where_not() {
    let schema = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}});
    let checker = JsonSchema::new(&schema, false).unwrap();
    assert!(right(checker.check("", "{\"x\": 1}")));
    assert!(right(checker.check("", "Here:\n```json\n{\"x\": 1}\n```\nDone.")));
    assert!(right(checker.check("", "It is {\"x\": 1}, I think.")));
    assert!(checker.check("", "{\"x\": \"1\"}").unwrap().reason.starts_with("at /x: "));
    assert_eq!(checker.check("", "none").unwrap().reason, "the completion holds no JSON");
    let equal = JsonSchema::new(&schema, true).unwrap();
    assert!(right(equal.check("{\"x\":1}", "{ \"x\" : 1 }")));
    assert!(!right(equal.check("{\"x\":1}", "{\"x\": 2}")));
    assert!(matches!(equal.check("{", "{}"), Err(CheckError::Expected { .. })));
}

#[test]
fn schemas_that_leave_themselves_or_are_none_are_refused() {
    for schema in [
        json!({"$ref": "http://127.0.0.1:1/schema.json"}),
        json!({"properties": {"x": {"$ref": "file:///etc/hostname"}}}),
        json!({"type": 5}),
    ] {
        assert!(
            matches!(JsonSchema::new(&schema, false), Err(CheckError::Option { option: "schema", .. })),
            "{schema}"
        );
    }
    let local = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}});
    assert!(right(JsonSchema::new(&local, false).unwrap().check("", "5")));
}

#[test]
fn mathematics_says_whose_fault_it_is() {
    let math = Math::default();
    assert!(right(math.check("\\frac{1}{2}", "So we get \\boxed{0.5}.")));
    assert!(!right(math.check("\\frac{1}{2}", "\\boxed{0.4}")));
    assert!(!right(math.check("5", "\\boxed{1/0}")));
    assert!(!right(math.check("5", "\\boxed{\\foo}")));
    assert!(matches!(math.check("\\foo", "\\boxed{5}"), Err(CheckError::Expected { .. })));
    assert!(matches!(math.check("1/0", "\\boxed{\\foo}"), Err(CheckError::Expected { .. })));
    let too_large = math.check("5", "\\boxed{9^{9^{9^9}}}");
    let limit = Undecided::Unwieldy { side: crate::verify::math::Side::Answer, what: TooLarge::Magnitude };
    assert!(matches!(too_large, Err(CheckError::Undecided { source, .. }) if source == limit));
}

#[test]
fn a_long_completion_is_searched_in_linear_time() {
    let text = "\\boxed{ answer ".repeat(70_000);
    assert!(text.len() > 1_000_000);
    assert_eq!(Extract::Boxed.find(&text), None);
    assert_eq!(Extract::Phrase.find(&text), None);
}
