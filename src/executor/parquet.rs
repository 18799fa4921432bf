//! Parquet that Athena, Spark, DuckDB and pyarrow read alike: INT32/INT64/DOUBLE/BOOLEAN/STRING/DATE, DECIMAL, and
//! INT64 TIMESTAMP in microseconds, UTC; never unsigned or INT96. Statistics and page index are always written.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, make_array},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder, arrow_writer::ArrowWriterOptions},
    basic::{Compression as Codec, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
};

use super::csv::Reject;
use crate::dataset::{Column, ColumnType, Compression, ParquetOptions};

/// Memory that one row group in the making may take, whatever its encoded size: with a block of records and its
/// columns it stays well inside 256 MiB.
pub const ROW_GROUP_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Rows of a row group at most, so that its page index stays small when its columns hardly take any room.
pub const ROW_GROUP_ROWS_MAX: usize = 16 * 1024 * 1024;
/// Encoded bytes of a row group of rejected rows.
const REJECT_ROW_GROUP_BYTES: u64 = 16 * 1024 * 1024;
/// Zone of timestamp columns: UTC, as an offset, since arrow shows no named zones without a time zone database.
pub(crate) const TIMESTAMP_ZONE: &str = "+00:00";
/// Writes the Parquet footer's `created_by`.
const CREATED_BY: &str = concat!("lake version ", env!("CARGO_PKG_VERSION"));

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

/// One Parquet file in the making.
pub(super) struct Writer<W: Write + Send> {
    writer: ArrowWriter<Metered<W>>,
    row_group_bytes: u64,
    encode: Duration,
}

/// A finished Parquet file: its footer is written.
pub(super) struct Written<W> {
    pub write: W,
    pub rows: u64,
    pub row_groups: u64,
    pub bytes: u64,
    pub encode_time: Duration,
    pub write_time: Duration,
}

impl<W: Write + Send> Writer<W> {
    /// Begins the file of kept rows.
    pub fn of_data(write: W, schema: SchemaRef, options: &ParquetOptions) -> Result<Self, ParquetError> {
        Self::new(write, schema, codec(options.compression), options.row_group_bytes)
    }

    /// Begins the file of rejected rows.
    pub fn of_rejects(write: W) -> Result<Self, ParquetError> {
        Self::new(write, rejects_schema(), codec(Compression::Zstd), REJECT_ROW_GROUP_BYTES)
    }

    fn new(write: W, schema: SchemaRef, codec: Codec, row_group_bytes: u64) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let metered = Metered { write, bytes: 0, time: Duration::ZERO };
        let writer = ArrowWriter::try_new_with_options(metered, schema, options)?;
        Ok(Writer { writer, row_group_bytes, encode: Duration::ZERO })
    }

    /// Encodes a batch; closes the row group when it is large enough.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let begun = Instant::now();
        self.writer.write(batch)?;
        let full = self.writer.in_progress_size() as u64 >= self.row_group_bytes;
        if full || self.writer.memory_size() >= ROW_GROUP_MEMORY_BYTES_MAX {
            self.writer.flush()?;
        }
        self.encode += begun.elapsed();
        Ok(())
    }

    /// Writes the footer, with these facts in it.
    pub fn finish(mut self, facts: &[(&str, String)]) -> Result<Written<W>, ParquetError> {
        let begun = Instant::now();
        for (key, value) in facts {
            self.writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.writer.flush()?;
        let groups = self.writer.flushed_row_groups();
        let rows = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or_default()).sum();
        let row_groups = groups.len() as u64;
        // Writes the footer; after `finish` it would be refused as a second one.
        let mut metered = self.writer.into_inner()?;
        metered.flush()?;
        let encode_time = (self.encode + begun.elapsed()).saturating_sub(metered.time);
        let Metered { write, bytes, time } = metered;
        Ok(Written { write, rows, row_groups, bytes, encode_time, write_time: time })
    }
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::None => Codec::UNCOMPRESSED,
    }
}

/// Counts bytes, and the time that the output takes for them.
struct Metered<W> {
    write: W,
    bytes: u64,
    time: Duration,
}

impl<W: Write> Write for Metered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let written = self.write.write(bytes)?;
        self.time += begun.elapsed();
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.write.flush()?;
        self.time += begun.elapsed();
        Ok(())
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
