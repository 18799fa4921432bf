//! What must be so of every case.

use std::{io::Read, str, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};

use super::case::{Case, How};
use crate::{
    dataset::{Column, ColumnType, CsvOptions},
    executor::{
        csv::{
            Dialect, Newline,
            blocks::{Block, Blocks, Limits},
            decode::{Decoded, Decoder, Layout},
            grid::{Grid, Room, Rows, Width},
            nulls::Nulls,
            reject::{Code, readable},
            split::{self, Splitter},
            value::{self, Formats, Text},
        },
        parquet,
    },
};

/// No text is read again so often.
const RESCAN_BYTES: u64 = 1 << 40;
/// Of blocks that groups are compared in.
const OTHER_BLOCK_BYTES: usize = 1 << 10;
/// Few, so that blocks are longer.
const TAIL_BYTES: usize = 32;

/// A cell: its text, and whether it was in quotes.
type Cell = (Vec<u8>, bool);

/// A record or a line that is none, as it is read record by record.
#[derive(Debug)]
struct Record {
    line: u64,
    offset: u64,
    /// Its text, without its line end; of a line that is no record, what is kept of it.
    raw: Vec<u8>,
    /// Why it is no record, or its cells.
    cells: Result<Vec<Cell>, Code>,
}

/// A row as it comes out: its values, or why it was set aside.
#[derive(Debug, PartialEq)]
enum Row {
    Kept(Vec<Value>),
    Rejected { line: u64, offset: u64, code: &'static str, column: Option<String>, raw: String },
}

#[derive(Debug, PartialEq)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i128),
    /// Its bits.
    Double(u64),
    Text(String),
}

pub(crate) fn check(case: &Case) -> Result<(), String> {
    let records = by_records(case);
    let How { block, group, record, .. } = case.how;
    let limits = Limits { block, group, record, rescan: RESCAN_BYTES, tail: TAIL_BYTES };
    let whole = cut(case, Limits { block: case.text.len() + 1, group: u64::MAX, ..limits }, usize::MAX)?;
    let torn = cut(case, limits, case.how.step)?;
    let others = cut(case, Limits { block: OTHER_BLOCK_BYTES, ..limits }, usize::MAX)?;
    let wide = Room { rows: usize::MAX, bytes: usize::MAX };
    let narrow = Room { rows: case.how.rows, bytes: case.how.bytes };
    let shaped = shaped(&records, &case.how);
    same("rows of the whole text", &grid(&whole, &case.how, wide), &shaped)?;
    same("rows of small blocks", &grid(&torn, &case.how, narrow), &shaped)?;
    same("group ends", &group_ends(&torn), &group_ends(&others))?;
    no_line_is_lost(case, &records, &torn)?;
    let columns = columns(&case.how);
    let expected = typed(&records, &columns, &case.how);
    same("values of the whole text", &decode(&whole, &columns, &case.how)?, &expected)?;
    same("values of small blocks", &decode(&torn, &columns, &case.how)?, &expected)?;
    as_the_csv_crate_reads(case, &records)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], expected: &[T]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let place = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let place = place.unwrap_or(found.len().min(expected.len()));
    Err(format!("{what}: at {place}: {:?} instead of {:?}", found.get(place), expected.get(place)))
}

/// A reader that gives a few bytes at a time.
struct Steps<'a>(&'a [u8], usize);

impl Read for Steps<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = into.len().min(self.1);
        self.0.read(&mut into[..length])
    }
}

fn cut(case: &Case, limits: Limits, step: usize) -> Result<Vec<Arc<Block>>, String> {
    let mut blocks = Blocks::new(Steps(&case.text, step), case.how.marks(), (0, 1), limits);
    let mut cut = Vec::new();
    while let Some(block) = blocks.next().map_err(|error| format!("cutting stops: {error:?}"))? {
        if block.bytes.is_empty() {
            return Err("a block without a byte".to_owned());
        }
        cut.push(Arc::new(block));
    }
    Ok(cut)
}

fn group_ends(blocks: &[Arc<Block>]) -> Vec<u64> {
    let ends = blocks.iter().filter(|block| block.ends_group);
    ends.map(|block| block.offset + block.bytes.len() as u64).collect()
}

