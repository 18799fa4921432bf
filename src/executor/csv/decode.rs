//! Fields → typed columns, a column at a time. A row with a value that does not fit leaves the batch as a whole and
//! becomes a reject.

mod cells;
mod origins;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, new_null_array},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::SchemaRef,
    error::ArrowError,
};

pub(crate) use self::origins::Origins;
use self::{
    cells::{Builder, Cells},
    origins::{Lines, Origin, explain, reject},
};
use super::{
    blocks::Block,
    grid::{Grid, RECORD_FIELDS_MAX, Room, Rows, Width},
    marks::Marks,
    nulls::Nulls,
    reject::{Code, Reject, quoted, readable},
    value::{self, Formats},
};
use crate::dataset::Column;

/// Rows of a batch at most.
pub const BATCH_ROWS_MAX: usize = 8192;
/// Bytes of text behind which a batch ends with its row: it bounds what wide rows and long texts take.
pub const BATCH_BYTES: usize = 512 * 1024;

/// How the rows of one file become the columns of a table.
#[derive(Debug)]
pub(crate) struct Layout {
    pub columns: Arc<[Column]>,
    /// Of the columns.
    pub schema: SchemaRef,
    /// For each column, its field in the file.
    pub fields: Vec<Option<usize>>,
    /// For each column, what means null in it.
    pub nulls: Vec<Arc<Nulls>>,
    /// What means null in other columns of the file.
    pub common_nulls: Arc<Nulls>,
    /// How values are written.
    pub formats: Formats,
    pub width: Width,
    /// The header ends with a delimiter behind which no column is expected.
    pub trailing: bool,
    pub marks: Marks,
    /// Fields that the table has no column for, and their names: rows with a value in one are set aside.
    pub unknown: Vec<(usize, String)>,
    /// The types are a guess, and for each column, whether no value of it has been seen yet.
    pub guess: Option<Arc<[bool]>>,
}

/// What became of some rows: those that fit, and the others.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// `None`: no row fits.
    pub batch: Option<RecordBatch>,
    /// For each row of `batch`, where it came from, where that was asked for.
    pub origins: Origins,
    /// In the order of the file.
    pub rejects: Vec<Reject>,
    /// Rows read.
    pub read: u64,
}

/// A value that its column's type cannot hold.
#[derive(Debug, Clone, Copy)]
struct Misfit {
    /// Row of the grid.
    row: u32,
    column: u32,
}

/// Turns the blocks of one file into batches of at most [`BATCH_ROWS_MAX`] rows. Where batches end depends on the rows
/// alone, not on the blocks that they came in.
pub(crate) struct Decoder {
    layout: Arc<Layout>,
    builders: Vec<Builder>,
    grid: Grid,
    /// Rows in the builders, and which of them are to leave.
    rows: usize,
    /// Bytes of their text.
    text: usize,
    leaving: Vec<usize>,
    rejects: Vec<Reject>,
    read: u64,
    origins: Option<Origins>,
    refuted: bool,
    misfits: Vec<Misfit>,
    scratch: Vec<u8>,
}

