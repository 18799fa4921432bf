//! One column's cells → its values.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBufferBuilder, PrimitiveArray, StringArray},
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{ArrowPrimitiveType, Decimal128Type, TimestampMicrosecondType},
    error::ArrowError,
};

use super::{
    super::{
        super::parquet::TIMESTAMP_ZONE,
        grid::{Field, Grid, unescape},
        marks::Marks,
        nulls::Nulls,
        value::{self, Formats, Kinds, Text},
    },
    BATCH_ROWS_MAX, Misfit,
};
use crate::dataset::{Column, ColumnType};

/// One column's cells in a slab.
pub(super) struct Cells<'a> {
    pub bytes: &'a [u8],
    pub grid: &'a Grid,
    pub field: usize,
    pub column: u32,
    pub nulls: &'a Nulls,
    pub marks: &'a Marks,
    /// No value has been seen, so that the first one is a misfit.
    pub unseen: bool,
    pub scratch: &'a mut Vec<u8>,
    pub misfits: &'a mut Vec<Misfit>,
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
pub(super) enum Builder {
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
    pub fn new((column, field): (&Column, &Option<usize>)) -> Self {
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
    pub fn append(&mut self, cells: &mut Cells<'_>, formats: Formats, strict: bool) {
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
    pub fn finish(&mut self, rows: usize) -> Result<Option<ArrayRef>, ArrowError> {
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
            unescape(&bytes[place], cells.marks, out);
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
pub(super) struct Validity(Option<BooleanBufferBuilder>);

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
