//! How a CSV file is written, found out from its beginning. Why this is ours: `docs/decisions/0003-csv-dialect.md`.
//!
//! Every candidate splits the sample with the very splitter that will read the file; the one whose table is the most
//! regular, and whose cells look the most like values, wins. The order of candidates decides a draw, so the same
//! bytes always give the same answer.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    super::Error,
    header,
    reject::readable,
    split::{Batch, Limits, Row, Splitter},
    value,
};
use crate::dataset::{Column, CsvOptions};

/// How a CSV file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between two fields: an ASCII character.
    pub delimiter: char,
    /// Around a field that holds delimiters or line ends: an ASCII character. Doubled inside, it stands for itself.
    pub quote: char,
    /// What ends a record.
    pub newline: Newline,
    /// The first record names the columns.
    pub header: bool,
    /// Character encoding, by its WHATWG name.
    pub encoding: String,
}

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Newline {
    /// LF or CRLF.
    Lf,
    /// CR alone: old Macintosh files.
    Cr,
}

impl Newline {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Newline::Lf => b'\n',
            Newline::Cr => b'\r',
        }
    }
}

/// Delimiters that are found out, the likeliest first.
const DELIMITERS: [char; 5] = [',', ';', '\t', '|', '\u{1}'];
/// Quotes that are found out, the likeliest first.
const QUOTES: [char; 2] = ['"', '\''];
/// Records that are looked at.
const SNIFF_ROWS_MAX: usize = 500;
/// Text that may be read again after quotes that a wrong candidate finds unbalanced, bytes.
const SNIFF_RESCAN_BYTES: u64 = 1024 * 1024;

/// Refuses options that no splitter can follow.
pub(crate) fn check(options: &CsvOptions) -> Result<(), Error> {
    let refuse = |option, message: String| Err(Error::Option { option, message });
    for (option, character) in [("delimiter", options.delimiter), ("quote", options.quote)] {
        if let Some(character) = character
            && (!character.is_ascii() || matches!(character, '\n' | '\r' | '\0'))
        {
            return refuse(option, format!("{character:?} is not one ASCII character that may stand on a line"));
        }
    }
    if options.delimiter.is_some() && options.delimiter == options.quote {
        return refuse("quote", "the same character cannot be delimiter and quote".to_owned());
    }
    Ok(())
}

/// Finds out what the options leave open. `known`: columns of the table the file is for, empty when there is none.
pub(crate) fn sniff(sample: &[u8], whole: bool, encoding: &str, options: &CsvOptions, known: &[Column]) -> Dialect {
    let has_lf = memchr::memchr(b'\n', sample).is_some();
    let newline = if !has_lf && sample.contains(&b'\r') { Newline::Cr } else { Newline::Lf };
    let sample = match memchr::memrchr(newline.byte(), sample) {
        Some(end) if !whole => &sample[..=end], // the last line may be cut off
        _ => sample,
    };
    let delimiters = options.delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let quotes = options.quote.map_or(QUOTES.to_vec(), |quote| vec![quote]);
    let mut best: Option<(f64, Dialect)> = None;
    for quote in quotes {
        for &delimiter in delimiters.iter().filter(|&&delimiter| delimiter != quote) {
            let dialect = Dialect { delimiter, quote, newline, header: true, encoding: encoding.to_owned() };
            let score = with_rows(sample, &dialect, |batch| {
                // A first record that holds the table's names says more than any look at cells (at most 1).
                score(batch, &dialect) + named_share(batch, &dialect, known)
            });
            if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
                best = Some((score, dialect));
            }
        }
    }
    let mut dialect = best.map_or_else(
        || Dialect { delimiter: ',', quote: '"', newline, header: true, encoding: encoding.to_owned() },
        |(_, dialect)| dialect,
    );
    dialect.header = match options.header {
        Some(header) => header,
        None => with_rows(sample, &dialect, |batch| has_header(batch, &dialect, known)),
    };
    dialect
}

/// The commonest number of fields in the sample; the larger one of two that are equally common.
pub(crate) fn width(sample: &[u8], whole: bool, dialect: &Dialect) -> usize {
    let sample = match memchr::memrchr(dialect.newline.byte(), sample) {
        Some(end) if !whole => &sample[..=end],
        _ => sample,
    };
    with_rows(sample, dialect, |batch| commonest(batch).0)
}