/// All records, by the splitter that reads one after the other.
fn by_records(case: &Case) -> Vec<Record> {
    let How { delimiter, quote, escape, returns, comment, record, .. } = case.how;
    let newline = if returns { Newline::Cr } else { Newline::Lf };
    let dialect = Dialect { delimiter, quote, escape, newline, comment, encoding: String::new(), ..Dialect::default() };
    let limits = split::Limits { block: case.text.len() + 1, rows: usize::MAX, record, rescan: RESCAN_BYTES };
    let mut splitter = Splitter::new(case.text.as_slice(), &dialect, 0, limits);
    let (mut records, mut scratch) = (Vec::new(), Vec::new());
    let quoting = split::Quoting::new(&dialect);
    while splitter.advance().unwrap() {
        let batch = splitter.batch();
        for row in batch.rows {
            let cell = |field: &split::Field| (field.text(batch.bytes, quoting, &mut scratch).to_vec(), field.quoted);
            let cells = Ok(batch.fields(row).iter().map(cell).collect());
            records.push(Record { line: row.line, offset: row.offset, raw: batch.raw(row).to_vec(), cells });
        }
        let fault = |fault: &split::Fault| Record {
            line: fault.line,
            offset: fault.offset,
            raw: fault.raw.clone(),
            cells: Err(fault.code),
        };
        records.extend(batch.faults.iter().map(fault));
    }
    records.sort_by_key(|record| record.offset);
    records
}

/// A record's cells when it has as many as a row, else why it is none.
fn shape<'r>(record: &'r Record, how: &How) -> Result<&'r [Cell], Code> {
    let cells = record.cells.as_ref().map_err(|code| *code)?;
    match cells.len().checked_sub(how.width) {
        None if how.pads => Ok(cells),
        None => Err(Code::TooFewFields),
        Some(0) => Ok(cells),
        Some(1) if cells[how.width] == (Vec::new(), false) => Ok(&cells[..how.width]),
        Some(_) => Err(Code::TooManyFields),
    }
}

/// Where the rows of the right width are, and their cells; of the others, how many cells they have.
type Shaped = (u64, Vec<u8>, Result<Vec<Cell>, usize>);

fn shaped(records: &[Record], how: &How) -> Vec<Shaped> {
    let shaped = |record: &Record| {
        let count = record.cells.as_ref().ok()?.len();
        let cells = shape(record, how).map(|cells| {
            let mut cells = cells.to_vec();
            cells.resize(how.width, (Vec::new(), false));
            cells
        });
        Some((record.offset, record.raw.clone(), cells.map_err(|_| count)))
    };
    records.iter().filter_map(shaped).collect()
}

fn grid(blocks: &[Arc<Block>], how: &How, room: Room) -> Vec<Shaped> {
    let marks = how.marks();
    let (mut grid, mut scratch, mut found) = (Grid::default(), Vec::new(), Vec::new());
    for block in blocks {
        let mut rows = Rows::new(block, marks, Width { fields: how.width, pads: how.pads });
        while rows.next(&mut grid, room) {
            let first = found.len();
            for row in 0..grid.rows() {
                let place = grid.row(row);
                let cell = |column| {
                    let field = grid.field(row, column);
                    (field.text(&block.bytes, &marks, &mut scratch).to_vec(), field.is_quoted())
                };
                let cells = (0..how.width).map(cell).collect();
                found.push((block.offset + place.start as u64, block.bytes[place].to_vec(), Ok(cells)));
            }
            found.extend(grid.ragged().iter().map(|ragged| {
                let raw = block.bytes[ragged.start..ragged.end].to_vec();
                (block.offset + ragged.start as u64, raw, Err(ragged.fields))
            }));
            found[first..].sort_by_key(|row| row.0);
        }
    }
    found
}

/// Between records there are line ends and comments alone, and the rest of a line that is longer than a record may be;
/// and the blocks hold all of the text but such rests.
fn no_line_is_lost(case: &Case, records: &[Record], blocks: &[Arc<Block>]) -> Result<(), String> {
    let marks = case.how.marks();
    let text = &case.text;
    let line_end = |at: usize| memchr::memchr(marks.newline, &text[at..]).map_or(text.len(), |length| at + length + 1);
    let blank = |line: &[u8]| {
        let line = line.strip_suffix(&[marks.newline]).unwrap_or(line);
        line.iter().all(|&byte| byte == b'\r') || marks.comment.is_some_and(|comment| line.first() == Some(&comment))
    };
    let mut at = 0;
    let ends = records.iter().map(|record| record.offset as usize).chain([text.len()]);
    for (place, next) in ends.enumerate() {
        while at < next {
            if !blank(&text[at..line_end(at)]) {
                return Err(format!("the line at {at} is in no row"));
            }
            at = line_end(at);
        }
        let Some(record) = records.get(place) else { break };
        if at != next || !text[at..].starts_with(&record.raw) {
            return Err(format!("a row at {next} overlaps with what ends at {at}, or is not its text"));
        }
        let line = 1 + memchr::memchr_iter(marks.newline, &text[..at]).count() as u64;
        if line != record.line {
            return Err(format!("the row at {at} is said to be on line {}, and is on {line}", record.line));
        }
        at += record.raw.len();
        at = match record.cells {
            Err(Code::RecordTooLarge) => line_end(at),
            _ if text[at..line_end(at)].iter().all(|&byte| byte == b'\r' || byte == marks.newline) => line_end(at),
            _ => return Err(format!("the row before {at} does not end at a line end")),
        };
    }
    let mut at = 0;
    for block in blocks {
        let start = block.offset as usize;
        let is_rest = records.iter().any(|record| {
            matches!(record.cells, Err(Code::RecordTooLarge))
                && at == record.offset as usize + case.how.record
                && start == line_end(at)
        });
        if (start != at && !is_rest) || !text[start..].starts_with(&block.bytes) {
            return Err(format!("a block begins at {start}, the one before ends at {at}"));
        }
        let faults = block.faults.iter();
        let wrong = faults.filter(|fault| fault.offset != block.offset + fault.range.start as u64).count();
        if wrong > 0 {
            return Err(format!("faults of the block at {start} are elsewhere"));
        }
        at = start + block.bytes.len();
    }
    Ok(())
}

