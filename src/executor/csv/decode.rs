//! Fields → typed columns, a column at a time. A row with a value that does not fit leaves the batch as a whole and
//! becomes a reject.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBufferBuilder, PrimitiveArray, RecordBatch, StringArray, new_null_array},
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::filter_record_batch,
    datatypes::{ArrowPrimitiveType, Decimal128Type, SchemaRef, TimestampMicrosecondType},
    error::ArrowError,
};

use super::{
    super::parquet::TIMESTAMP_ZONE,
    blocks::{Block, RAW_BYTES_MAX},
    grid::{Field, Grid, RECORD_FIELDS_MAX, Room, Rows, Width},
    marks::Marks,
    nulls::Nulls,
    reject::{Code, Reject, quoted, readable},
    value::{self, Formats, Kinds, Text},
};
use crate::dataset::{Column, ColumnType};

/// Rows of a batch at most.
pub const BATCH_ROWS_MAX: usize = 8192;
/// Bytes of text behind which a batch ends with its row: it bounds what wide rows and long texts take.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

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

/// Where rows of a batch came from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    blocks: Vec<Arc<Block>>,
    rows: Vec<Origin>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Among the blocks.
    block: u32,
    start: u32,
    end: u32,
}

impl Origins {
    /// How many rows it knows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Lines of the first row's first byte and of the last row's last, counted from 1.
    pub fn lines(&self, marks: &Marks) -> Option<(u64, u64)> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        let line = |origin: &Origin, at: u32| {
            let block = &self.blocks[origin.block as usize];
            Lines::of(block, marks).at(at as usize)
        };
        Some((line(first, first.start), line(last, last.end)))
    }

    /// A row of the batch, set aside.
    pub fn reject(
        &self,
        row: usize,
        column: Option<String>,
        code: Cow<'static, str>,
        message: String,
        marks: &Marks,
    ) -> Option<Reject> {
        let origin = self.rows.get(row)?;
        let block = &self.blocks[origin.block as usize];
        let line = Lines::of(block, marks).at(origin.start as usize);
        Some(reject(block, line, (origin.start as usize, origin.end as usize), column, code, message))
    }
}

/// Counts lines on the way through a block.
struct Lines<'a> {
    block: &'a Block,
    newline: u8,
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(block: &'a Block, marks: &Marks) -> Self {
        Lines { block, newline: marks.newline, at: 0, line: block.line }
    }

    /// The line of this byte. Going forward costs what lies between; going back starts anew.
    fn at(&mut self, at: usize) -> u64 {
        if at < self.at {
            (self.at, self.line) = (0, self.block.line);
        }
        self.line += memchr::memchr_iter(self.newline, &self.block.bytes[self.at..at]).count() as u64;
        self.at = at;
        self.line
    }
}

fn reject(
    block: &Block,
    line: u64,
    (start, end): (usize, usize),
    column: Option<String>,
    code: Cow<'static, str>,
    message: String,
) -> Reject {
    let raw = &block.bytes[start..end];
    let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
    let truncated = kept.len() < raw.len();
    let offset = block.offset + start as u64;
    Reject { line, offset, column, code, message, raw: readable(kept), truncated }
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

/// One column's cells in a slab.
struct Cells<'a> {
    bytes: &'a [u8],
    grid: &'a Grid,
    field: usize,
    column: u32,
    nulls: &'a Nulls,
    marks: &'a Marks,
    /// No value has been seen, so that the first one is a misfit.
    unseen: bool,
    scratch: &'a mut Vec<u8>,
    misfits: &'a mut Vec<Misfit>,
}

