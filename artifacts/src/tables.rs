//! Plain tables of whole numbers as Parquet, for records that people query: the ledger of a round.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::Error;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One Parquet file of `uint32` columns of equal length. Equal columns give equal bytes.
///
/// # Errors
/// [`Error::Table`] if the columns are of unequal length.
pub fn encode_u32(columns: &[(&str, Vec<u32>)]) -> Result<Bytes, Error> {
    encode(columns).map_err(|source| Error::Table { what: "encode", source })
}

fn encode(columns: &[(&str, Vec<u32>)]) -> Result<Bytes, Cause> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::UInt32, false)).collect();
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|(_, values)| Arc::new(UInt32Array::from(values.clone())) as ArrayRef).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("galapagos".to_owned()).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(Bytes::from(writer.into_inner()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    #[test]
    fn columns_come_back_by_name() {
        let bytes = encode_u32(&[("step", vec![1, 1, 2]), ("row", vec![7, 8, 9])]).unwrap();
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let batch = batches.next().unwrap().unwrap();
        let rows = batch.column_by_name("row").unwrap().as_primitive::<UInt32Type>();
        assert_eq!(rows.values(), &[7, 8, 9]);
        assert!(matches!(encode_u32(&[("a", vec![1]), ("b", vec![])]), Err(Error::Table { .. })));
    }
}