fn columns(how: &How) -> Vec<Column> {
    const TYPES: [ColumnType; 8] = [
        ColumnType::String,
        ColumnType::Int64,
        ColumnType::Double,
        ColumnType::Decimal { precision: 12, scale: 3 },
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::Boolean,
        ColumnType::Int32,
    ];
    let column =
        |place: usize| Column { name: format!("c{place}"), ty: TYPES[(how.types >> (3 * place) & 7) as usize] };
    (0..how.width).map(column).collect()
}

/// What must come out: each value is parsed alone.
fn typed(records: &[Record], columns: &[Column], how: &How) -> Vec<Row> {
    let nulls = Nulls::common(&CsvOptions::default());
    let row = |record: &Record| {
        let rejected = |code: Code, column: Option<String>| {
            let (line, offset, raw) = (record.line, record.offset, readable(&record.raw));
            Row::Rejected { line, offset, code: code.as_str(), column, raw }
        };
        let cells = match shape(record, how) {
            Ok(_) if str::from_utf8(&record.raw).is_err() => return rejected(Code::InvalidUtf8, None),
            Ok(cells) => cells,
            Err(code) => return rejected(code, None),
        };
        let missing = (Vec::new(), false);
        let mut values = Vec::with_capacity(columns.len());
        for (place, column) in columns.iter().enumerate() {
            match alone(cells.get(place).unwrap_or(&missing), column.ty, &nulls) {
                Some(value) => values.push(value),
                None => return rejected(Code::TypeMismatch, Some(column.name.clone())),
            }
        }
        Row::Kept(values)
    };
    records.iter().map(row).collect()
}

/// `None`: it does not fit.
fn alone((cell, is_quoted): &Cell, ty: ColumnType, nulls: &Nulls) -> Option<Value> {
    if ty == ColumnType::String {
        let is_null = !is_quoted && nulls.contain(cell);
        return Some(if is_null { Value::Null } else { Value::Text(String::from_utf8(cell.clone()).unwrap()) });
    }
    let cell = value::trim(cell);
    if nulls.contain(cell) {
        return Some(Value::Null);
    }
    let (text, formats) = (Text::from(cell), Formats::default());
    Some(match ty {
        ColumnType::Boolean => Value::Boolean(value::boolean(text)?),
        ColumnType::Int32 => Value::Integer(value::int32(text, formats)?.into()),
        ColumnType::Int64 => Value::Integer(value::int(text, formats)?.into()),
        ColumnType::Double => Value::Double(value::double(text, formats)?.to_bits()),
        ColumnType::Decimal { precision, scale } => Value::Integer(value::decimal(text, precision, scale, formats)?),
        ColumnType::Date => Value::Integer(value::date(text, formats)?.into()),
        ColumnType::Timestamp => Value::Integer(value::timestamp(text, formats)?.into()),
        ColumnType::String => return None,
    })
}

