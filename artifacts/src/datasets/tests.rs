//! The same rows through every way of writing them, and every refusal of a file with its words. The folders are laid out as `datasets`
//! 2 to 4 lays them out (`state.json`, `dataset_dict.json`, `data/train-00000-of-00002.parquet`); its own Python is not asked here.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray, types::Int32Type};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::tasks::files::Files;
use galapagos_domain::task::dataset::Row;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn files(value: Value) -> Files {
    serde_json::from_value(value).unwrap()
}

/// Prompts and answers, in batches of three rows.
fn batches(rows: &[(String, i64)]) -> Vec<RecordBatch> {
    let batch = |rows: &[(String, i64)]| {
        let prompts = StringArray::from_iter_values(rows.iter().map(|(prompt, _)| prompt));
        let answers = Int64Array::from_iter_values(rows.iter().map(|(_, answer)| *answer));
        let columns: [(&str, ArrayRef); 2] = [("prompt", Arc::new(prompts)), ("answer", Arc::new(answers))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    rows.chunks(3).map(batch).collect()
}

fn write_parquet(path: &Path, batches: &[RecordBatch]) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn write_stream(path: &Path, batches: &[RecordBatch]) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = StreamWriter::try_new(file, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
}

fn write_jsonl(path: &Path, rows: &[(String, i64)]) {
    let line = |(prompt, answer): &(String, i64)| format!("{}\n", json!({"prompt": prompt, "answer": answer}));
    std::fs::write(path, rows.iter().map(line).collect::<String>()).unwrap();
}

fn sums(numbers: std::ops::Range<i64>) -> Vec<(String, i64)> {
    numbers.map(|n| (format!("{n} plus one"), n + 1)).collect()
}

fn all(made: &Assembled) -> Vec<&Row> {
    made.train.iter().chain(&made.val).chain(&made.test).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_format_the_same_rows_come_out(
        prompts in proptest::collection::vec(("\\PC{0,12}[a-z0-9]\\PC{0,12}", any::<i64>()), 1..20)
    ) {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_jsonl(&at("a.jsonl"), &prompts);
        let list: Vec<Value> = prompts.iter().map(|(prompt, answer)| json!({"prompt": prompt, "answer": answer})).collect();
        std::fs::write(at("a.json"), serde_json::to_string_pretty(&list).unwrap()).unwrap();
        let batches = batches(&prompts);
        write_parquet(&at("a.parquet"), &batches);
        write_stream(&at("a.arrow"), &batches);
        let mut writer = FileWriter::try_new(std::fs::File::create(at("b.arrow")).unwrap(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        let read = |name: &str| {
            let files = files(json!({"path": name, "splits": {"val": 0.0, "test": 0.0}, "end": "token"}));
            load(&files, folder.path()).unwrap()
        };
        let lines = read("a.jsonl");
        prop_assert_eq!(lines.train.len(), prompts.len());
        for (row, (prompt, answer)) in lines.train.iter().zip(&prompts) {
            prop_assert_eq!((&row.prompt, &row.answer), (prompt, &answer.to_string()));
        }
        for name in ["a.json", "a.parquet", "a.arrow", "b.arrow"] {
            prop_assert_eq!(&read(name), &lines, "{}", name);
        }
    }
}

#[test]
fn a_folder_that_was_saved_and_one_that_was_downloaded_give_the_same() {
    let folder = TempDir::new().unwrap();
    let (train, test) = (sums(0..40), sums(40..50));
    let saved = folder.path().join("saved");
    for (split, rows) in [("train", &train), ("test", &test)] {
        let at = saved.join(split);
        std::fs::create_dir_all(&at).unwrap();
        let (first, second) = rows.split_at(rows.len() / 2);
        write_stream(&at.join("data-00000-of-00002.arrow"), &batches(first));
        write_stream(&at.join("data-00001-of-00002.arrow"), &batches(second));
        let names = [0, 1].map(|n| json!({"filename": format!("data-0000{n}-of-00002.arrow")}));
        let state = json!({"_data_files": names, "_fingerprint": "f", "_indices_data_files": null, "_split": split});
        std::fs::write(at.join("state.json"), state.to_string()).unwrap();
        std::fs::write(at.join("dataset_info.json"), "{}").unwrap();
    }
    std::fs::write(saved.join("dataset_dict.json"), json!({"splits": ["train", "test"]}).to_string()).unwrap();
    let data = folder.path().join("downloaded/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(folder.path().join("downloaded/dataset_infos.json"), "{}").unwrap();
    write_parquet(&data.join("train-00000-of-00002.parquet"), &batches(&train[..7]));
    write_parquet(&data.join("train-00001-of-00002.parquet"), &batches(&train[7..]));
    write_parquet(&data.join("test-00000-of-00001.parquet"), &batches(&test));
    let plain = folder.path().join("plain");
    std::fs::create_dir_all(&plain).unwrap();
    write_jsonl(&plain.join("sums-train.jsonl"), &train);
    write_jsonl(&plain.join("test.jsonl"), &test);
    let read = |name: &str| load(&files(json!({"path": name})), folder.path()).unwrap();
    let made = read("saved");
    assert_eq!((made.test.len(), all(&made).len()), (10, 50));
    assert!(!made.val.is_empty() && made.val.len() < 15, "a tenth of the training rows: {}", made.val.len());
    assert_eq!(read("downloaded"), made);
    assert_eq!(read("plain"), made);
    let one = load(&files(json!({"path": "saved/train", "splits": {"val": 0.0, "test": 0.0}})), folder.path()).unwrap();
    assert_eq!(one.train.len(), 40);
}

#[test]
fn columns_within_columns_and_lists_are_read() {
    let folder = TempDir::new().unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["Two plus two?", "One plus one?"]));
    let inner = StructArray::try_from(vec![("text", texts)]).unwrap();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(4), Some(5)]), Some([Some(2), Some(3)])]);
    let columns: [(&str, ArrayRef); 2] = [("question", Arc::new(inner)), ("options", Arc::new(lists))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write_parquet(&folder.path().join("train.parquet"), &[batch]);
    let files = files(json!({
        "path": "train.parquet", "columns": {"prompt": "question.text", "answer": "options.0"},
        "splits": {"val": 0.0, "test": 0.0},
    }));
    let made = load(&files, folder.path()).unwrap();
    let read: Vec<_> = made.train.iter().map(|row| (row.prompt.as_str(), row.answer.as_str())).collect();
    assert_eq!(read, [("Two plus two?", "4"), ("One plus one?", "2")]);
}

