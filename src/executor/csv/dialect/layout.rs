//! Where the table begins in the sample: lines above it, and the rows of its header.
//!
//! Nothing is taken for no part of the table without a sign of it, since what is skipped is in no output: lines above
//! the table must look otherwise than it, and a header must stand below them, a blank line, or plain text in one field.

use std::collections::HashSet;

use super::{
    super::{header, reject::readable, split::Batch},
    Dialect,
    look::Look,
    table::{Table, cells},
};
use crate::dataset::Column;

/// Records above a table that are looked through for its beginning.
const PREAMBLE_RECORDS_MAX: usize = 100;
/// Rows of a header that are found out at most; more can be set.
const HEADER_ROWS_FOUND_MAX: usize = 4;

/// Where things are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Lines above the header.
    pub skip_lines: u64,
    pub skip: Found,
    pub header_rows: u32,
    pub header: Found,
}

/// How sure it is, in percent, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub sure: u8,
    pub why: String,
}

fn found(sure: u8, why: impl Into<String>) -> Found {
    Found { sure, why: why.into() }
}

/// What the layout is judged by.
pub(super) struct Sample<'a> {
    pub batch: &'a Batch<'a>,
    pub table: &'a Table,
    pub dialect: &'a Dialect,
    /// Columns of the table that the file is for; empty when there is none.
    pub known: &'a [Column],
}

/// What a record above the table looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    /// Plain text.
    Plain,
    /// Something that may also be part of the table: there must be a header below it.
    Doubtful,
    /// Part of the table.
    Part,
}

