//! Parquet that Athena, Spark, DuckDB and pyarrow read alike: INT32/INT64/DOUBLE/BOOLEAN/STRING/DATE, DECIMAL, and
//! INT64 TIMESTAMP in microseconds, UTC; never unsigned or INT96. Statistics and page index are always written.

mod booleans;
mod chunk;
mod column;
mod delta;
mod dictionary;
mod encoding;
mod file;
mod group;
mod levels;
mod numbers;
mod pack;
mod page;
mod snappy;
mod statistics;
mod store;
#[cfg(test)]
mod tests;
mod text_dictionary;
mod texts;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, make_array},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
};
use bytes::Bytes;
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};

pub use self::{
    encoding::Encoding,
    file::{FileWriter, Written},
    group::{EncodedGroup, GroupEncoder},
};
use super::csv::Reject;
use crate::dataset::{Column, ColumnType};

/// Memory that a row group of what a transform makes may take; then the next one begins. Rows that go through no
/// transform end a row group with the text that they came from.
pub const ROW_GROUP_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Zone of timestamp columns: UTC, as an offset, since arrow shows no named zones without a time zone database.
pub(crate) const TIMESTAMP_ZONE: &str = "+00:00";

/// The Arrow schema of a table's columns: all nullable, in order.
pub fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(&column.name, data_type(column.ty), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The Arrow type of a column type.
pub fn data_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(TIMESTAMP_ZONE.into())),
        ColumnType::String => DataType::Utf8,
    }
}

/// The schema of a rejects file: `file`, `line`, `byte_offset`, `column`, `code`, `message`, `raw_line` and
/// `raw_truncated`.
pub fn rejects_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("file"),
        Field::new("line", DataType::Int64, true),
        Field::new("byte_offset", DataType::Int64, true),
        text("column"),
        text("code"),
        text("message"),
        text("raw_line"),
        Field::new("raw_truncated", DataType::Boolean, true),
    ]))
}

/// Rejected rows of one file as a batch.
pub(super) fn rejects_batch(file: &str, rejects: &[Reject]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let texts =
        |text: fn(&Reject) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rejects.iter().map(text))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|_| file))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| number(reject.line)))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| number(reject.offset)))),
        Arc::new(rejects.iter().map(|reject| reject.column.as_deref()).collect::<StringArray>()),
        texts(|reject| &reject.code),
        texts(|reject| &reject.message),
        texts(|reject| &reject.raw),
        Arc::new(rejects.iter().map(|reject| Some(reject.truncated)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(rejects_schema(), columns)
}

/// The first `limit` rows of a Parquet file that is in memory. Its timestamps can be shown as they are.
///
/// # Errors
/// Bytes that are no Parquet, or damaged.
pub fn rows(bytes: Bytes, limit: usize) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let reader = builder.with_limit(limit).build()?;
    reader.map(|batch| with_zone(&batch?)).collect()
}

/// The batch with every zoned timestamp column in [`TIMESTAMP_ZONE`]: the instants are the same.
fn with_zone(batch: &RecordBatch) -> Result<RecordBatch, ParquetError> {
    let mut fields: Vec<FieldRef> = batch.schema_ref().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (field, column) in fields.iter_mut().zip(&mut columns) {
        if let DataType::Timestamp(unit, Some(_)) = field.data_type() {
            let zoned = DataType::Timestamp(*unit, Some(TIMESTAMP_ZONE.into()));
            *column = make_array(column.to_data().into_builder().data_type(zoned.clone()).build()?);
            *field = Arc::new(field.as_ref().clone().with_data_type(zoned));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
