//! What lies in the folder after a run, a continued run and a run that went back; refusals; and when the table is
//! rewritten.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn record(step: u64, values: &[(&'static str, f64)]) -> StepRecord {
    let values = values.iter().map(|(name, value)| (Cow::Borrowed(*name), *value)).collect();
    StepRecord { step, wall_seconds: 1000.0 + step as f64 / 4.0, values }
}

type Column = (String, Vec<Option<f64>>);

/// Steps of the table's file, and its columns but for the keys.
fn table(folder: &Path) -> (Vec<u64>, Vec<Column>) {
    let file = File::open(folder.join("steps.parquet")).unwrap();
    let (mut steps, mut columns) = (Vec::new(), Vec::new());
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1 << 20).build().unwrap() {
        let batch = batch.unwrap();
        steps.extend(batch.column(0).as_primitive::<UInt64Type>().values());
        let schema = batch.schema();
        for (field, column) in schema.fields().iter().zip(batch.columns()).skip(2) {
            columns.push((field.name().clone(), column.as_primitive::<Float64Type>().iter().collect()));
        }
    }
    (steps, columns)
}

fn event_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("tfevents")).collect();
    names.sort();
    names
}

#[test]
fn missing_values_are_null_and_numbers_that_are_none_stay() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let mut log = RunLog::create(&folder, 1000.7).unwrap();
    log.append(&record(1, &[("loss", 0.1)])).unwrap();
    log.append(&record(2, &[("loss", f64::NAN), ("grad_norm", f64::INFINITY)])).unwrap();
    log.append(&record(5, &[("grad_norm", 0.0)])).unwrap();
    log.finish().unwrap();
    let (steps, columns) = table(&folder);
    assert_eq!(steps, [1, 2, 5]);
    assert_eq!((columns[0].0.as_str(), columns[1].0.as_str(), columns.len()), ("loss", "grad_norm", 2));
    assert!(columns[0].1[1].unwrap().is_nan());
    assert_eq!((columns[0].1[0], columns[0].1[2]), (Some(0.1), None));
    assert_eq!(columns[1].1, [None, Some(f64::INFINITY), Some(0.0)]);
    assert_eq!(event_files(&folder), ["events.out.tfevents.0000001000.galapagos"]);
    // Nothing temporary is left.
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_continued_run_drops_stale_rows_and_begins_a_later_event_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = RunLog::create(folder, 1000.0).unwrap();
    (1..=6).for_each(|step| {
        log.append(&record(step, &[("loss", 1.0), ("old", 1.0)][..1 + usize::from(step > 4)])).unwrap()
    });
    log.finish().unwrap();

    // The clock went back meanwhile; the new file's name must still sort after the first.
    let mut log = RunLog::create(folder, 900.0).unwrap();
    log.append(&record(4, &[("loss", 2.0)])).unwrap();
    // The table's file is right from the first such record on.
    assert_eq!(table(folder).0, [1, 2, 3, 4]);
    log.append(&record(5, &[("loss", 2.0), ("new", 3.0)])).unwrap();
    log.finish().unwrap();
    let (steps, columns) = table(folder);
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    let loss = [1.0, 1.0, 1.0, 2.0, 2.0].map(Some).to_vec();
    let new = vec![None, None, None, None, Some(3.0)];
    assert_eq!(columns, [("loss".to_owned(), loss), ("new".to_owned(), new)]);
    assert_eq!(
        event_files(folder),
        ["events.out.tfevents.0000001000.galapagos", "events.out.tfevents.0000001001.galapagos"]
    );
}

#[test]
fn going_back_within_one_process_begins_a_new_event_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = RunLog::create(folder, 1000.0).unwrap();
    for step in [1, 2, 3, 2, 3, 4] {
        log.append(&record(step, &[("loss", step as f64)])).unwrap();
    }
    log.finish().unwrap();
    assert_eq!(table(folder).0, [1, 2, 3, 4]);
    assert_eq!(event_files(folder).len(), 2);
    // All stale: nothing is left of the earlier run.
    let mut log = RunLog::create(folder, 2000.0).unwrap();
    log.append(&record(0, &[("other", 1.0)])).unwrap();
    log.finish().unwrap();
    assert_eq!(table(folder), (vec![0], vec![("other".to_owned(), vec![Some(1.0)])]));
}

#[test]
fn the_table_is_rewritten_now_and_then_and_at_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = RunLog::create(folder, 1000.0).unwrap();
    let rows = |step| step as usize;
    for step in 1..=1000 {
        log.append(&record(step, &[("loss", 1.0)])).unwrap();
        if step < REWRITE_ROWS as u64 {
            assert!(!folder.join("steps.parquet").exists(), "step {step}");
        } else {
            let missing = rows(step) - table(folder).0.len();
            assert!(missing < REWRITE_ROWS.max(rows(step) / 4), "{missing} of {step} rows are missing");
        }
    }
    let before = table(folder).0.len();
    assert!(before < 1000);
    log.flush().unwrap();
    assert_eq!(table(folder).0.len(), 1000);
}

#[test]
fn records_that_cannot_be_written_are_refused_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = RunLog::create(folder, 1000.0).unwrap();
    log.append(&record(3, &[("loss", 1.0)])).unwrap();
    let size = || fs::metadata(folder.join(&event_files(folder)[0])).unwrap().len();
    let before = size();
    let mut refused = |record: StepRecord| log.append(&record).unwrap_err().to_string();
    assert!(refused(record(1, &[("loss", 1.0), ("loss", 2.0)])).contains("`loss` is taken"));
    assert!(refused(record(1, &[("step", 1.0)])).contains("`step` is taken"));
    assert!(refused(record(1, &[("", 1.0)])).contains("has no name"));
    assert!(refused(record(u64::MAX, &[])).contains("beyond the largest"));
    assert!(refused(StepRecord { wall_seconds: f64::NAN, ..record(4, &[]) }).contains("wall time is NaN"));
    assert_eq!(size(), before);
    log.finish().unwrap();
    assert_eq!(table(folder).0, [3]);
}

#[test]
fn a_folder_or_table_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("steps.parquet");
    let refused = |folder: &Path| RunLog::create(folder, 1000.0).unwrap_err().to_string();
    fs::write(&path, b"no table").unwrap();
    assert_eq!(refused(folder), format!("could not read the table {}", path.display()));
    assert_eq!(refused(&path), format!("could not make the folder {}", path.display()));
    let write = |steps: Vec<u64>, name: &str| {
        let columns: Vec<(&str, arrow_array::ArrayRef)> = vec![
            (name, std::sync::Arc::new(arrow_array::UInt64Array::from(steps))),
            ("wall_seconds", std::sync::Arc::new(arrow_array::Float64Array::from(vec![1.0, 2.0]))),
        ];
        let batch = arrow_array::RecordBatch::try_from_iter(columns).unwrap();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    write(vec![1, 2], "row");
    assert!(refused(folder).contains("column 0 is `row` of UInt64"), "{}", refused(folder));
    write(vec![2, 2], "step");
    assert!(refused(folder).contains("its steps do not ascend"), "{}", refused(folder));
    write(vec![1, 2], "step");
    RunLog::create(folder, 1000.0).unwrap();
    assert!(matches!(RunLog::create(folder, f64::NAN), Err(RunLogError::Start { .. })));
}
