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
#[cfg(test)]
mod tests;
mod text_dictionary;
mod texts;

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

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
use crate::dataset::{Column, ColumnType, ParquetOptions};

/// Memory that one row group in the making may take, whatever its encoded size: with a block of records and its
/// columns it stays well inside 256 MiB.
pub const ROW_GROUP_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Rows of a row group at most, so that its page index stays small when its columns hardly take any room.
pub const ROW_GROUP_ROWS_MAX: usize = 16 * 1024 * 1024;
/// Encoded bytes of a row group of rejected rows.
const REJECT_ROW_GROUP_BYTES: u64 = 16 * 1024 * 1024;
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

/// One Parquet file in the making, one row group after the other.
pub(super) struct Writer<W: Write + Send> {
    file: FileWriter<W>,
    encoding: Arc<Encoding>,
    group: Option<GroupEncoder>,
    row_group_bytes: u64,
    encode: Duration,
}

impl<W: Write + Send> Writer<W> {
    /// Begins the file of kept rows.
    pub fn of_data(write: W, schema: &SchemaRef, options: &ParquetOptions) -> Result<Self, ParquetError> {
        Self::new(write, schema, options)
    }

    /// Begins the file of rejected rows.
    pub fn of_rejects(write: W) -> Result<Self, ParquetError> {
        let options = ParquetOptions { row_group_bytes: REJECT_ROW_GROUP_BYTES, ..ParquetOptions::default() };
        Self::new(write, &rejects_schema(), &options)
    }

    fn new(write: W, schema: &SchemaRef, options: &ParquetOptions) -> Result<Self, ParquetError> {
        let encoding = Encoding::new(schema, options)?;
        let file = FileWriter::new(write, &encoding)?;
        let row_group_bytes = options.row_group_bytes;
        Ok(Writer { file, encoding, group: None, row_group_bytes, encode: Duration::ZERO })
    }

    /// Encodes a batch; closes the row group when it is large enough.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let begun = Instant::now();
        let mut group = match self.group.take() {
            Some(group) => group,
            None => GroupEncoder::new(&self.encoding)?,
        };
        group.push(batch)?;
        let full = group.encoded_bytes() >= self.row_group_bytes
            || group.memory_bytes() >= ROW_GROUP_MEMORY_BYTES_MAX
            || group.rows() >= ROW_GROUP_ROWS_MAX as u64;
        if !full {
            self.group = Some(group);
            self.encode += begun.elapsed();
            return Ok(());
        }
        let group = group.finish()?;
        self.encode += begun.elapsed();
        self.file.append(group)
    }

    /// Writes the footer, with these facts in it.
    pub fn finish(mut self, facts: &[(&str, String)]) -> Result<Written<W>, ParquetError> {
        let begun = Instant::now();
        let group = self.group.take().map(GroupEncoder::finish).transpose()?;
        self.encode += begun.elapsed();
        if let Some(group) = group {
            self.file.append(group)?;
        }
        let written = self.file.finish(facts)?;
        Ok(Written { encode_time: written.encode_time + self.encode, ..written })
    }
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
