//! Records → typed columns, a column at a time. A row with a value that does not fit leaves the batch as a whole and
//! becomes a reject.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBufferBuilder, PrimitiveArray, RecordBatch, StringArray, new_null_array},
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::filter_record_batch,
    datatypes::{
        ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, SchemaRef,
        TimestampMicrosecondType,
    },
    error::ArrowError,
};

use super::{
    super::parquet::TIMESTAMP_ZONE,
    Dialect,
    nulls::Nulls,
    reject::{Code, Reject, quoted, readable},
    split::{Batch, RAW_BYTES_MAX, Row},
    value,
};
use crate::dataset::{Column, ColumnType};

/// Turns the batches of one file into the columns of a table.
pub(crate) struct Decoder<'a> {
    columns: &'a [Column],
    schema: SchemaRef,
    /// For each column, its field in the file.
    fields: &'a [Option<usize>],
    /// Fields of a row.
    width: usize,
    /// One empty field more is no fault: the header ends with a delimiter, too.
    trailing: bool,
    nulls: &'a Nulls,
    quote: u8,
    scratch: Vec<u8>,
}

/// What became of a batch: the rows that fit, and the others.
pub(crate) struct Decoded {
    pub batch: Option<RecordBatch>,
    /// For each row of `batch`, its record.
    pub records: Vec<Row>,
    pub rejects: Vec<Reject>,
}

/// A value that its column's type cannot hold.
#[derive(Clone, Copy)]
struct Misfit {
    /// Index among the rows that are decoded.
    row: usize,
    column: usize,
}

impl<'a> Decoder<'a> {
    pub fn new(
        columns: &'a [Column],
        schema: SchemaRef,
        fields: &'a [Option<usize>],
        (width, trailing): (usize, bool),
        nulls: &'a Nulls,
        dialect: &Dialect,
    ) -> Self {
        let quote = dialect.quote as u8;
        Decoder { columns, schema, fields, width, trailing, nulls, quote, scratch: Vec::new() }
    }

    /// Decodes a batch. Every row and every fault of it comes out once, kept or rejected.
    pub fn decode(&mut self, batch: &Batch<'_>) -> Result<Decoded, ArrowError> {
        let mut rejects: Vec<Reject> = Vec::new();
        let mut rows: Vec<Row> = Vec::with_capacity(batch.rows.len());
        let valid = str::from_utf8(batch.text()).is_ok();
        for row in batch.rows {
            let problem = match self.check_width(batch, row) {
                None if valid || str::from_utf8(batch.raw(row)).is_ok() => None,
                None => Some((Code::InvalidUtf8, "the row holds bytes that are no text in its encoding".to_owned())),
                problem => problem,
            };
            match problem {
                None => rows.push(*row),
                Some((code, message)) => rejects.push(batch.reject(row, None, code.as_str().into(), message)),
            }
        }
        let mut misfits = Vec::new();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in 0..self.columns.len() {
            arrays.push(self.column(batch, &rows, column, &mut misfits)?);
        }
        let mut decoded = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        if !misfits.is_empty() {
            let fitting = !&self.reject_misfits(batch, &rows, misfits, &mut rejects);
            let mut fits = fitting.iter();
            rows.retain(|_| fits.next().unwrap_or_default());
            decoded = filter_record_batch(&decoded, &BooleanArray::new(fitting, None))?;
        }
        rejects.extend(batch.faults.iter().map(|fault| Reject {
            line: fault.line,
            offset: fault.offset,
            column: None,
            code: fault.code.as_str().into(),
            message: explain(fault.code).to_owned(),
            raw: readable(&fault.raw),
            truncated: fault.truncated,
        }));
        rejects.sort_by_key(|reject| reject.offset);
        Ok(Decoded { batch: (!rows.is_empty()).then_some(decoded), records: rows, rejects })
    }

    fn check_width(&self, batch: &Batch<'_>, row: &Row) -> Option<(Code, String)> {
        let (found, width) = (row.field_count(), self.width);
        let more = |code| Some((code, format!("{found} fields, but the file has {width} columns")));
        if found < width {
            return more(Code::TooFewFields);
        }
        let allowed = self.trailing && found == width + 1 && {
            let last = batch.field(row, width);
            last.is_empty() && !last.quoted
        };
        if found > width && !allowed { more(Code::TooManyFields) } else { None }
    }

    /// Rejects each row with a misfit once, for its first; returns which rows these are.
    fn reject_misfits(
        &mut self,
        batch: &Batch<'_>,
        rows: &[Row],
        mut misfits: Vec<Misfit>,
        rejects: &mut Vec<Reject>,
    ) -> BooleanBuffer {
        let mut rejected = BooleanBufferBuilder::new(rows.len());
        rejected.append_n(rows.len(), false);
        misfits.sort_by_key(|misfit| (misfit.row, self.fields[misfit.column]));
        for of_row in misfits.chunk_by(|a, b| a.row == b.row) {
            let Misfit { row, column } = of_row[0];
            rejected.set_bit(row, true);
            let (row, column, field) = (&rows[row], &self.columns[column], self.fields[column].unwrap_or_default());
            let value = quoted(batch.field(row, field).text(batch.bytes, self.quote, &mut self.scratch));
            let more = match of_row.len() - 1 {
                0 => String::new(),
                others => format!(" (and {others} more in this row)"),
            };
            let message = format!("{value} does not fit type {}{more}", column.ty);
            let code = Code::TypeMismatch.as_str().into();
            rejects.push(batch.reject(row, Some(column.name.clone()), code, message));
        }
        rejected.finish()
    }