impl Decoder {
    /// `traced`: batches come with the origins of their rows.
    pub fn new(layout: Arc<Layout>, traced: bool) -> Self {
        Decoder {
            builders: layout.columns.iter().zip(&layout.fields).map(Builder::new).collect(),
            layout,
            grid: Grid::default(),
            rows: 0,
            text: 0,
            leaving: Vec::new(),
            rejects: Vec::new(),
            read: 0,
            origins: traced.then(Origins::default),
            refuted: false,
            misfits: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// A value refutes the guess of its column's type; what comes out is of no use.
    pub fn is_refuted(&self) -> bool {
        self.refuted
    }

    /// Decodes a block; batches that are full go to `take`.
    pub fn block<E: From<ArrowError>>(
        &mut self,
        block: &Arc<Block>,
        mut take: impl FnMut(Decoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_valid = str::from_utf8(&block.bytes).is_ok();
        let layout = Arc::clone(&self.layout);
        let mut rows = Rows::new(block, layout.marks, layout.width);
        let mut lines = Lines::of(block, &layout.marks);
        let mut faults = block.faults.iter().peekable();
        if let Some(origins) = &mut self.origins {
            origins.blocks.push(Arc::clone(block));
        }
        loop {
            let mut grid = std::mem::take(&mut self.grid);
            let before = rows.text();
            let room = Room { rows: BATCH_ROWS_MAX - self.rows, bytes: BATCH_BYTES - self.text };
            let more = rows.next(&mut grid, room);
            self.text += rows.text() - before;
            let first = self.rejects.len();
            while let Some(fault) = faults.next_if(|fault| fault.range.start < rows.at()) {
                self.read += 1;
                self.rejects.push(Reject {
                    line: fault.line,
                    offset: fault.offset,
                    column: None,
                    code: fault.code.as_str().into(),
                    message: explain(fault.code).to_owned(),
                    raw: readable(&fault.raw),
                    truncated: fault.truncated,
                });
            }
            if more {
                self.slab(block, &mut grid, is_valid, &mut lines);
            }
            self.grid = grid;
            self.rejects[first..].sort_by_key(|reject| reject.offset);
            if self.rows >= BATCH_ROWS_MAX || self.text >= BATCH_BYTES {
                take(self.batch()?)?;
                if let Some(origins) = &mut self.origins {
                    origins.blocks.push(Arc::clone(block));
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// What is left at the end of a group.
    pub fn finish<E: From<ArrowError>>(&mut self, take: impl FnOnce(Decoded) -> Result<(), E>) -> Result<(), E> {
        if self.rows == 0 && self.rejects.is_empty() {
            return Ok(());
        }
        take(self.batch()?)
    }

    fn slab(&mut self, block: &Arc<Block>, grid: &mut Grid, is_valid: bool, lines: &mut Lines<'_>) {
        self.read += (grid.rows() + grid.ragged().len()) as u64;
        let Layout { width: Width { fields: width, .. }, trailing, .. } = *self.layout;
        let is_guess = self.layout.guess.is_some();
        for ragged in grid.ragged() {
            self.refuted |= is_guess && trailing && ragged.fields == width + 1;
            let (code, message) = match ragged.fields {
                found if found > RECORD_FIELDS_MAX => (Code::TooManyFields, explain(Code::TooManyFields).to_owned()),
                found => {
                    let code = if found < width { Code::TooFewFields } else { Code::TooManyFields };
                    (code, format!("{found} fields, but the file has {width} columns"))
                }
            };
            let line = lines.at(ragged.start);
            let place = (ragged.start, ragged.end);
            self.rejects.push(reject(block, line, place, None, code.as_str().into(), message));
        }
        if !is_valid {
            self.reject_what_is_no_text(block, grid, lines);
        }
        let layout = Arc::clone(&self.layout);
        for (column, builder) in self.builders.iter_mut().enumerate() {
            let Some(field) = layout.fields[column] else { continue };
            let mut cells = Cells {
                bytes: &block.bytes,
                grid,
                field,
                column: column as u32,
                nulls: &layout.nulls[column],
                marks: &layout.marks,
                unseen: layout.guess.as_ref().is_some_and(|unseen| unseen.get(column) == Some(&true)),
                scratch: &mut self.scratch,
                misfits: &mut self.misfits,
            };
            builder.append(&mut cells, layout.formats, layout.guess.is_some());
        }
        for (place, (field, _)) in layout.unknown.iter().enumerate() {
            let column = (layout.columns.len() + place) as u32;
            for (row, field) in grid.column(*field).enumerate() {
                let text = value::trim(field.text(&block.bytes, &layout.marks, &mut self.scratch));
                if !layout.common_nulls.contain(text) {
                    self.misfits.push(Misfit { row: row as u32, column });
                }
            }
        }
        if let Some(origins) = &mut self.origins {
            let at = (origins.blocks.len() - 1) as u32;
            origins.rows.extend((0..grid.rows()).map(|row| {
                let place = grid.row(row);
                Origin { block: at, start: place.start as u32, end: place.end as u32 }
            }));
        }
        self.refuted |= is_guess && !self.misfits.is_empty();
        if !self.misfits.is_empty() {
            self.reject_misfits(block, grid, lines);
        }
        self.rows += grid.rows();
    }

    fn reject_what_is_no_text(&mut self, block: &Block, grid: &mut Grid, lines: &mut Lines<'_>) {
        let is_bad: Vec<bool> =
            (0..grid.rows()).map(|row| str::from_utf8(&block.bytes[grid.row(row)]).is_err()).collect();
        for row in (0..grid.rows()).filter(|&row| is_bad[row]) {
            let place = grid.row(row);
            let line = lines.at(place.start);
            let message = "the row holds bytes that are no text in its encoding".to_owned();
            let code = Code::InvalidUtf8.as_str().into();
            self.rejects.push(reject(block, line, (place.start, place.end), None, code, message));
        }
        grid.remove(&is_bad);
    }

    /// Rejects each row with a misfit once, for its first.
    fn reject_misfits(&mut self, block: &Block, grid: &Grid, lines: &mut Lines<'_>) {
        let layout = Arc::clone(&self.layout);
        let mut misfits = std::mem::take(&mut self.misfits);
        let known = layout.columns.len();
        let field = |misfit: &Misfit| match (misfit.column as usize).checked_sub(known) {
            Some(place) => layout.unknown[place].0,
            None => layout.fields[misfit.column as usize].unwrap_or_default(),
        };
        misfits.sort_by_key(|misfit| (misfit.row, field(misfit)));
        for of_row in misfits.chunk_by(|a, b| a.row == b.row) {
            let row = of_row[0].row as usize;
            self.leaving.push(self.rows + row);
            let value = grid.field(row, field(&of_row[0]));
            let value = quoted(value.text(&block.bytes, &layout.marks, &mut self.scratch));
            let more = match of_row.len() - 1 {
                0 => String::new(),
                others => format!(" (and {others} more in this row)"),
            };
            let column = of_row[0].column as usize;
            let (code, name, message) = match column.checked_sub(known) {
                Some(place) => {
                    let name = &layout.unknown[place].1;
                    (Code::UnknownColumn, name, format!("{value} is in a column that the table does not have{more}"))
                }
                None => {
                    let Column { name, ty } = &layout.columns[column];
                    (Code::TypeMismatch, name, format!("{value} does not fit type {ty}{more}"))
                }
            };
            let place = grid.row(row);
            let line = lines.at(place.start);
            let place = (place.start, place.end);
            self.rejects.push(reject(block, line, place, Some(name.clone()), code.as_str().into(), message));
        }
        misfits.clear();
        self.misfits = misfits;
    }

    /// What is in the builders, as a batch.
    fn batch(&mut self) -> Result<Decoded, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.text = 0;
        let schema = &self.layout.schema;
        let arrays: Result<Vec<ArrayRef>, ArrowError> = self
            .builders
            .iter_mut()
            .zip(schema.fields())
            .map(|(builder, field)| match builder.finish(rows)? {
                Some(array) => Ok(array),
                None => Ok(new_null_array(field.data_type(), rows)),
            })
            .collect();
        let mut batch = RecordBatch::try_new(Arc::clone(schema), arrays?)?;
        let mut origins = match &mut self.origins {
            Some(origins) => std::mem::take(origins),
            None => Origins::default(),
        };
        let leaving = std::mem::take(&mut self.leaving);
        if !leaving.is_empty() {
            let mut stays = BooleanBufferBuilder::new(rows);
            stays.append_n(rows, true);
            for row in leaving {
                stays.set_bit(row, false);
            }
            let stays: BooleanBuffer = stays.finish();
            let mut stays_too = stays.iter();
            origins.rows.retain(|_| stays_too.next().unwrap_or_default());
            batch = filter_record_batch(&batch, &BooleanArray::new(stays, None))?;
        }
        let rejects = std::mem::take(&mut self.rejects);
        let read = std::mem::take(&mut self.read);
        Ok(Decoded { batch: (batch.num_rows() > 0).then_some(batch), origins, rejects, read })
    }
}
