//! A row group in the making: it knows nothing of the file, so that several can be encoded at once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, UInt64Array},
    compute::{SortColumn, SortOptions, concat, interleave_record_batch, lexsort_to_indices},
};
use parquet::errors::{ParquetError, Result};

use super::{
    chunk::EncodedChunk,
    column::{ColumnEncoder, Workshop},
    encoding::Encoding,
    store::Store,
};

/// Rows that are put in order at a time.
const SORTED_BATCH_ROWS: usize = 8 * 1024;

/// Where a row group is made. The next one finds tables and buffers there as large as the last one needed them: memory
/// that goes back and comes again costs the kernel a fifth of the time that wide tables take.
struct Workplace {
    columns: Vec<ColumnEncoder>,
    workshop: Workshop,
}

/// Columns of a workplace that is kept. What thousands of them keep is more than the memory of a conversion allows.
const KEPT_COLUMNS_MAX: usize = 1000;

/// The workplaces of a file that nobody works at: never more than there were row groups in the making at once.
#[derive(Default)]
pub(super) struct Workplaces(Mutex<Vec<Workplace>>);

impl fmt::Debug for Workplaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workplaces")
    }
}

impl Workplaces {
    fn take(&self) -> Option<Workplace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, mut workplace: Workplace) {
        if workplace.columns.len() > KEPT_COLUMNS_MAX {
            return;
        }
        workplace.workshop.let_go_of_large();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(workplace);
    }
}

/// One row group in the making. What it makes depends on the rows alone, not on how they are cut into batches.
pub struct GroupEncoder {
    encoding: Arc<Encoding>,
    place: Workplace,
    rows: u64,
    /// Batches that wait for the end to be sorted; empty where no order is asked for.
    unsorted: Vec<RecordBatch>,
}

/// A row group as bytes.
pub struct EncodedGroup {
    pub(super) chunks: Vec<EncodedChunk>,
    /// All of their pages.
    pub(super) store: Store,
    rows: u64,
}

impl EncodedGroup {
    /// Rows of the group.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of its column chunks, which is also the memory they take.
    pub fn bytes(&self) -> u64 {
        self.store.len() as u64
    }
}

impl GroupEncoder {
    /// Begins a row group.
    ///
    /// # Errors
    /// A codec that cannot be set up.
    pub fn new(encoding: &Arc<Encoding>) -> Result<Self> {
        let place = match encoding.workplaces().take() {
            Some(place) => place,
            None => Workplace {
                columns: encoding.columns().iter().map(ColumnEncoder::new).collect::<Result<_>>()?,
                workshop: Workshop::new(encoding)?,
            },
        };
        Ok(GroupEncoder { place, encoding: encoding.clone(), rows: 0, unsorted: Vec::new() })
    }

    /// Takes rows in.
    ///
    /// # Errors
    /// Columns that are not the table's, or a page of 2 GiB.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.place.columns.len() {
            let (got, want) = (batch.num_columns(), self.place.columns.len());
            return Err(ParquetError::General(format!("a batch of {got} columns for a table of {want}")));
        }
        self.rows += batch.num_rows() as u64;
        match self.encoding.sort() {
            [] => self.encode(batch),
            _ => {
                self.unsorted.push(batch.clone());
                Ok(())
            }
        }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let plans = self.encoding.columns().iter();
        let Workplace { columns, workshop } = &mut self.place;
        for ((column, plan), array) in columns.iter_mut().zip(plans).zip(batch.columns()) {
            column.push(array, plan, &self.encoding, workshop)?;
        }
        Ok(())
    }

    /// Rows taken in.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Memory that its rows take: finished pages, dictionaries, and one page of values a column; and, where rows are to
    /// be sorted, all batches, of which the sort needs the keys a second time.
    pub fn memory_bytes(&self) -> usize {
        let columns: usize = self.place.columns.iter().map(ColumnEncoder::memory_bytes).sum();
        let unsorted: usize = self.unsorted.iter().map(RecordBatch::get_array_memory_size).sum();
        columns + unsorted
    }

    /// Bytes that the row group will have, about: pages in the making are counted as they are.
    pub fn encoded_bytes(&self) -> u64 {
        self.place.columns.iter().map(|column| column.encoded_bytes() as u64).sum()
    }

    /// Ends the row group.
    ///
    /// # Errors
    /// A page of 2 GiB, or a codec that fails.
    pub fn finish(mut self) -> Result<EncodedGroup> {
        if !self.unsorted.is_empty() {
            self.sort()?;
        }
        let plans = self.encoding.columns().iter();
        let Workplace { columns, workshop } = &mut self.place;
        let chunks = columns.iter_mut().zip(plans);
        let chunks = chunks.map(|(column, plan)| column.finish(plan, &self.encoding, workshop));
        let chunks = chunks.collect::<Result<_>>()?;
        let group = EncodedGroup { chunks, store: workshop.pages(&self.encoding), rows: self.rows };
        self.encoding.workplaces().put(self.place);
        Ok(group)
    }

    /// Encodes the waiting batches in order: ascending, nulls first; rows of equal keys as they came.
    fn sort(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.unsorted);
        let ascending = Some(SortOptions { descending: false, nulls_first: true });
        let mut keys = Vec::new();
        for &column in self.encoding.sort() {
            let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
            keys.push(SortColumn { values: concat(&arrays)?, options: ascending });
        }
        let came: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..self.rows));
        keys.push(SortColumn { values: came, options: ascending });
        let order = lexsort_to_indices(&keys, None)?;
        drop(keys);
        let places: Vec<(usize, usize)> = batches
            .iter()
            .enumerate()
            .flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)))
            .collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        for rows in order.values().chunks(SORTED_BATCH_ROWS) {
            let rows: Vec<(usize, usize)> = rows.iter().map(|&row| places[row as usize]).collect();
            self.encode(&interleave_record_batch(&batches, &rows)?)?;
        }
        Ok(())
    }
}