/// The first records of a sample, split as the dialect says. No records when its quotes do not balance at all.
fn with_rows<T>(sample: &[u8], dialect: &Dialect, look: impl FnOnce(&Batch<'_>) -> T) -> T {
    let record = sample.len().max(1);
    let limits = Limits { block: record + 1, rows: SNIFF_ROWS_MAX, record, rescan: SNIFF_RESCAN_BYTES };
    let mut splitter = Splitter::new(sample, dialect, 0, limits);
    match splitter.advance() {
        Ok(_) => look(&splitter.batch()),
        Err(_) => look(&Batch::NONE),
    }
}

/// The commonest number of fields, and how many records have it.
fn commonest(batch: &Batch<'_>) -> (usize, usize) {
    let mut counts: Vec<usize> = batch.rows.iter().map(Row::field_count).collect();
    counts.sort_unstable();
    let runs = counts.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
    runs.max_by_key(|&(_, length)| length).unwrap_or((0, 0))
}

/// How regular the table is: the square of the share of records with the commonest width, times how much cells look
/// like values, times a factor that prefers several columns to one. A rarer quote than the usual one needs a field
/// that it quotes: else any line whose usual quotes are broken would speak for it.
fn score(batch: &Batch<'_>, dialect: &Dialect) -> f64 {
    let lines = batch.rows.len() + batch.faults.len();
    let quotes = || batch.rows.iter().flat_map(|row| batch.fields(row)).any(|field| field.quoted);
    if lines == 0 || (dialect.quote != QUOTES[0] && !quotes()) {
        return 0.0;
    }
    let (width, agreeing) = commonest(batch);
    let regular = agreeing as f64 / lines as f64;
    let several = if width > 1 { 1.0 - 0.5 / width as f64 } else { 0.3 };
    let mut scratch = Vec::new();
    let (mut cells, mut sum) = (0usize, 0.0);
    for field in batch.rows.iter().flat_map(|row| batch.fields(row)) {
        let text = field.text(batch.bytes, dialect.quote as u8, &mut scratch);
        cells += 1;
        sum += if field.quoted { 1.0 } else { cell_score(text, dialect, width) };
    }
    regular * regular * several * sum / cells.max(1) as f64
}

/// How much an unquoted cell looks like one value: a typed value most, text with a delimiter or quotes in it least.
fn cell_score(text: &[u8], dialect: &Dialect, width: usize) -> f64 {
    let text = value::trim(text);
    if text.is_empty() {
        return 0.7;
    }
    if value::classify(text).0 != value::Kinds::NONE || (width > 1 && is_comma_number(text)) {
        return 1.0;
    }
    let is_candidate = |byte: &u8| DELIMITERS.iter().any(|&other| other != dialect.delimiter && other as u8 == *byte);
    let is_quote = |byte: Option<&u8>| byte.is_some_and(|&byte| QUOTES.iter().any(|&quote| quote as u8 == byte));
    if text.iter().any(is_candidate) || is_quote(text.first()) || is_quote(text.last()) { 0.2 } else { 0.8 }
}

/// `1,5` or `-1.234,56`: a number with a decimal comma.
fn is_comma_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let Some(comma) = memchr::memchr(b',', digits) else { return false };
    let (whole, fraction) = (&digits[..comma], &digits[comma + 1..]);
    let digits_only = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    digits_only(fraction) && whole.split(|&byte| byte == b'.').all(digits_only)
}

/// How much the first record looks like the table's header: the share of cells and columns that go together by name;
/// 0 when that is less than half of the cells and not all of the columns.
fn named_share(batch: &Batch<'_>, dialect: &Dialect, known: &[Column]) -> f64 {
    let Some(first) = batch.rows.first().filter(|_| !known.is_empty()) else { return 0.0 };
    let names: HashSet<&str> = known.iter().map(|column| column.name.as_str()).collect();
    let cells = cells(batch, first, dialect);
    let matching = cells.iter().filter_map(|cell| header::spelled(&readable(cell)));
    let matching = matching.filter(|name| names.contains(name.as_str())).count();
    if matching * 2 < cells.len() && matching < known.len() {
        return 0.0;
    }
    matching as f64 / cells.len().max(known.len()) as f64
}

/// A record's cells without spaces around them.
fn cells(batch: &Batch<'_>, row: &Row, dialect: &Dialect) -> Vec<Vec<u8>> {
    let mut scratch = Vec::new();
    let fields = batch.fields(row).iter();
    fields.map(|field| value::trim(field.text(batch.bytes, dialect.quote as u8, &mut scratch)).to_vec()).collect()
}

/// Whether the first record names the columns: it does when it holds the table's names; it does not when a cell of
/// it is a typed value, or when cells repeat; else it does, unless half of its cells come again below.
fn has_header(batch: &Batch<'_>, dialect: &Dialect, known: &[Column]) -> bool {
    let Some((first, body)) = batch.rows.split_first() else { return true };
    if named_share(batch, dialect, known) > 0.0 {
        return true;
    }
    let mut scratch = Vec::new();
    let cells = cells(batch, first, dialect);
    let filled: Vec<&Vec<u8>> = cells.iter().filter(|cell| !cell.is_empty()).collect();
    let distinct: HashSet<&Vec<u8>> = filled.iter().copied().collect();
    let typed = filled.iter().any(|cell| value::classify(cell).0 != value::Kinds::NONE);
    if typed || distinct.len() < filled.len() || filled.len() * 2 < cells.len() {
        return false;
    }
    let mut again = vec![false; cells.len()];
    for row in body {
        for ((field, cell), again) in batch.fields(row).iter().zip(&cells).zip(&mut again) {
            *again |= field.text(batch.bytes, dialect.quote as u8, &mut scratch) == cell.as_slice();
        }
    }
    let repeated = again.iter().zip(&cells).filter(|(again, cell)| **again && !cell.is_empty()).count();
    repeated * 2 < filled.len().max(1)
}

#[cfg(test)]
mod tests;