#[test]
fn what_cannot_be_read_names_the_file_and_the_row() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("bad.jsonl"), "{\"prompt\": \"q\", \"answer\": 1}\n\n{\"prompt\": \n").unwrap();
    std::fs::write(at("list.jsonl"), "7\n").unwrap();
    std::fs::write(at("other.jsonl"), "{\"question\": \"q\", \"final\": 1}\n").unwrap();
    std::fs::write(at("empty.jsonl"), "\n").unwrap();
    std::fs::write(at("cut.parquet"), "PAR1").unwrap();
    std::fs::write(at("cut.arrow"), "no arrow").unwrap();
    std::fs::write(at("data.csv"), "a,b\n").unwrap();
    write_parquet(&at("some.parquet"), &batches(&sums(0..2)));
    std::fs::create_dir_all(at("hub/main")).unwrap();
    write_jsonl(&at("hub/main/train.jsonl"), &sums(0..2));
    std::fs::create_dir_all(at("twice")).unwrap();
    write_jsonl(&at("twice/train.jsonl"), &sums(0..2));
    write_parquet(&at("twice/train.parquet"), &batches(&sums(0..2)));
    std::fs::create_dir_all(at("indexed")).unwrap();
    let state = json!({"_data_files": [{"filename": "a.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]});
    std::fs::write(at("indexed/state.json"), state.to_string()).unwrap();
    let said = |value: Value| {
        let fault = load(&files(value), folder.path()).unwrap_err();
        (fault.field, fault.to_string().replace(&folder.path().display().to_string(), "."), fault.help)
    };
    let cases = [
        ("bad.jsonl", "path", "bad.jsonl, row 3: it is no JSON: EOF while parsing a value at line 1 column 11"),
        ("list.jsonl", "path", "list.jsonl, row 1: it is no JSON object"),
        ("other.jsonl", "columns", "other.jsonl, row 1: there is no column `answer`"),
        ("empty.jsonl", "splits", "`empty.jsonl` holds no rows"),
        ("gone.jsonl", "path", "./gone.jsonl is not there"),
        ("data.csv", "format", "how data.csv is written cannot be told from its name"),
        ("hub", "path", "./hub holds no data files"),
        ("twice", "splits", "the split `train` is there in several formats: train.jsonl, train.parquet"),
        ("indexed", "path", "./indexed/state.json selects rows by a table of indices"),
    ];
    for (path, field, what) in cases {
        let (found, text, _) = said(json!({ "path": path }));
        assert_eq!((found, text.as_str()), (field, what), "{path}");
    }
    for path in ["cut.parquet", "cut.arrow"] {
        let (field, text, _) = said(json!({ "path": path }));
        let start = format!("{path}: cannot be read as ");
        assert!(field == "path" && text.starts_with(&start), "{text}");
    }
    let (_, text, help) = said(json!({"path": "some.parquet", "columns": {"prompt": "q.text"}}));
    assert_eq!(text, "some.parquet: there is no column `q.text`");
    assert_eq!(help, "columns that are there: `prompt`, `answer`; name the right one under `columns`");
    assert_eq!(said(json!({"path": "hub"})).2, "name the folder within it: main");
}

#[test]
fn the_example_reads_its_rows_and_their_digest_is_part_of_the_recipe() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/datasets");
    let text = std::fs::read_to_string(folder.join("sums.yaml")).unwrap();
    let read = |folder: &Path| {
        let mut shelves = Shelves::new(folder);
        let recipe =
            Recipe::parse_filled("sums.yaml", &text, &|_| Err("none".to_owned()), &mut |recipe| shelves.fill(recipe));
        recipe.map(|recipe| (recipe, shelves))
    };
    let (recipe, shelves) = read(&folder).unwrap_or_else(|e| panic!("{e}"));
    let rows: usize = shelves.tables().values().map(|table| table.split(|byte| *byte == b'\n').count() - 1).sum();
    assert_eq!((rows, shelves.notes().len()), (400, 1));
    assert_eq!(read(&folder).unwrap().0.digest(), recipe.digest());
    let other = TempDir::new().unwrap();
    let lines = std::fs::read_to_string(folder.join("sums.jsonl")).unwrap();
    let (_, without_the_first) = lines.split_once('\n').unwrap();
    std::fs::write(other.path().join("sums.jsonl"), without_the_first).unwrap();
    assert_ne!(read(other.path()).unwrap().0.digest(), recipe.digest());
    let missing = TempDir::new().unwrap();
    let said = read(missing.path()).unwrap_err().to_string();
    assert!(said.contains("sums.yaml:12:13") && said.contains("sums.jsonl is not there"), "{said}");
    assert!(said.contains("relative to the recipe's folder"), "{said}");
}

#[test]
fn rows_are_stored_once_and_a_recipe_that_names_them_needs_them_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/datasets");
    let text = std::fs::read_to_string(folder.join("sums.yaml")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = |text: &str| {
        let mut shelves = Shelves::new(&folder);
        let loader = |_: &str| Err("none".to_owned());
        let recipe = Recipe::parse_filled("sums.yaml", text, &loader, &mut |recipe| shelves.fill(recipe)).unwrap();
        (recipe.to_yaml(), shelves)
    };
    let (yaml, shelves) = read(&text);
    let (again, named) = read(&yaml);
    assert_eq!(again, yaml);
    assert!(named.tables().is_empty() && !named.is_empty(), "rows that are named are not read again");
    let store = TempDir::new().unwrap();
    let store = crate::ArtifactStore::open(&store.path().display().to_string()).unwrap();
    assert!(matches!(runtime.block_on(named.store(&store)), Err(crate::Error::Absent { .. })));
    runtime.block_on(shelves.store(&store)).unwrap();
    runtime.block_on(named.store(&store)).unwrap();
    for (digest, table) in shelves.tables() {
        assert_eq!(&runtime.block_on(store.get(digest)).unwrap(), table);
    }
}
