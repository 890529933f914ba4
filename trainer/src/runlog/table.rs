//! The table of a run: kept in memory, written as one Parquet file that is replaced as a whole, so that a reader finds
//! either the old or the new one. Equal records give equal bytes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::StepRecord;
use super::error::{self, RunLogError};

const NAME: &str = "steps.parquet";

/// Names of the columns that are no values.
pub(super) const KEYS: [&str; 2] = ["step", "wall_seconds"];

/// Rows with ascending steps.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    steps: Vec<u64>,
    wall_seconds: Vec<f64>,
    /// By name in the order in which names came, each as long as `steps`.
    columns: Vec<(String, Vec<Option<f64>>)>,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Table {
    /// The table in `folder`: empty if there is no file.
    pub(super) fn open(folder: &Path) -> Result<Self, RunLogError> {
        let path = folder.join(NAME);
        let mut table = Self { path, steps: Vec::new(), wall_seconds: Vec::new(), columns: Vec::new() };
        match File::open(&table.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error::io("open", &table.path)(error)),
            Ok(file) => {
                let batches = read(file);
                let batches = batches.map_err(|source| table.failed("read", source))?;
                for batch in &batches {
                    table.extend(batch).map_err(|wrong| RunLogError::Foreign { path: table.path.clone(), wrong })?;
                }
            }
        }
        Ok(table)
    }

    pub(super) fn rows(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn last_step(&self) -> Option<u64> {
        self.steps.last().copied()
    }

    /// Drops the rows of `step` and later ones.
    pub(super) fn truncate(&mut self, step: u64) {
        let rows = self.steps.partition_point(|own| *own < step);
        self.steps.truncate(rows);
        self.wall_seconds.truncate(rows);
        self.columns.iter_mut().for_each(|(_, column)| column.truncate(rows));
        // A name that only stale rows had is no column any more.
        self.columns.retain(|(_, column)| column.iter().any(Option::is_some));
    }

    /// Adds a row, whose step is after the last.
    pub(super) fn push(&mut self, record: &StepRecord) {
        self.steps.push(record.step);
        self.wall_seconds.push(record.wall_seconds);
        for (name, value) in &record.values {
            self.column(name).push(Some(*value));
        }
        let rows = self.steps.len();
        self.columns.iter_mut().for_each(|(_, column)| column.resize(rows, None));
    }

    /// The column `name`, with one row less than there are steps.
    fn column(&mut self, name: &str) -> &mut Vec<Option<f64>> {
        let index = self.columns.iter().position(|(own, _)| own == name).unwrap_or_else(|| {
            self.columns.push((name.to_owned(), vec![None; self.steps.len() - 1]));
            self.columns.len() - 1
        });
        &mut self.columns[index].1
    }

    /// Replaces the file.
    pub(super) fn save(&self) -> Result<(), RunLogError> {
        let bytes = self.encode().map_err(|source| self.failed("encode", source))?;
        // A fixed name: what a killed process left is overwritten.
        let new = self.path.with_extension("parquet.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()
        };
        write().map_err(error::io("write", &new))?;
        fs::rename(&new, &self.path).map_err(error::io("replace", &self.path))
    }

    fn encode(&self) -> Result<Vec<u8>, Cause> {
        let mut fields =
            vec![Field::new(KEYS[0], DataType::UInt64, false), Field::new(KEYS[1], DataType::Float64, false)];
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.steps.clone())),
            Arc::new(Float64Array::from(self.wall_seconds.clone())),
        ];
        for (name, column) in &self.columns {
            fields.push(Field::new(name, DataType::Float64, true));
            arrays.push(Arc::new(Float64Array::from(column.clone())));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let properties = WriterProperties::builder();
        let properties = properties.set_compression(Compression::SNAPPY).set_created_by("galapagos".to_owned()).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?)
    }

    /// Adds rows that were read; says what is wrong with them.
    fn extend(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let schema = batch.schema();
        for (index, field) in schema.fields().iter().enumerate() {
            let wanted = if index == 0 { DataType::UInt64 } else { DataType::Float64 };
            let name_fits = KEYS.get(index).is_none_or(|key| key == field.name());
            if !name_fits || *field.data_type() != wanted {
                return Err(format!("column {index} is `{}` of {}", field.name(), field.data_type()));
            }
        }
        let [steps, wall_seconds, ..] = batch.columns() else { return Err("it lacks key columns".to_owned()) };
        if steps.null_count() + wall_seconds.null_count() > 0 {
            return Err("a key column has nulls".to_owned());
        }
        self.steps.extend(steps.as_primitive::<UInt64Type>().values());
        if !self.steps.is_sorted_by(|a, b| a < b) {
            return Err("its steps do not ascend".to_owned());
        }
        self.wall_seconds.extend(wall_seconds.as_primitive::<Float64Type>().values());
        for (field, column) in schema.fields().iter().zip(batch.columns()).skip(KEYS.len()) {
            if !self.columns.iter().any(|(name, _)| name == field.name()) {
                self.columns.push((field.name().clone(), Vec::new()));
            }
            if let Some((_, own)) = self.columns.iter_mut().find(|(name, _)| name == field.name()) {
                own.extend(column.as_primitive::<Float64Type>().iter());
            }
        }
        let rows = self.steps.len();
        let uneven = self.columns.iter().find(|(_, column)| column.len() != rows);
        uneven.map_or(Ok(()), |(name, _)| Err(format!("it has more than one column `{name}`")))
    }

    fn failed(&self, what: &'static str, source: Cause) -> RunLogError {
        RunLogError::Table { what, path: self.path.clone(), source }
    }
}

fn read(file: File) -> Result<Vec<RecordBatch>, Cause> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
    reader.map(|batch| Ok(batch?)).collect()
}