/// What the decoder makes of it. Kept rows and rejects are in the order of the file each; here they are put together by
/// where the rows came from.
fn decode(blocks: &[Arc<Block>], columns: &[Column], how: &How) -> Result<Vec<Row>, String> {
    let common = Nulls::common(&CsvOptions::default());
    let layout = Layout {
        columns: columns.into(),
        schema: parquet::schema(columns),
        fields: (0..columns.len()).map(Some).collect(),
        nulls: vec![Arc::clone(&common); columns.len()],
        common_nulls: common,
        formats: Formats::default(),
        width: Width { fields: how.width, pads: how.pads },
        trailing: false,
        marks: how.marks(),
        unknown: Vec::new(),
        guess: None,
    };
    let mut rows: Vec<(u64, Row)> = Vec::new();
    let mut decoder = Decoder::new(Arc::new(layout), true);
    let mut take = |decoded: Decoded| -> Result<(), ArrowError> {
        let kept = decoded.batch.as_ref().map_or(0, RecordBatch::num_rows);
        let counted = (kept + decoded.rejects.len()) as u64 == decoded.read && decoded.origins.len() == kept;
        let origin = |row| decoded.origins.reject(row, None, "".into(), String::new(), &how.marks());
        assert!(counted, "{} rows read, {kept} kept, {:?}", decoded.read, decoded.rejects);
        assert!(decoded.rejects.is_sorted_by_key(|reject| reject.offset), "rejects are not in order");
        if let Some(batch) = &decoded.batch {
            let row = |row| (origin(row).unwrap().offset, Row::Kept(values(batch, row)));
            rows.extend((0..kept).map(row));
        }
        rows.extend(decoded.rejects.into_iter().map(|reject| {
            let code = Code::ALL.iter().map(|code| code.as_str()).find(|code| *code == reject.code).unwrap_or("?");
            let (line, offset) = (reject.line, reject.offset);
            (offset, Row::Rejected { line, offset, code, column: reject.column, raw: reject.raw })
        }));
        Ok(())
    };
    let failed = |error: ArrowError| error.to_string();
    for block in blocks {
        decoder.block(block, &mut take).map_err(failed)?;
        if block.ends_group {
            decoder.finish(&mut take).map_err(failed)?;
        }
    }
    decoder.finish(&mut take).map_err(failed)?;
    rows.sort_by_key(|row| row.0);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn values(batch: &RecordBatch, row: usize) -> Vec<Value> {
    let value = |array: &Arc<dyn Array>| {
        if array.is_null(row) {
            return Value::Null;
        }
        if let Some(array) = array.as_string_opt::<i32>() {
            Value::Text(array.value(row).to_owned())
        } else if let Some(array) = array.as_boolean_opt() {
            Value::Boolean(array.value(row))
        } else if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            Value::Double(array.value(row).to_bits())
        } else if let Some(array) = array.as_primitive_opt::<Int32Type>() {
            Value::Integer(array.value(row).into())
        } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            Value::Integer(array.value(row).into())
        } else if let Some(array) = array.as_primitive_opt::<Date32Type>() {
            Value::Integer(array.value(row).into())
        } else if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            Value::Integer(array.value(row).into())
        } else {
            Value::Integer(array.as_primitive::<Decimal128Type>().value(row))
        }
    };
    batch.columns().iter().map(value).collect()
}

/// Whether both readers must read it alike: its quotes follow the rules, and nothing is in it in which they differ by
/// what they promise (CR, spaces behind a closing quote, a lone escape, a byte order mark, records that are too long).
fn is_common_ground(case: &Case, records: &[Record]) -> bool {
    let (text, how) = (&case.text, &case.how);
    let spaced = how.quote.is_some_and(|quote| text.windows(2).any(|pair| pair == [quote as u8, b' ']));
    let alone = how.escape.zip(how.quote).is_some_and(|(escape, quote)| {
        let mut rest = text.as_slice();
        while let Some(at) = memchr::memchr(escape as u8, rest) {
            if !rest.get(at + 1).is_some_and(|&next| next == quote as u8 || next == escape as u8) {
                return true;
            }
            rest = &rest[at + 2..];
        }
        false
    });
    let is_open = how.comment.is_some() && !text.ends_with(b"\n");
    let is_sound = records.iter().all(|record| record.cells.is_ok());
    !how.returns
        && !text.contains(&b'\r')
        && !text.starts_with(b"\xef\xbb\xbf")
        && !spaced
        && !alone
        && !is_open
        && is_sound
}

fn as_the_csv_crate_reads(case: &Case, records: &[Record]) -> Result<(), String> {
    if !is_common_ground(case, records) {
        return Ok(());
    }
    let How { delimiter, quote, escape, comment, .. } = case.how;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter as u8)
        .quoting(quote.is_some())
        .quote(quote.unwrap_or('"') as u8)
        .double_quote(escape.is_none())
        .escape(escape.map(|escape| escape as u8))
        .comment(comment.map(|comment| comment as u8))
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(512)
        .from_reader(case.text.as_slice());
    let theirs: Result<Vec<Vec<Vec<u8>>>, _> =
        reader.byte_records().map(|record| Ok(record?.iter().map(<[u8]>::to_vec).collect())).collect();
    let theirs = theirs.map_err(|error: csv::Error| error.to_string())?;
    let cells = |record: &Record| Some(record.cells.as_ref().ok()?.iter().map(|(text, _)| text.clone()).collect());
    let ours: Vec<Vec<Vec<u8>>> = records.iter().filter_map(cells).collect();
    same("records, against the csv crate's", &ours, &theirs)
}