    fn column(
        &mut self,
        batch: &Batch<'_>,
        rows: &[Row],
        column: usize,
        misfits: &mut Vec<Misfit>,
    ) -> Result<ArrayRef, ArrowError> {
        let ty = self.columns[column].ty;
        let Some(field) = self.fields[column] else {
            return Ok(new_null_array(self.schema.field(column).data_type(), rows.len()));
        };
        let mut cells = Cells {
            batch,
            rows,
            field,
            column,
            nulls: self.nulls,
            quote: self.quote,
            scratch: &mut self.scratch,
            misfits,
        };
        Ok(match ty {
            ColumnType::Boolean => Arc::new(cells.booleans()),
            ColumnType::Int32 => Arc::new(cells.primitives::<Int32Type>(value::int32)),
            ColumnType::Int64 => Arc::new(cells.primitives::<Int64Type>(value::int)),
            ColumnType::Double => Arc::new(cells.primitives::<Float64Type>(value::double)),
            ColumnType::Decimal { precision, scale } => Arc::new(
                cells
                    .primitives::<Decimal128Type>(|text| value::decimal(text, precision, scale))
                    .with_precision_and_scale(precision, scale as i8)?,
            ),
            ColumnType::Date => Arc::new(cells.primitives::<Date32Type>(value::date)),
            ColumnType::Timestamp => {
                Arc::new(cells.primitives::<TimestampMicrosecondType>(value::timestamp).with_timezone(TIMESTAMP_ZONE))
            }
            ColumnType::String => Arc::new(cells.strings()?),
        })
    }
}

/// One column's cells in a batch.
struct Cells<'a> {
    batch: &'a Batch<'a>,
    rows: &'a [Row],
    field: usize,
    column: usize,
    nulls: &'a Nulls,
    quote: u8,
    scratch: &'a mut Vec<u8>,
    misfits: &'a mut Vec<Misfit>,
}

impl Cells<'_> {
    /// Values in row order, null where the cell is, and (with a misfit noted) where it does not parse.
    fn parse<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>, mut push: impl FnMut(Option<T>)) {
        for (row, record) in self.rows.iter().enumerate() {
            let field = self.batch.field(record, self.field);
            let text = value::trim(field.text(self.batch.bytes, self.quote, self.scratch));
            let value = if self.nulls.contain(text) {
                None
            } else {
                let value = parse(text);
                if value.is_none() {
                    self.misfits.push(Misfit { row, column: self.column });
                }
                value
            };
            push(value);
        }
    }

    fn primitives<T: ArrowPrimitiveType>(&mut self, parse: impl Fn(&[u8]) -> Option<T::Native>) -> PrimitiveArray<T>
    where
        T::Native: Default,
    {
        let mut values = Vec::with_capacity(self.rows.len());
        let mut valid = Validity::new(self.rows.len());
        self.parse(parse, |value| {
            valid.push(value.is_some());
            values.push(value.unwrap_or_default());
        });
        PrimitiveArray::new(ScalarBuffer::from(values), valid.finish())
    }

    fn booleans(&mut self) -> BooleanArray {
        let mut values = BooleanBufferBuilder::new(self.rows.len());
        let mut valid = Validity::new(self.rows.len());
        self.parse(value::boolean, |value| {
            valid.push(value.is_some());
            values.append(value.unwrap_or_default());
        });
        BooleanArray::new(values.finish(), valid.finish())
    }

    /// Text as it stands. A quoted cell is never null: quotes say that it is text.
    fn strings(&mut self) -> Result<StringArray, ArrowError> {
        let mut offsets: Vec<i32> = Vec::with_capacity(self.rows.len() + 1);
        let mut bytes: Vec<u8> = Vec::new();
        let mut valid = Validity::new(self.rows.len());
        offsets.push(0);
        for record in self.rows {
            let field = self.batch.field(record, self.field);
            let text = field.text(self.batch.bytes, self.quote, self.scratch);
            let null = !field.quoted && self.nulls.contain(text);
            if !null {
                bytes.extend_from_slice(text);
            }
            valid.push(!null);
            offsets.push(bytes.len() as i32); // a batch holds far less than 2 GiB
        }
        StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes.into(), valid.finish())
    }
}

/// A validity bitmap that is made only when there is a null.
struct Validity {
    bits: BooleanBufferBuilder,
    any_null: bool,
}

impl Validity {
    fn new(capacity: usize) -> Self {
        Validity { bits: BooleanBufferBuilder::new(capacity), any_null: false }
    }

    fn push(&mut self, valid: bool) {
        self.bits.append(valid);
        self.any_null |= !valid;
    }

    fn finish(mut self) -> Option<NullBuffer> {
        self.any_null.then(|| NullBuffer::new(self.bits.finish()))
    }
}

impl Batch<'_> {
    /// Sets a row aside, with where it was and its text.
    pub fn reject(&self, row: &Row, column: Option<String>, code: Cow<'static, str>, message: String) -> Reject {
        let raw = self.raw(row);
        let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
        let truncated = kept.len() < raw.len();
        Reject { line: row.line, offset: row.offset, column, code, message, raw: readable(kept), truncated }
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