impl Sample<'_> {
    /// `rows`: how many rows the header has, where that is said.
    /// `settled`: the table begins with the first record.
    pub fn layout(&self, rows: Option<u32>, settled: bool) -> Layout {
        let (start, skip) = if settled { (0, found(100, "")) } else { self.start() };
        let skip_lines = match start {
            0 => 0,
            _ => self.table.records[start].lines.0 - 1,
        };
        if let Some(broken) = self.broken_header(start, skip_lines) {
            return Layout { skip_lines: 0, skip, header_rows: 1, header: broken };
        }
        let (header_rows, header) = self.header(start);
        Layout { skip_lines, skip, header_rows: rows.unwrap_or(header_rows), header }
    }

    /// The record that the table begins with.
    fn start(&self) -> (usize, Found) {
        let records = &self.table.records;
        if let Some(named) = self.named() {
            let why = match named {
                0 => "the first record has the table's column names".to_owned(),
                _ => format!("line {} has the table's column names", records[named].lines.0),
            };
            return (named, found(99, why));
        }
        let none = found(90, "the first record is as wide as the table");
        let above: Vec<Above> = (0..records.len().min(PREAMBLE_RECORDS_MAX)).map(|at| self.above(at)).collect();
        let Some(start) = above.iter().position(|above| *above == Above::Part).filter(|start| *start > 0) else {
            return self.below_prose().unwrap_or((0, none));
        };
        if let Some(header) = self.below_prose().filter(|_| !self.is_wide(start)) {
            return header;
        }
        let unsure = found(50, "what stands at the top does not look like part of the table, but may be");
        if above[0] == Above::Plain && records[start].width != self.table.width {
            return self.below_title(start).map_or((0, unsure), |below| below);
        }
        if records[start].width != self.table.width || self.is_table(start) {
            return (0, unsure);
        }
        let (lines, header) =
            (records[start].lines.0 - 1, self.header_like(start, start, 1) || self.is_named_by_text(start));
        if header || self.table.gap_before(start) {
            let why = format!("{lines} lines above the header are not as the rows of the table are");
            return (start, found(if header { 90 } else { 75 }, why));
        }
        if above[..start].iter().all(|above| *above == Above::Plain) {
            let why = format!("{lines} lines above the table are text in one field");
            return (start, found(70, why));
        }
        // A commented line as wide as the table is its header, when no other is there.
        match (1..start).find(|&at| above[at] == Above::Doubtful && self.is_comment(at) && self.is_wide(at)) {
            Some(header) if above[..header].iter().all(|above| *above == Above::Plain) => {
                let lines = records[header].lines.0 - 1;
                (header, found(75, format!("{lines} lines above the header are comments")))
            }
            _ => (0, unsure),
        }
    }

    /// The first record that is as wide as the table, when it is names above values, and nothing is a value in the
    /// narrower ones before it.
    fn below_prose(&self) -> Option<(usize, Found)> {
        let records = &self.table.records;
        let start = (0..records.len().min(PREAMBLE_RECORDS_MAX)).find(|&at| self.is_wide(at))?;
        let prose = |at: usize| {
            records[at].width < self.table.width && !self.table.looks(at).iter().any(|look| look.is_typed())
        };
        let names = (0..start).all(prose) && !self.is_table(start) && self.header_like(start, start, 1);
        let why = format!("{} lines of text stand above names and values", records[start].lines.0 - 1);
        (start > 0 && names).then(|| (start, found(80, why)))
    }

    /// A title in one field is no header of a table of several columns: that is the first record that is as wide as the
    /// table, when it is text that may name columns. Before it are records of other widths.
    fn below_title(&self, from: usize) -> Option<(usize, Found)> {
        let records = &self.table.records;
        let start = (from..records.len().min(PREAMBLE_RECORDS_MAX)).find(|&at| self.is_wide(at))?;
        let cells = cells(self.batch, &self.batch.rows[start], self.dialect);
        let distinct: HashSet<&Vec<u8>> = cells.iter().collect();
        let names = self.table.looks(start).iter().all(|look| look.is_text()) && distinct.len() == cells.len();
        let below = records.len() - start;
        let why = format!("{} lines stand above the first that is as wide as the table", records[start].lines.0 - 1);
        (names && below > 2 && below > start && !self.is_table(start)).then(|| (start, found(60, why)))
    }

    /// The first record with the names of the table's columns: more than half of its cells, or all columns.
    fn named(&self) -> Option<usize> {
        if self.known.is_empty() {
            return None;
        }
        let rows = self.batch.rows.iter().take(self.table.records.len().min(PREAMBLE_RECORDS_MAX));
        rows.enumerate()
            .find(|(_, row)| {
                let cells = cells(self.batch, row, self.dialect);
                named_share(&cells, self.known) > 0.0
            })
            .map(|(at, _)| at)
    }

    fn above(&self, at: usize) -> Above {
        let looks = self.table.looks(at);
        let (width, table) = (looks.len(), self.table.width);
        let filled = looks.iter().filter(|look| look.is_filled()).count();
        let leading = looks.iter().take_while(|look| look.is_filled()).count();
        if table < 2 || (width > table && !self.is_comment(at)) {
            return Above::Part;
        }
        if width == table {
            let sparse = filled == 0 || (filled == leading && filled <= (table / 3).max(1));
            return if sparse || self.is_comment(at) { Above::Doubtful } else { Above::Part };
        }
        if width == 1 {
            return if looks[0].is_typed() && !self.is_comment(at) { Above::Doubtful } else { Above::Plain };
        }
        if self.is_comment(at) {
            return Above::Plain;
        }
        let before_gap = || {
            let below = at + 1..self.table.records.len().min(PREAMBLE_RECORDS_MAX);
            let narrow = |&record: &usize| self.table.records[record - 1].width < table;
            below.take_while(narrow).any(|record| self.table.gap_before(record))
        };
        if width * 2 <= table || before_gap() { Above::Doubtful } else { Above::Part }
    }

    fn is_wide(&self, at: usize) -> bool {
        self.table.records[at].width == self.table.width
    }

    fn is_comment(&self, at: usize) -> bool {
        let raw = self.batch.raw(&self.batch.rows[at]);
        raw.starts_with(b"#") || raw.starts_with(b"//") || raw.starts_with(b"%")
    }

    /// Whether the records above `start` are a table of their own: several columns, and three rows alike.
    fn is_table(&self, start: usize) -> bool {
        let above = &self.table.records[..start];
        above
            .chunk_by(|a, b| a.width == b.width)
            .any(|run| run.len() >= 3 && run[0].width >= 3 && run[0].width < self.table.width)
            || start * 2 > self.table.records.len()
    }

    /// A first line whose quotes are broken, and which is as wide as the table without them: a header all the same.
    fn broken_header(&self, start: usize, skip_lines: u64) -> Option<Found> {
        let fault = self.batch.faults.first()?;
        let first = self.table.records.first()?;
        if start > 0 || skip_lines > 0 || fault.line > first.lines.0 || fault.truncated {
            return None;
        }
        let cells: Vec<&[u8]> = fault.raw.split(|&byte| byte == self.dialect.delimiter as u8).collect();
        let typed = cells.iter().any(|cell| Look::of(cell, |_| false).is_typed());
        let columns = self.table.column_looks(0);
        let names = cells.len() == self.table.width && !typed && columns.iter().flatten().any(|look| look.is_typed());
        names.then(|| found(70, "the first line has broken quotes, and stands above values"))
    }

    /// How many rows the header has that begins at a record.
    fn header(&self, start: usize) -> (u32, Found) {
        let records = &self.table.records;
        if records.is_empty() {
            return (1, found(50, "there is no record to tell by"));
        }
        let row = &self.batch.rows[start];
        let cells = cells(self.batch, row, self.dialect);
        if named_share(&cells, self.known) > 0.0 {
            return (1, found(99, "it has the table's column names"));
        }
        let most = HEADER_ROWS_FOUND_MAX.min(records.len().saturating_sub(start + 1));
        let group = self.is_group(start) && self.header_like(start, start + 1, 2);
        let from = start + usize::from(group);
        let like = |&at: &usize| self.header_like(start, at, if at == start { 1 } else { 2 });
        let rows = (from..start + most).take_while(like).count() + usize::from(group);
        if rows >= 2 {
            return (rows as u32, found(85, format!("{rows} rows of text stand above columns of values")));
        }
        let looks = self.table.looks(start);
        let columns = self.table.column_looks(self.values(start, start));
        let typed: Vec<(Look, Look)> =
            looks.iter().zip(&columns).filter_map(|(look, column)| Some((*look, (*column)?))).collect();
        let named = typed.iter().filter(|(look, column)| look.is_text() && column.is_typed()).count();
        let alike = typed.iter().filter(|(look, column)| look == column && look.is_typed()).count();
        if alike > 0 && self.are_years(&cells, looks) {
            return (1, found(80, "it counts years, and text stands before them"));
        }
        if alike > 0 && !(named >= 2 && named > 2 * alike) {
            return (0, found(90, format!("{alike} cells of the first record are values as below")));
        }
        if named > 0 {
            return (1, found(95, format!("it is text above values in {named} columns")));
        }
        self.header_by_cells(start, &cells, looks)
    }

    /// A record above nothing but text: a header, unless it says otherwise.
    fn header_by_cells(&self, start: usize, cells: &[Vec<u8>], looks: &[Look]) -> (u32, Found) {
        let filled: Vec<&Vec<u8>> = cells.iter().filter(|cell| !cell.is_empty()).collect();
        let distinct: HashSet<&Vec<u8>> = filled.iter().copied().collect();
        if looks.iter().any(|look| look.is_typed()) {
            return (0, found(80, "a cell of the first record is a value"));
        }
        if distinct.len() < filled.len() {
            return (0, found(70, "cells of the first record are the same"));
        }
        if filled.len() * 2 < cells.len() {
            return (0, found(70, "most cells of the first record are empty"));
        }
        let body = &self.batch.rows[start + 1..self.table.records.len()];
        if body.is_empty() {
            return (1, found(70, "the only record is text"));
        }
        let mut scratch = Vec::new();
        let quoting = super::Quoting::new(self.dialect);
        let mut again = vec![false; cells.len()];
        for row in body {
            for ((field, cell), again) in self.batch.fields(row).iter().zip(cells).zip(&mut again) {
                *again |= field.text(self.batch.bytes, quoting, &mut scratch) == cell.as_slice();
            }
        }
        let repeated = again.iter().zip(cells).filter(|(again, cell)| **again && !cell.is_empty()).count();
        if repeated * 2 >= filled.len().max(1) {
            return (0, found(70, "half of the first record's cells come again below"));
        }
        let codes = self.table.column_looks(start + 1);
        let above_codes = looks.iter().zip(codes).any(|(look, code)| *look == Look::Text && code == Some(Look::Code));
        match above_codes {
            true => (1, found(85, "it is words above codes")),
            false => (1, found(60, "the first record is text, as all others are")),
        }
    }

    /// The record from which on the looks of columns are compared with those of record `at`, when the table begins at
    /// `start`: behind what may belong to the header, as far as records are there.
    fn values(&self, start: usize, at: usize) -> usize {
        let half = (self.table.records.len() - start) / 2;
        (start + half.min(HEADER_ROWS_FOUND_MAX)).max(at + 1)
    }

    /// Whether a record is text, or nothing, wherever the columns hold values; in `least` columns it is text. A record
    /// that says the same as the first one of the table needs one.
    fn header_like(&self, start: usize, at: usize, least: usize) -> bool {
        if at + 1 >= self.table.records.len() || !self.is_wide(at) {
            return false;
        }
        let looks = self.table.looks(at);
        let columns = self.table.column_looks(self.values(start, at));
        let typed = looks.iter().zip(columns).filter(|(_, column)| column.is_some_and(Look::is_typed));
        let typed: Vec<Look> = typed.map(|(look, _)| *look).collect();
        let text = typed.iter().filter(|look| look.is_text()).count();
        let raw = |at: usize| self.batch.raw(&self.batch.rows[at]);
        (text >= least || (text > 0 && at > start && raw(at) == raw(start)))
            && typed.iter().all(|look| look.is_text() || *look == Look::Empty)
            && !looks.iter().any(|look| look.is_typed())
    }

    /// Whether a record names groups of columns: cells are empty, but not all behind the first.
    fn is_group(&self, at: usize) -> bool {
        if !self.is_wide(at) {
            return false;
        }
        let looks = self.table.looks(at);
        let filled = looks.iter().filter(|look| look.is_filled()).count();
        let leading = looks.iter().take_while(|look| look.is_filled()).count();
        filled > 0 && filled < looks.len() && filled > leading.min(1)
    }

    /// Whether the record is known by its text: no value in it, none of its cells empty or twice.
    fn is_named_by_text(&self, at: usize) -> bool {
        let looks = self.table.looks(at);
        let cells = cells(self.batch, &self.batch.rows[at], self.dialect);
        let distinct: HashSet<&Vec<u8>> = cells.iter().collect();
        let columns = self.table.column_looks(at + 1);
        looks.iter().all(|look| look.is_text())
            && distinct.len() == cells.len()
            && columns.iter().flatten().any(|look| look.is_typed() || *look == Look::Code)
    }

    /// Whether the numbers of a record are years in order, with text before them.
    fn are_years(&self, cells: &[Vec<u8>], looks: &[Look]) -> bool {
        let year = |cell: &Vec<u8>| {
            let text = str::from_utf8(cell).ok().filter(|text| text.len() == 4)?;
            text.parse::<u16>().ok().filter(|year| (1800..=2200).contains(year))
        };
        let typed = cells.iter().zip(looks).filter(|(_, look)| look.is_typed());
        let years: Option<Vec<u16>> = typed.map(|(cell, _)| year(cell)).collect();
        let stepwise = |years: &[u16]| {
            let ascending = years.windows(2).all(|pair| pair[0] < pair[1]);
            let descending = years.windows(2).all(|pair| pair[0] > pair[1]);
            ascending || descending
        };
        looks.first().is_some_and(|look| look.is_text())
            && years.is_some_and(|years| years.len() >= 2 && stepwise(&years))
    }
}

/// How much cells look like a table's header: the share of cells and columns that go together by name; 0 when that is
/// less than half of the cells and not all of the columns.
pub(super) fn named_share(cells: &[Vec<u8>], known: &[Column]) -> f64 {
    if known.is_empty() {
        return 0.0;
    }
    let names: HashSet<&str> = known.iter().map(|column| column.name.as_str()).collect();
    let matching = cells.iter().filter_map(|cell| header::spelled(&readable(cell)));
    let matching = matching.filter(|name| names.contains(name.as_str())).count();
    if matching * 2 < cells.len() && matching < known.len() {
        return 0.0;
    }
    matching as f64 / cells.len().max(known.len()) as f64
}