impl Cells<'_> {
    /// Adds the values, in the order of the rows; null where the cell is, and (with a misfit noted) where it does not
    /// parse.
    #[inline(always)]
    fn parse<T: Default>(&mut self, values: &mut Vec<T>, valid: &mut Validity, parse: impl Fn(Text<'_>) -> Option<T>) {
        let first = values.len();
        let (grid, bytes, nulls) = (self.grid, self.bytes, self.nulls);
        values.extend(grid.column(self.field).enumerate().map(|(row, field)| {
            let place = field.range();
            if !field.is_escaped()
                && bytes.get(place.start).is_some_and(|&first| !nulls.may_begin_with(first))
                && let Some(value) = parse(Text::new(bytes, place.start, place.end))
            {
                return value;
            }
            match self.carefully(field, row, &parse) {
                Some(value) => value,
                None => {
                    valid.null(first + row);
                    T::default()
                }
            }
        }));
    }

    /// What is no plain value: null, a value with spaces around it, or a misfit.
    #[inline(never)]
    fn carefully<T>(&mut self, field: Field, row: usize, parse: &impl Fn(Text<'_>) -> Option<T>) -> Option<T> {
        if field.is_empty() {
            return None;
        }
        let text = value::trim(field.text(self.bytes, self.marks, self.scratch));
        if self.nulls.contain(text) {
            return None;
        }
        let value = parse(Text::from(text));
        if value.is_none() {
            self.misfits.push(Misfit { row: row as u32, column: self.column });
        }
        value
    }
}

/// A column in the making.
enum Builder {
    /// The file does not have it.
    Missing,
    Boolean(Vec<bool>, Validity),
    Int32(Vec<i32>, Validity),
    Int64(Vec<i64>, Validity),
    Double(Vec<f64>, Validity),
    Decimal(Vec<i128>, Validity, (u8, u8)),
    Date(Vec<i32>, Validity),
    Timestamp(Vec<i64>, Validity),
    Text(Vec<i32>, Vec<u8>, Validity),
}

impl Builder {
    fn new((column, field): (&Column, &Option<usize>)) -> Self {
        let valid = Validity::default();
        if field.is_none() {
            return Builder::Missing;
        }
        match column.ty {
            ColumnType::Boolean => Builder::Boolean(Vec::new(), valid),
            ColumnType::Int32 => Builder::Int32(Vec::new(), valid),
            ColumnType::Int64 => Builder::Int64(Vec::new(), valid),
            ColumnType::Double => Builder::Double(Vec::new(), valid),
            ColumnType::Decimal { precision, scale } => Builder::Decimal(Vec::new(), valid, (precision, scale)),
            ColumnType::Date => Builder::Date(Vec::new(), valid),
            ColumnType::Timestamp => Builder::Timestamp(Vec::new(), valid),
            ColumnType::String => Builder::Text(vec![0], Vec::new(), valid),
        }
    }

    /// `strict`: a value must be one by which the type would be found out.
    fn append(&mut self, cells: &mut Cells<'_>, formats: Formats, strict: bool) {
        match self {
            Builder::Missing => {}
            Builder::Int64(values, valid) if strict => {
                cells.parse(values, valid, |text| value::strict_int(text, formats));
            }
            Builder::Double(values, valid) if strict => {
                cells.parse(values, valid, |text| value::strict_double(text, formats));
            }
            Builder::Decimal(values, valid, (precision, scale)) if strict => {
                let (precision, scale) = (*precision, *scale);
                cells.parse(values, valid, |text| {
                    let fits = value::shape(text.trim(), formats).kinds.has(Kinds::DECIMAL);
                    fits.then(|| value::decimal(text, precision, scale, formats)).flatten()
                });
            }
            Builder::Boolean(values, valid) => cells.parse(values, valid, value::boolean),
            Builder::Int32(values, valid) => cells.parse(values, valid, |text| value::int32(text, formats)),
            Builder::Int64(values, valid) => cells.parse(values, valid, |text| value::int(text, formats)),
            Builder::Double(values, valid) => cells.parse(values, valid, |text| value::double(text, formats)),
            Builder::Decimal(values, valid, (precision, scale)) => {
                let (precision, scale) = (*precision, *scale);
                cells.parse(values, valid, |text| value::decimal(text, precision, scale, formats));
            }
            Builder::Date(values, valid) => cells.parse(values, valid, |text| value::date(text, formats)),
            Builder::Timestamp(values, valid) => cells.parse(values, valid, |text| value::timestamp(text, formats)),
            Builder::Text(offsets, bytes, valid) => texts(cells, offsets, bytes, valid),
        }
    }

    /// The column so far; `None` when the file does not have it.
    fn finish(&mut self, rows: usize) -> Result<Option<ArrayRef>, ArrowError> {
        fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, valid: &mut Validity) -> PrimitiveArray<T> {
            let rows = values.len();
            PrimitiveArray::new(ScalarBuffer::from(take(values)), valid.finish(rows))
        }
        Ok(Some(match self {
            Builder::Missing => return Ok(None),
            Builder::Boolean(values, valid) => {
                Arc::new(BooleanArray::new(BooleanBuffer::from(std::mem::take(values)), valid.finish(rows)))
            }
            Builder::Int32(values, valid) => Arc::new(primitive::<arrow::datatypes::Int32Type>(values, valid)),
            Builder::Int64(values, valid) => Arc::new(primitive::<arrow::datatypes::Int64Type>(values, valid)),
            Builder::Double(values, valid) => Arc::new(primitive::<arrow::datatypes::Float64Type>(values, valid)),
            Builder::Decimal(values, valid, (precision, scale)) => {
                Arc::new(primitive::<Decimal128Type>(values, valid).with_precision_and_scale(*precision, *scale as i8)?)
            }
            Builder::Date(values, valid) => Arc::new(primitive::<arrow::datatypes::Date32Type>(values, valid)),
            Builder::Timestamp(values, valid) => {
                Arc::new(primitive::<TimestampMicrosecondType>(values, valid).with_timezone(TIMESTAMP_ZONE))
            }
            Builder::Text(offsets, bytes, valid) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                let capacity = bytes.capacity();
                let bytes = std::mem::replace(bytes, Vec::with_capacity(capacity.min(1 << 20)));
                Arc::new(StringArray::try_new(offsets, bytes.into(), valid.finish(rows))?)
            }
        }))
    }
}

