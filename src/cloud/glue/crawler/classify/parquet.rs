//! Parquet: the schema and the number of rows stand in the file's footer; no column is read.

use std::ops::Range;

use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use parquet::{arrow::parquet_to_arrow_schema, errors::ParquetError, file::metadata::ParquetMetaDataReader};
use tokio::io::AsyncReadExt;

use super::{Compression, Format, Sample, Shape, columns};
use crate::cloud::{
    error::ApiError,
    glue::crawler::seams::{ObjectEntry, ObjectSource},
};

/// Bytes read of a file's end at first.
const TAIL_BYTES: u64 = 64 * 1024;
/// Largest footer that is read, in bytes; a file with a larger one is unknown.
const FOOTER_BYTES: u64 = 16 * 1024 * 1024;

/// Classifies the object of which `etag` was seen; one that is overwritten meanwhile is unknown until the next crawl.
pub(super) async fn classify(
    objects: &dyn ObjectSource,
    bucket: &str,
    entry: &ObjectEntry,
    etag: &str,
    size: u64,
) -> Result<Option<Sample>, ApiError> {
    let mut wanted = TAIL_BYTES.min(size);
    loop {
        let Some(tail) = read(objects, bucket, entry, etag, size - wanted..size).await? else { return Ok(None) };
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&tail, size) {
            Ok(()) => return Ok(reader.finish().ok().and_then(|metadata| sample(&metadata, size))),
            Err(ParquetError::NeedMoreData(more)) => {
                let more = more as u64;
                if more <= wanted || more > size.min(FOOTER_BYTES) {
                    return Ok(None);
                }
                wanted = more;
            }
            Err(error) => {
                tracing::debug!(%error, bucket, key = entry.key, "not the Parquet that it begins as");
                return Ok(None);
            }
        }
    }
}

async fn read(
    objects: &dyn ObjectSource,
    bucket: &str,
    entry: &ObjectEntry,
    etag: &str,
    range: Range<u64>,
) -> Result<Option<Bytes>, ApiError> {
    let mut open = objects.open(bucket, &entry.key, range).await?;
    if open.etag != etag {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    open.bytes.read_to_end(&mut bytes).await.map_err(ApiError::internal)?;
    Ok(Some(bytes.into()))
}

fn sample(metadata: &parquet::file::metadata::ParquetMetaData, size: u64) -> Option<Sample> {
    let file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()).ok()?;
    let records = u64::try_from(file.num_rows()).ok()?;
    let named = schema.fields().iter().map(|field| (field.name().clone(), hive(field.data_type())));
    let shape = Shape { format: Format::Parquet, compression: Compression::None, columns: columns(named) };
    Some(Sample { shape, records, bytes: size, counted: Some(records) })
}

/// Hive's name of a type.
fn hive(kind: &DataType) -> String {
    let members = |field: &Field| format!("{}:{}", field.name().to_lowercase(), hive(field.data_type()));
    match kind {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "int".into(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".into(),
        DataType::Float16 | DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".into()
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("array<{}>", hive(item.data_type()))
        }
        DataType::Struct(fields) => {
            format!("struct<{}>", fields.iter().map(|field| members(field)).collect::<Vec<_>>().join(","))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("map<{},{}>", hive(pair[0].data_type()), hive(pair[1].data_type()))
            }
            _ => "string".into(),
        },
        DataType::Dictionary(_, value) => hive(value),
        _ => "string".into(),
    }
}
