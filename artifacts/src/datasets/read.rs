//! Rows of one file: the wanted columns of each, in order.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Schema};
use galapagos_domain::task::dataset::{DataFault, RawRow};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::cells::cell;
use super::inventory::{DataFile, Kind};

/// Appends the rows of `file`.
///
/// # Errors
/// [`DataFault`]: a file that cannot be read as what its name says, or lacks a wanted column.
pub(super) fn append(file: &DataFile, columns: &[String], rows: &mut Vec<RawRow>) -> Result<(), DataFault> {
    let opened = File::open(&file.path).map_err(|error| unreadable(file, error.to_string()))?;
    match file.kind {
        Kind::Json => json(file, BufReader::new(opened), columns, rows),
        Kind::Parquet => parquet(file, opened, columns, rows),
        Kind::Arrow => arrow(file, opened, columns, rows),
    }
}

fn unreadable(file: &DataFile, error: impl std::fmt::Display) -> DataFault {
    let what = match file.kind {
        Kind::Json => "JSON lines",
        Kind::Parquet => "Parquet",
        Kind::Arrow => "Arrow",
    };
    let help = "`format` says how a file is written; a file that was cut short must be fetched again";
    DataFault::new("path", format!("cannot be read as {what}: {error}"), help).at(&file.name)
}

/// The columns of a file that the wanted ones are, or are within.
fn own(file: &DataFile, columns: &[String], there: &[&str]) -> Result<Vec<usize>, DataFault> {
    let mut found = Vec::with_capacity(columns.len());
    for column in columns {
        let outer = column.split('.').next().unwrap_or(column);
        let place = |name: &str| there.iter().position(|known| *known == name);
        let place = place(column).or_else(|| place(outer)).ok_or_else(|| missing(column, there).at(&file.name))?;
        found.push(place);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn missing(column: &str, there: &[&str]) -> DataFault {
    let names: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
    let help = format!("columns that are there: {}; name the right one under `columns`", names.join(", "));
    DataFault::new("columns", format!("there is no column `{column}`"), help)
}

/// Objects, one a line; or one list of them.
fn json(file: &DataFile, mut text: impl BufRead, columns: &[String], rows: &mut Vec<RawRow>) -> Result<(), DataFault> {
    let name: Arc<str> = file.name.as_str().into();
    let at = |number: u64| format!("{}, row {number}", file.name);
    let mut push = |number: u64, value: Value| {
        let Value::Object(mut cells) = value else {
            let help = "every row is an object with the columns by name, as in {\"prompt\": ..., \"answer\": ...}";
            return Err(DataFault::new("path", "it is no JSON object", help).at(at(number)));
        };
        let there: Vec<&str> = cells.keys().map(String::as_str).collect();
        let wanted = own(file, columns, &there).map_err(|fault| fault.at(at(number)))?;
        let keep: Vec<String> = wanted.into_iter().map(|place| there[place].to_owned()).collect();
        cells.retain(|name, _| keep.iter().any(|kept| kept == name));
        rows.push(RawRow { file: Arc::clone(&name), number, cells });
        Ok(())
    };
    let start = text.fill_buf().map_err(|error| unreadable(file, error))?;
    if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let mut whole = String::new();
        text.read_to_string(&mut whole).map_err(|error| unreadable(file, error))?;
        let items: Vec<Value> = serde_json::from_str(&whole).map_err(|error| unreadable(file, error))?;
        return (1..).zip(items).try_for_each(|(number, item)| push(number, item));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.map_err(|error| unreadable(file, format!("line {number}: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&line).map_err(|error| {
            let what = format!("it is no JSON: {error}");
            DataFault::new(
                "path",
                what,
                "every line is one JSON object; a file that was cut short must be fetched again",
            )
            .at(at(number))
        })?;
        push(number, value)?;
    }
    Ok(())
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn parquet(file: &DataFile, opened: File, columns: &[String], rows: &mut Vec<RawRow>) -> Result<(), DataFault> {
    let failed = |error: parquet::errors::ParquetError| unreadable(file, error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(failed)?;
    let wanted = own(file, columns, &names(builder.schema()))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let batches = builder.with_projection(mask).build().map_err(failed)?;
    table(file, batches, rows)
}

fn arrow(file: &DataFile, mut opened: File, columns: &[String], rows: &mut Vec<RawRow>) -> Result<(), DataFault> {
    const MAGIC: [u8; 6] = *b"ARROW1";
    let mut start = [0u8; 6];
    let is_file = opened.read_exact(&mut start).is_ok() && start == MAGIC;
    let reopened = || File::open(&file.path).map_err(|error| unreadable(file, error));
    let failed = |error: ArrowError| unreadable(file, error);
    if is_file {
        let schema = FileReader::try_new(BufReader::new(reopened()?), None).map_err(failed)?.schema();
        let wanted = own(file, columns, &names(&schema))?;
        table(file, FileReader::try_new(BufReader::new(reopened()?), Some(wanted)).map_err(failed)?, rows)
    } else {
        let schema = StreamReader::try_new(BufReader::new(reopened()?), None).map_err(failed)?.schema();
        let wanted = own(file, columns, &names(&schema))?;
        table(file, StreamReader::try_new(BufReader::new(reopened()?), Some(wanted)).map_err(failed)?, rows)
    }
}

fn table(
    file: &DataFile,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    rows: &mut Vec<RawRow>,
) -> Result<(), DataFault> {
    let name: Arc<str> = file.name.as_str().into();
    let mut number = 0u64;
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(file, error))?;
        let schema = batch.schema();
        for at in 0..batch.num_rows() {
            number += 1;
            let mut cells = Map::new();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let value = cell(column, at).map_err(|what| {
                    let what = format!("column `{}`: {what}", field.name());
                    DataFault::new("columns", what, "name another column, or write it as text before")
                        .at(format!("{}, row {number}", file.name))
                })?;
                cells.insert(field.name().clone(), value);
            }
            rows.push(RawRow { file: Arc::clone(&name), number, cells });
        }
    }
    Ok(())
}
