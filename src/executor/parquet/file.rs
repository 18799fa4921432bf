//! The file around row groups: they are written one after the other as they are, then page index and footer.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use parquet::{
    errors::{ParquetError, Result},
    file::{
        metadata::{
            ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
            page_index::PageIndexBuilder,
        },
        page_index::{column_index::ColumnIndexMetaData, offset_index::OffsetIndexMetaData},
        writer::TrackedWrite,
    },
};

use super::{encoding::Encoding, group::EncodedGroup};

/// Writes the Parquet footer's `created_by`.
const CREATED_BY: &str = concat!("lake version ", env!("CARGO_PKG_VERSION"));
/// First and last bytes of a Parquet file.
const MAGIC: &[u8] = b"PAR1";
/// Memory of what the footer and the page index say of a column chunk, about.
const CHUNK_METADATA_BYTES: usize = 1024;
/// Format version of the footer: pages are of version 1.
const VERSION: i32 = 1;

/// One Parquet file in the making: takes finished row groups, in order.
pub struct FileWriter<W: Write + Send> {
    output: TrackedWrite<Output<W>>,
    shared: Arc<Mutex<Metered<W>>>,
    encoding: Arc<Encoding>,
    groups: Vec<RowGroupMetaData>,
    indexes: Vec<Vec<(ColumnIndexMetaData, OffsetIndexMetaData)>>,
    rows: u64,
    begun: Duration,
}

/// A finished Parquet file: its footer is written.
pub struct Written<W> {
    /// The output, all bytes in it.
    pub write: W,
    /// Rows of the file.
    pub rows: u64,
    /// Row groups of the file.
    pub row_groups: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Time for putting the file together, the output's own not counted.
    pub encode_time: Duration,
    /// Time that the output took for the bytes.
    pub write_time: Duration,
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(write: W, encoding: &Arc<Encoding>) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Metered { write, bytes: 0, time: Duration::ZERO }));
        let mut output = TrackedWrite::new(Output(shared.clone()));
        output.write_all(MAGIC)?;
        Ok(FileWriter {
            output,
            shared,
            encoding: encoding.clone(),
            groups: Vec::new(),
            indexes: Vec::new(),
            rows: 0,
            begun: Duration::ZERO,
        })
    }

    /// Writes a row group. One without rows is left out.
    ///
    /// # Errors
    /// What the output says.
    pub fn append(&mut self, group: EncodedGroup) -> Result<()> {
        if group.rows() == 0 {
            return Ok(());
        }
        let begun = Instant::now();
        let ordinal = i16::try_from(self.groups.len()).map_err(|_| too_many_groups())?;
        let rows = group.rows();
        let file_offset = self.output.bytes_written() as i64;
        let (mut columns, mut indexes, mut filters) = (Vec::new(), Vec::new(), Vec::new());
        for mut chunk in group.chunks {
            let at = self.output.bytes_written() as i64;
            for page in &chunk.pages {
                group.store.write(page, &mut self.output)?;
            }
            let metadata = chunk.metadata;
            let (data, dictionary) = (metadata.data_page_offset(), metadata.dictionary_page_offset());
            columns.push(
                metadata
                    .into_builder()
                    .set_data_page_offset(at + data)
                    .set_dictionary_page_offset(dictionary.map(|offset| at + offset))
                    .build()?,
            );
            for location in &mut chunk.offset_index.page_locations {
                location.offset += at;
            }
            indexes.push((chunk.column_index, chunk.offset_index));
            filters.push(chunk.bloom_filter);
        }
        for (column, filter) in columns.iter_mut().zip(filters) {
            let Some(filter) = filter else { continue };
            let at = self.output.bytes_written();
            filter.write(&mut self.output)?;
            let length = (self.output.bytes_written() - at) as i32;
            *column = column
                .clone()
                .into_builder()
                .set_bloom_filter_offset(Some(at as i64))
                .set_bloom_filter_length(Some(length))
                .build()?;
        }
        let raw = columns.iter().map(ColumnChunkMetaData::uncompressed_size).sum();
        self.groups.push(
            RowGroupMetaData::builder(self.encoding.schema().clone())
                .set_column_metadata(columns)
                .set_total_byte_size(raw)
                .set_num_rows(rows as i64)
                .set_sorting_columns(self.encoding.sorting_columns())
                .set_ordinal(ordinal.into())
                .set_file_offset(file_offset)
                .build()?,
        );
        self.indexes.push(indexes);
        self.rows += rows;
        self.begun += begun.elapsed();
        Ok(())
    }

    /// Bytes of the row groups so far.
    pub fn bytes(&self) -> u64 {
        self.output.bytes_written() as u64
    }

    /// Memory that is kept for the footer, about.
    pub fn footer_bytes(&self) -> u64 {
        (self.groups.len() * self.encoding.columns().len() * CHUNK_METADATA_BYTES) as u64
    }

    /// Rows of the row groups so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes page index and footer, with these facts in it.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(self, facts: &[(&str, String)]) -> Result<Written<W>> {
        let begun = Instant::now();
        let facts = facts.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
        let (row_groups, schema) = (self.groups.len() as u64, self.encoding.schema().clone());
        let rows = self.rows as i64;
        let footer = FileMetaData::new(VERSION, rows, Some(CREATED_BY.into()), Some(facts), schema, None);
        let mut index = PageIndexBuilder::new(self.groups.len(), self.encoding.columns().len());
        for (group, indexes) in self.indexes.into_iter().enumerate() {
            for (column, (of_columns, of_offsets)) in indexes.into_iter().enumerate() {
                index.put_column_index(of_columns, group, column);
                index.put_offset_index(of_offsets, group, column);
            }
        }
        let metadata = ParquetMetaData::new(footer, self.groups).into_builder();
        let metadata = metadata.set_page_index(Some(Arc::new(index.build()))).build();
        // Also writes what `TrackedWrite` still holds.
        ParquetMetaDataWriter::new_with_tracked(self.output, &metadata).finish()?;
        let metered =
            Arc::into_inner(self.shared).ok_or_else(|| ParquetError::General("the output is in use".into()))?;
        let mut metered = metered.into_inner().unwrap_or_else(PoisonError::into_inner);
        metered.flush()?;
        let encode_time = (self.begun + begun.elapsed()).saturating_sub(metered.time);
        let Metered { write, bytes, time } = metered;
        Ok(Written { write, rows: self.rows, row_groups, bytes, encode_time, write_time: time })
    }
}

/// The footer has 16 bits for a row group's place.
fn too_many_groups() -> ParquetError {
    ParquetError::General(format!("more than {} row groups in one file", i16::MAX))
}

/// The output, which the footer's writer keeps to itself.
struct Output<W>(Arc<Mutex<Metered<W>>>);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
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