/// The vector, leaving one with as much room.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.capacity();
    std::mem::replace(values, Vec::with_capacity(capacity))
}

/// Text as it stands. A quoted cell is never null: quotes say that it is text.
fn texts(cells: &mut Cells<'_>, offsets: &mut Vec<i32>, out: &mut Vec<u8>, valid: &mut Validity) {
    /// Texts up to this length are copied as a whole of this length: that takes two instructions, not a call.
    const SHORT: usize = 16;
    let (grid, bytes) = (cells.grid, cells.bytes);
    let first = offsets.len() - 1;
    offsets.reserve(grid.rows());
    for (row, field) in grid.column(cells.field).enumerate() {
        let place = field.range();
        let length = out.len();
        if field.is_escaped() {
            out.extend_from_slice(field.text(bytes, cells.marks, cells.scratch));
        } else if !field.is_quoted() && cells.nulls.contain(&bytes[place.clone()]) {
            valid.null(first + row);
        } else if place.len() <= SHORT
            && let Some(whole) = bytes.get(place.start..place.start + SHORT)
        {
            out.extend_from_slice(whole);
            out.truncate(length + place.len());
        } else {
            out.extend_from_slice(&bytes[place]);
        }
        if cells.unseen && !cells.nulls.contain(value::trim(&out[length..])) {
            cells.misfits.push(Misfit { row: row as u32, column: cells.column });
        }
        offsets.push(out.len() as i32); // a batch holds little more than BATCH_BYTES and a record
    }
}

/// A validity bitmap that is made only when there is a null.
#[derive(Default)]
struct Validity(Option<BooleanBufferBuilder>);

impl Validity {
    /// The row is null; all between the last null and it are valid.
    fn null(&mut self, row: usize) {
        let bits = self.0.get_or_insert_with(|| BooleanBufferBuilder::new(BATCH_ROWS_MAX));
        bits.append_n(row - bits.len(), true);
        bits.append(false);
    }

    fn finish(&mut self, rows: usize) -> Option<NullBuffer> {
        let mut bits = self.0.take()?;
        bits.append_n(rows - bits.len(), true);
        Some(NullBuffer::new(bits.finish()))
    }
}

fn explain(code: Code) -> &'static str {
    match code {
        Code::UnterminatedQuote => "a quote opens and does not close; only this line was set aside",
        Code::StrayQuote => "text follows a closing quote; a quote inside a quoted field must be doubled",
        Code::RecordTooLarge => "the record is longer than lake takes",
        Code::TooManyFields => "the record has more fields than lake takes",
        Code::TooFewFields | Code::TypeMismatch | Code::UnknownColumn | Code::InvalidUtf8 => "", // these are told by the row's own message
    }
}
