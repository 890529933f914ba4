//! Data sets and tests of programs in a recipe: broken once on purpose, and what was read survives the filled-in form.

use super::QUICKSTART;
use crate::artifact::ArtifactRef;
use crate::ids::Digest;
use crate::recipe::Recipe;
use crate::recipe::diagnostic::Diagnostics;
use crate::recipe::tasks::files::{Longest, RowCounts, Stored};
use crate::recipe::tasks::{Split, TaskSet};

const NUMBERS: &str = "numbers: {builtin: {family: largest_of_five, train: 400, val: 200, test: 200, shots: 4}}";

/// The quickstart with `numbers` from files that hold 400, 200 and 200 rows.
fn parse(files: &str) -> Result<Recipe, Diagnostics> {
    parse_text(&QUICKSTART.replacen(NUMBERS, &format!("numbers: {{files: {{{files}}}}}"), 1))
}

fn parse_text(text: &str) -> Result<Recipe, Diagnostics> {
    parse_stored(text, &|name| Err(format!("no file {name}")))
}

/// A recipe whose files are read: of each 400, 200 and 200 rows, or as many as it says.
pub(super) fn parse_stored(text: &str, load: &dyn Fn(&str) -> Result<String, String>) -> Result<Recipe, Diagnostics> {
    let mut fill = |recipe: &mut Recipe| {
        for set in recipe.tasks.values_mut() {
            if let TaskSet::Files(files) = set {
                let part = |rows: u64| ArtifactRef { digest: Digest::of(&rows.to_le_bytes()), bytes: 9, rows };
                let longest = Longest { prompt: 20, completion: 8, prefix: 60 };
                let characters = "0123456789".to_owned();
                let rows = files.rows.unwrap_or(RowCounts { train: 400, val: 200, test: 200 });
                let [train, val, test] = [rows.train, rows.val, rows.test].map(|rows| part(rows.into()));
                files.stored = Some(Stored { test, shots: part(4), longest, characters, train, val });
            }
        }
        Vec::new()
    };
    Recipe::parse_filled("my.yaml", text, load, &mut fill)
}

#[test]
fn what_was_read_is_part_of_the_recipe_and_of_its_digest() {
    let recipe = parse("path: sums.jsonl, end: token, shots: 4, answer: gsm8k").unwrap_or_else(|e| panic!("{e}"));
    let yaml = recipe.to_yaml();
    let again =
        Recipe::parse("again.yaml", &yaml, &|_| Err("none".to_owned())).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    assert_eq!((again.digest(), &again), (recipe.digest(), &recipe));
    let mut other = recipe.clone();
    let set = other.tasks.values_mut().find_map(|set| match set {
        TaskSet::Files(files) => files.stored.as_mut(),
        TaskSet::Builtin(_) | TaskSet::Env(_) => None,
    });
    set.unwrap().test.digest = Digest::of(b"other rows");
    assert_ne!(other.digest(), recipe.digest());
    let set = recipe.tasks.values().find(|set| set.word() == "files").unwrap();
    assert_eq!((set.size(Split::Demonstrations), set.size(Split::Val), set.max_tokens()), (400, 200, 9));
    assert_eq!((set.terminator(), set.longest_sequence()), (None, 60 + 20 + 9));
}

#[test]
fn each_broken_rule_of_a_data_set_names_its_place_and_the_way_out() {
    let cases = [
        ("", "tasks.numbers.files", "missing field `path`"),
        ("path: a, end: x", "tasks.numbers.files.end", "or `line`, or `token`"),
        ("path: a, end: stop", "tasks.numbers.files.end", "write `line`, `token` or one character"),
        ("path: a, max_tokens: 0", "tasks.numbers.files.max_tokens", "from 1"),
        ("path: a, splits: {val: 2}", "tasks.numbers.files.splits.val", "from 0 to 1"),
        ("path: a, splits: {val: [1]}", "tasks.numbers.files.splits.val", "has no meaning here"),
        ("path: a, shots: 40", "tasks.numbers.files.shots", "from 0 to 32"),
        ("path: a, rule: self_log_prob", "tasks.numbers.files.rule", "use exact, numeric"),
        ("path: a, rule: rule", "tasks.numbers.files.rule", "does not compare an answer"),
        ("path: a, rule: {unit_tests: {}}", "tasks.numbers.files.rule", "`tests: asserts`"),
        ("path: a, rule: {numeric: {relative: 2}}", "tasks.numbers.files.rule.numeric.relative", "from 0 to 1"),
        ("path: a, answer: gsm8", "tasks.numbers.files.answer", "did you mean `gsm8k`?"),
        ("path: a, tests: [1]", "tasks.numbers.files.tests", "expected one of asserts, inputs, calls"),
    ];
    for (files, place, way_out) in cases {
        let message = parse(files).map(|_| String::new()).unwrap_or_else(|e| e.to_string());
        assert!(
            message.contains(place) && message.contains(way_out),
            "{files}: want {place:?} and {way_out:?} in\n{message}"
        );
    }
}

#[test]
fn a_data_set_that_nobody_read_is_refused() {
    let text = QUICKSTART.replacen(NUMBERS, "numbers: {files: {path: sums.jsonl}}", 1);
    let message = Recipe::parse("my.yaml", &text, &|_| Err("none".to_owned())).unwrap_err().to_string();
    assert!(message.contains("the rows of `sums.jsonl` have not been read"), "{message}");
    assert!(message.contains("`galapagos run` or `galapagos submit`"), "{message}");
}

#[test]
fn unit_tests_need_tasks_that_bring_some() {
    let with = |files: &str, seconds: &str| {
        let text = QUICKSTART.replacen(NUMBERS, &format!("numbers: {{files: {{{files}}}}}"), 1);
        let text = text.replacen("tasks: {numbers: 200, words: 200}", "tasks: {numbers: 200}", 1);
        parse_text(&text.replacen("verify: [rule]", &format!("verify: [{{unit_tests: {{{seconds}}}}}]"), 1))
    };
    let tested = "path: a, tests: asserts, columns: {tests: t}, rule: {unit_tests: {}}";
    let recipe = with(tested, "").unwrap_or_else(|e| panic!("{e}"));
    assert!(recipe.tasks.values().any(|set| set.has_tests() && set.rule().runs_code()));
    let message = with("path: a", "").unwrap_err().to_string();
    assert!(message.contains("`unit_tests` needs tests, and the tasks `numbers` bring none"), "{message}");
    for (given, place) in
        [("seconds: 0", "unit_tests.seconds"), ("seconds: 9, all_seconds: 8", "unit_tests.all_seconds")]
    {
        let message = with(tested, given).unwrap_err().to_string();
        assert!(message.contains(place), "{given}: {message}");
    }
}
