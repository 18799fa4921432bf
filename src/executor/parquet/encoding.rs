//! How the row groups of one file are encoded: found out once from its schema and options.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{Compression as Codec, ZstdLevel},
    errors::{ParquetError, Result},
    file::metadata::SortingColumn,
    schema::types::{ColumnDescPtr, SchemaDescPtr},
};

use super::{group::Workplaces, page::PageCodec, store::Pieces};
use crate::dataset::{Compression, ParquetOptions};

/// Rows of a page at most: what readers skip with the page index. Eight bytes each make a page of 1 MiB, as texts do;
/// Zstandard finds in pages so long what comes again after many rows.
const PAGE_ROWS_MAX: usize = 128 * 1024;
/// Rows of a page at least, however many columns there are.
const PAGE_ROWS_MIN: usize = 4 * 1024;
/// Bytes of texts of a page: the page ends with the value that reaches them.
const PAGE_TEXT_BYTES_MAX: usize = 1024 * 1024;
const PAGE_TEXT_BYTES_MIN: usize = 64 * 1024;
/// Raw bytes of all pages in the making of a row group, shared out between its columns.
const RAW_BYTES: usize = 16 * 1024 * 1024;
/// Level of Zstandard if none is set.
const ZSTD_LEVEL: i32 = 1;

/// How row groups of a file are encoded. All of a file have the same.
#[derive(Debug)]
pub struct Encoding {
    schema: SchemaDescPtr,
    columns: Vec<ColumnPlan>,
    codec: Codec,
    page_codec: PageCodec,
    page_rows: usize,
    page_text_bytes: usize,
    sort: Vec<usize>,
    workplaces: Workplaces,
    pieces: Arc<Pieces>,
}

/// How a column is encoded.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub column: ColumnDescPtr,
    pub data_type: DataType,
    pub bloom_filter: bool,
}

impl Encoding {
    /// The encoding of a table with these columns.
    ///
    /// # Errors
    /// A type that tables do not have, a level that the codec does not have, or an option that names no column.
    pub fn new(schema: &SchemaRef, options: &ParquetOptions) -> Result<Arc<Self>> {
        let descriptor = Arc::new(ArrowSchemaConverter::new().schema_root("schema").convert(schema)?);
        let index = |name: &String| {
            schema.index_of(name).map_err(|_| ParquetError::General(format!("there is no column `{name}`")))
        };
        let sort = options.sort_by.iter().map(index).collect::<Result<Vec<_>>>()?;
        let filters = options.bloom_filters.iter().map(index).collect::<Result<Vec<_>>>()?;
        let columns = schema.fields().iter().zip(descriptor.columns()).enumerate();
        let columns = columns.map(|(at, (field, column))| {
            let bloom_filter = filters.contains(&at);
            if !is_written(field) || bloom_filter && *field.data_type() == DataType::Boolean {
                let (name, data_type) = (field.name(), field.data_type());
                let what = if bloom_filter { "a bloom filter of" } else { "a column of" };
                return Err(ParquetError::NYI(format!("column `{name}`: {what} {data_type} cannot be written")));
            }
            Ok(ColumnPlan { column: column.clone(), data_type: field.data_type().clone(), bloom_filter })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let (codec, page_codec) = codec(options)?;
        let share = RAW_BYTES / columns.len().max(1);
        Ok(Arc::new(Encoding {
            schema: descriptor,
            codec,
            page_codec,
            page_rows: (share / size_of::<u64>()).clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX),
            page_text_bytes: share.clamp(PAGE_TEXT_BYTES_MIN, PAGE_TEXT_BYTES_MAX),
            columns,
            sort,
            workplaces: Workplaces::default(),
            pieces: Arc::default(),
        }))
    }

    /// The same, with pages of at most so many rows and bytes of texts.
    #[cfg(test)]
    pub(super) fn with_pages(self: Arc<Self>, rows: usize, text_bytes: usize) -> Arc<Self> {
        let mut this = Arc::into_inner(self).unwrap();
        (this.page_rows, this.page_text_bytes) = (rows, text_bytes);
        Arc::new(this)
    }

    pub(super) fn schema(&self) -> &SchemaDescPtr {
        &self.schema
    }

    pub(super) fn columns(&self) -> &[ColumnPlan] {
        &self.columns
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) fn page_codec(&self) -> PageCodec {
        self.page_codec
    }

    pub(super) fn workplaces(&self) -> &Workplaces {
        &self.workplaces
    }

    pub(super) fn pieces(&self) -> &Arc<Pieces> {
        &self.pieces
    }

    pub(super) fn page_rows(&self) -> usize {
        self.page_rows
    }

    pub(super) fn page_text_bytes(&self) -> usize {
        self.page_text_bytes
    }

    /// The columns that order the rows of a row group.
    pub(super) fn sort(&self) -> &[usize] {
        &self.sort
    }

    /// What the footer says of the order: ascending, nulls first.
    pub(super) fn sorting_columns(&self) -> Option<Vec<SortingColumn>> {
        let column = |&at: &usize| SortingColumn { column_idx: at as i32, descending: false, nulls_first: true };
        (!self.sort.is_empty()).then(|| self.sort.iter().map(column).collect())
    }
}

/// Whether tables have such columns.
fn is_written(field: &Field) -> bool {
    let types = matches!(
        field.data_type(),
        DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _)
            | DataType::Utf8
    );
    types && field.is_nullable()
}

fn codec(options: &ParquetOptions) -> Result<(Codec, PageCodec)> {
    Ok(match options.compression {
        Compression::Zstd => {
            let level = options.compression_level.unwrap_or(ZSTD_LEVEL);
            (Codec::ZSTD(ZstdLevel::try_new(level)?), PageCodec::Zstd { level })
        }
        Compression::Snappy => (Codec::SNAPPY, PageCodec::Snappy),
        Compression::None => (Codec::UNCOMPRESSED, PageCodec::None),
    })
}
