//! Whole data sets: splits that share nothing, the same whatever the order of rows; every refusal with its words.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::recipe::tasks::Split;
use crate::recipe::tasks::files::Files;

fn files(extra: Value) -> Files {
    let mut value = json!({"path": "sums.jsonl"});
    value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn rows(file: &str, cells: impl IntoIterator<Item = Value>) -> Vec<RawRow> {
    let file: Arc<str> = file.into();
    let row = |(number, cells): (u64, Value)| RawRow {
        file: Arc::clone(&file),
        number,
        cells: cells.as_object().unwrap().clone(),
    };
    (1..).zip(cells).map(row).collect()
}

fn sums(file: &str, numbers: impl IntoIterator<Item = u32>) -> Vec<RawRow> {
    rows(file, numbers.into_iter().map(|n| json!({"prompt": format!("{n} plus one is"), "answer": n + 1})))
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn alone(files: &Files, train: Vec<RawRow>) -> Result<parts::Assembled, DataFault> {
    let choice = choose(files, &names(&["sums.jsonl"]))?;
    assemble(files, &choice, Read { train, ..Read::default() })
}

#[test]
fn gsm8k_rows_become_questions_with_numbers_and_whole_solutions() {
    let files = files(json!({
        "path": "gsm8k", "columns": {"prompt": "question"}, "answer": "gsm8k", "template": "Q: {prompt}\nA:",
        "completion": " {solution}", "end": "token", "splits": {"val": 0.0, "test": 0.0},
    }));
    let solution = "Ada has 3 bags of 4 figs, so 3*4=<<3*4=12>>12.\n#### 1,012";
    let made =
        alone(&files, rows("train", [json!({"question": "How many figs has Ada?", "answer": solution})])).unwrap();
    let row = &made.train[0];
    assert_eq!((row.prompt.as_str(), row.answer.as_str()), ("Q: How many figs has Ada?\nA:", "1012"));
    assert_eq!(row.completion, format!(" {solution}"));
    assert_eq!(files.rule().name(), "numeric");
    let (data, given) = decode(&encode(&made.train), Split::Train, "gsm8k").unwrap();
    assert_eq!((data.problems()[0].key.as_str(), given[0].completion.as_str()), ("train/0", row.completion.as_str()));
    assert!(data.get(1).unwrap_err().to_string().contains("the train split of gsm8k holds 1 problems"));
    assert_eq!(decode(b"{}\n", Split::Val, "x").unwrap_err().line, 1);
}

#[test]
fn templates_reach_into_columns_and_plain_answers_are_their_own_solutions() {
    let files = files(json!({
        "columns": {"prompt": "q.text", "answer": "right"}, "template": "{prompt} {options.0} or {options.1}?",
        "splits": {"val": 0.0, "test": 0.0},
    }));
    let cells = json!({"q": {"text": "Red,"}, "options": ["yes", 2], "right": true});
    let made = alone(&files, rows("f", [cells])).unwrap();
    assert_eq!(made.train[0].prompt, "Red, yes or 2?");
    assert_eq!((made.train[0].answer.as_str(), made.train[0].completion.as_str()), ("true", "true"));
    let choice = choose(&files, &names(&["f"])).unwrap();
    assert_eq!(choice.columns, ["options.0", "options.1", "q.text", "right"]);
}

#[test]
fn what_cannot_be_used_says_where_and_what_would_be_right() {
    let plain = json!({});
    let cases = [
        (plain.clone(), json!({"question": "q", "answer": 1}), "columns", "f, row 1: there is no column `prompt`"),
        (plain.clone(), json!({"prompt": "q", "answer": null}), "columns", "f, row 1: column `answer` is empty"),
        (plain.clone(), json!({"prompt": "q", "answer": [1]}), "columns", "f, row 1: column `answer` is a list"),
        (
            plain.clone(),
            json!({"prompt": {}, "answer": 1}),
            "columns",
            "f, row 1: column `prompt` holds columns of its own",
        ),
        (plain.clone(), json!({"prompt": " ", "answer": 1}), "template", "f, row 1: the question is empty"),
        (
            plain.clone(),
            json!({"prompt": "q", "answer": " "}),
            "answer",
            "f, row 1: column `answer`: the answer is empty",
        ),
        (
            plain,
            json!({"prompt": "q", "answer": "1\n2"}),
            "end",
            "f, row 1: the solution holds '\\n', which ends completions",
        ),
        (
            json!({"answer": "gsm8k"}),
            json!({"prompt": "q", "answer": "4"}),
            "answer",
            "f, row 1: column `answer`: there is no `####` in \"4\"",
        ),
        (
            json!({"tests": "inputs", "columns": {"tests": "t"}}),
            json!({"prompt": "q", "answer": "4", "t": []}),
            "tests",
            "f, row 1: column `t`: there is no test",
        ),
    ];
    for (extra, cells, field, said) in cases {
        let fault = alone(&files(extra), rows("f", [cells])).unwrap_err();
        assert_eq!((fault.field, fault.to_string().as_str()), (field, said));
    }
    let fault = alone(&files(json!({})), rows("f", [json!({"question": "q", "answer": 1})])).unwrap_err();
    assert_eq!(fault.help, "columns that are there: `question`, `answer`; name the right one under `columns`");
}

#[test]
fn splits_are_found_by_name_and_shares_are_checked() {
    let choice = choose(&files(json!({})), &names(&["train", "validation", "test"])).unwrap();
    assert_eq!((choice.val, choice.test), (From::Named("validation".to_owned()), From::Named("test".to_owned())));
    let choice = choose(&files(json!({})), &names(&["train", "test"])).unwrap();
    assert_eq!(choice.val, From::Share(0.1));
    assert_eq!(choose(&files(json!({})), &names(&["all"])).unwrap().train, "all");
    for (extra, field, said) in [
        (json!({}), "splits", "no split is called `train`"),
        (json!({"splits": {"train": "c"}}), "splits", "there is no split or file `c`"),
        (json!({"splits": {"train": 0.8}}), "splits", "`train` is a share"),
        (
            json!({"splits": {"train": "a", "val": 0.5, "test": 0.5}}),
            "splits",
            "the shares of `val` and `test` are 0.5 and 0.5",
        ),
        (json!({"splits": {"train": "a"}, "tests": "calls"}), "tests", "no column of tests is named"),
        (
            json!({"splits": {"train": "a"}, "columns": {"tests": "t"}}),
            "tests",
            "what the column `t` holds is not said",
        ),
        (
            json!({"splits": {"train": "a"}, "template": "{"}),
            "template",
            "\"{\" has a brace without its fellow, or an empty name",
        ),
    ] {
        let fault = choose(&files(extra), &names(&["a", "b"])).unwrap_err();
        assert_eq!((fault.field, fault.to_string().as_str()), (field, said));
    }
    let none = alone(&files(json!({"shots": 9})), sums("f", 0..4)).unwrap_err().to_string();
    assert!(none.starts_with("9 solved examples are asked for, and there are "), "{none}");
}

#[test]
fn a_copy_in_another_file_is_refused_and_a_near_one_counted() {
    let files = files(json!({"splits": {"val": 0.0}}));
    let choice = choose(&files, &names(&["train", "test"])).unwrap();
    let long = |word: &str| json!({"prompt": format!("a b c d e f g h i j k l m n o p {word}"), "answer": 1});
    let read = |test: Value| Read {
        train: rows("train.jsonl", [long("x"), json!({"prompt": "Two  plus TWO", "answer": 4})]),
        val: Vec::new(),
        test: rows("test.jsonl", [json!({"prompt": "one", "answer": 1}), test]),
    };
    let near = assemble(&files, &choice, read(long("y"))).unwrap();
    assert_eq!(near.notes, Notes { near_test: 1, ..Notes::default() });
    let copy = assemble(&files, &choice, read(json!({"prompt": "two plus two", "answer": 4}))).unwrap_err();
    assert_eq!(
        copy.to_string(),
        "1 prompts of `test` are those of rows of another split; the first is test.jsonl, row 2, the same as train.jsonl, row 2"
    );
}

#[test]
fn solved_examples_leave_the_training_rows_and_count_in_lengths() {
    let files = files(json!({"shots": 2, "end": "#", "splits": {"val": 0.0, "test": 0.0}}));
    let made = alone(&files, sums("f", (0..6).chain([3]))).unwrap();
    assert_eq!((made.shots.len(), made.notes.repeated), (2, 1));
    assert!(made.train.iter().all(|row| !made.shots.contains(row)));
    let prefix: String = made.shots.iter().map(|shot| solved(&files, &shot.prompt, &shot.completion)).collect();
    assert_eq!(made.longest.prefix as usize, prefix.chars().count());
    assert!(prefix.ends_with("#\n") && made.characters.contains('\n'), "{prefix}");
    assert_eq!((made.longest.prompt, made.longest.completion), (13, 1));
}

proptest! {
    #[test]
    fn shares_of_one_file_share_no_prompt_and_do_not_depend_on_the_order(
        numbers in proptest::collection::vec(0u32..60, 30..80), turn in 0usize..30, shots in 0u32..3,
    ) {
        let files = files(json!({"splits": {"val": 0.2, "test": 0.2}, "shots": shots}));
        let Ok(made) = alone(&files, sums("f", numbers.clone())) else { return Ok(()) };
        let prompts = |rows: &[Row]| rows.iter().map(|row| row.prompt.clone()).collect::<BTreeSet<_>>();
        let parts = [&made.train, &made.val, &made.test, &made.shots].map(|part| prompts(part));
        let different: BTreeSet<u32> = numbers.iter().copied().collect();
        prop_assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), different.len());
        let mut turned = numbers;
        turned.rotate_left(turn);
        let again = alone(&files, sums("f", turned)).unwrap();
        prop_assert_eq!([&again.train, &again.val, &again.test, &again.shots].map(|part| prompts(part)), parts);
    }

    #[test]
    fn kept_rows_come_back(prompts in proptest::collection::vec("\\PC*[a-z]\\PC*", 0..8)) {
        let row = |prompt: String| Row { id: "i".to_owned(), answer: prompt.clone(), completion: " \u{2028}x".to_owned(), prompt, tests: None };
        let rows: Vec<Row> = prompts.into_iter().map(row).collect();
        let (data, given) = decode(&encode(&rows), Split::Val, "x").unwrap();
        prop_assert_eq!(data.problems().len(), rows.len());
        for ((problem, given), row) in data.problems().iter().zip(given).zip(&rows) {
            prop_assert_eq!((&problem.prompt, &problem.answer, &given.completion), (&row.prompt, &row.answer, &row.completion));
        }
    }
}
