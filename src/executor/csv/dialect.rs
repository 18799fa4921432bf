//! How a CSV file is written, found out from its beginning. Why this is ours: `docs/decisions/0003-csv-dialect.md`;
//! how well it does: `docs/decisions/0030-csv-dialect-measured.md`.
//!
//! Every candidate splits the sample with the very splitter that will read the file; the one whose table is the most
//! regular, and whose cells look the most like values, wins. The order of candidates decides a draw, so the same
//! bytes always give the same answer. What stands above the table is looked at last (`layout`).

mod candidates;
mod layout;
mod look;
mod table;

use serde::{Deserialize, Deserializer, Serialize};

use self::{
    candidates::Best,
    layout::{Layout, Sample},
    table::Table,
};
use super::{
    super::Error,
    split::{Batch, Limits, Quoting, Splitter},
    text::{Compression, Known},
};
pub use crate::dataset::Newline;
use crate::dataset::{Column, CsvOptions};

/// How a CSV file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between two fields: an ASCII character.
    pub delimiter: char,
    /// Around a field that holds delimiters or line ends: an ASCII character. `None`: quotes are ordinary characters.
    #[serde(default)]
    pub quote: Option<char>,
    /// Within quotes, before a quote or itself: an ASCII character. `None`: a quote is doubled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
    /// What ends a record.
    pub newline: Newline,
    /// Lines above the header that are no part of the table.
    #[serde(default)]
    pub skip_lines: u64,
    /// Rows of the header; 0: there is none.
    #[serde(alias = "header", deserialize_with = "rows_or_flag")]
    pub header_rows: u32,
    /// A record that begins with this ASCII character is no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<char>,
    /// Character encoding, by its WHATWG name.
    pub encoding: String,
    /// What the file is packed with. It is told by the file itself, each time it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How sure all of this is, in percent: as the least sure of what was found out.
    #[serde(default)]
    pub confidence: u8,
    /// How each item was settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<Decision>,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            delimiter: ',',
            quote: Some('"'),
            escape: None,
            newline: Newline::Lf,
            skip_lines: 0,
            header_rows: 1,
            comment: None,
            encoding: "UTF-8".to_owned(),
            compression: None,
            confidence: 0,
            decided: Vec::new(),
        }
    }
}

impl Dialect {
    /// With how its encoding is known, and what is to be said of it.
    pub(crate) fn with_encoding(mut self, known: Known, note: Option<String>) -> Self {
        let (given, sure, why) = match known {
            Known::Set => (true, 100, "as set"),
            Known::Marked => (false, 100, "by its byte order mark"),
            Known::Valid => (false, 95, "its beginning is valid UTF-8"),
            Known::Zeros => (false, 95, "every other byte is zero"),
            Known::Broken => (false, 70, "mostly valid UTF-8; rows with broken places are set aside"),
            Known::Guessed => (false, 60, "its letters are frequent ones in this encoding"),
        };
        let why = note.unwrap_or_else(|| why.to_owned());
        let decision = Decision { item: Item::Encoding, given, sure, why };
        match self.decided.iter_mut().find(|decision| decision.item == Item::Encoding) {
            Some(there) => *there = decision,
            None => self.decided.insert(0, decision),
        }
        let found_out = self.decided.iter().filter(|decision| !decision.given);
        self.confidence = found_out.map(|decision| decision.sure).min().unwrap_or(100);
        self
    }

    /// Whether there is a header.
    pub fn has_header(&self) -> bool {
        self.header_rows > 0
    }
}

/// Before there could be several rows, reports said `header: true` or `false`.
fn rows_or_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum RowsOrFlag {
        Rows(u32),
        Flag(bool),
    }
    Ok(match RowsOrFlag::deserialize(deserializer)? {
        RowsOrFlag::Rows(rows) => rows,
        RowsOrFlag::Flag(header) => u32::from(header),
    })
}

/// How an item of a dialect was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which item.
    pub item: Item,
    /// It was set; else it was found out.
    pub given: bool,
    /// How sure it is, in percent.
    pub sure: u8,
    /// Why, for a person.
    pub why: String,
}

/// An item of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// [`Dialect::encoding`].
    Encoding,
    /// [`Dialect::newline`].
    Newline,
    /// [`Dialect::delimiter`].
    Delimiter,
    /// [`Dialect::quote`].
    Quote,
    /// [`Dialect::escape`].
    Escape,
    /// [`Dialect::skip_lines`].
    SkipLines,
    /// [`Dialect::header_rows`].
    HeaderRows,
}

/// Delimiters that are found out, the likeliest first.
const STRONG_DELIMITERS: [char; 6] = [',', ';', '\t', '|', '\u{1}', '\u{1f}'];
/// Characters that are delimiters in some files, and ordinary in most: they take much more to be found out.
const WEAK_DELIMITERS: [char; 7] = [':', ' ', '^', '~', '#', '*', '+'];
/// Quotes that are found out, the likeliest first.
const QUOTES: [char; 2] = ['"', '\''];
/// The escape that is found out.
const ESCAPE: char = '\\';
/// Records that are looked at.
const SNIFF_ROWS_MAX: usize = 500;
/// Text that may be read again after quotes that a wrong candidate finds unbalanced, bytes.
const SNIFF_RESCAN_BYTES: u64 = 1024 * 1024;

/// Refuses options that no splitter can follow.
pub(crate) fn check(options: &CsvOptions) -> Result<(), Error> {
    let refuse = |option, message: String| Err(Error::Option { option, message });
    let marks = [
        ("delimiter", options.delimiter),
        ("quote", options.quote.and_then(|quote| quote.0)),
        ("escape", options.escape.and_then(|escape| escape.0)),
        ("comment", options.comment),
    ];
    for (option, character) in marks {
        if let Some(character) = character
            && (!character.is_ascii() || matches!(character, '\n' | '\r' | '\0'))
        {
            return refuse(option, format!("{character:?} is not one ASCII character that may stand on a line"));
        }
    }
    for (at, (option, character)) in marks.iter().enumerate() {
        let twice = marks[..at].iter().find(|(_, other)| character.is_some() && other == character);
        // A quote that escapes itself is a quote that is doubled.
        if let Some((other, _)) = twice.filter(|(other, _)| (*option, *other) != ("escape", "quote")) {
            return refuse(option, format!("the same character cannot be {other} and {option}"));
        }
    }
    Ok(())
}

/// Finds out what the options leave open. `known`: columns of the table the file is for, empty when there is none.
pub(crate) fn sniff(sample: &[u8], whole: bool, encoding: &str, options: &CsvOptions, known: &[Column]) -> Dialect {
    let excel = excel_separator(sample);
    let skip_lines = options.skip_lines.unwrap_or(u64::from(excel.is_some()));
    let newlines = candidates::newlines(sample, options);
    let best = newlines.iter().map(|&newline| {
        let delimiter = options.delimiter.or(excel);
        let sample = records_of(sample, whole, newline, skip_lines);
        candidates::best(sample, newline, delimiter, encoding, options, known)
    });
    // Carriage returns within records are many where they end none: a line end must make more records of the text.
    let better = |best: &Best, other: &Best| other.score > best.score && other.records > best.records;
    let best = best.reduce(|best, other| if better(&best, &other) { other } else { best });
    let Best { mut dialect, notes, .. } = best.unwrap_or_default();
    let settled = options.skip_lines.is_some() || excel.is_some();
    let layout = with_table(records_of(sample, whole, dialect.newline, skip_lines), &dialect, |batch, table| {
        let sample = Sample { batch, table, dialect: &dialect, known };
        sample.layout(options.rows_of_header(), settled)
    });
    dialect.skip_lines = if settled { skip_lines } else { layout.skip_lines };
    dialect.header_rows = match options.has_header() {
        Some(true) if options.header_rows.is_none() => layout.header_rows.max(1),
        _ => options.rows_of_header().unwrap_or(layout.header_rows),
    };
    let escape_open = dialect.quote.is_none();
    dialect.decided = decisions(options, excel, notes, layout);
    if escape_open {
        dialect.decided.retain(|decision| decision.given || decision.item != Item::Escape);
    }
    let found_out = dialect.decided.iter().filter(|decision| !decision.given);
    dialect.confidence = found_out.map(|decision| decision.sure).min().unwrap_or(100);
    dialect
}

/// What was set, and what was found out.
fn decisions(options: &CsvOptions, excel: Option<char>, notes: Vec<Decision>, layout: Layout) -> Vec<Decision> {
    let given = |item| Decision { item, given: true, sure: 100, why: "set".to_owned() };
    let found = |item, sure, why: &str| Decision { item, given: false, sure, why: why.to_owned() };
    let mut decided = vec![match options.encoding {
        Some(_) => given(Item::Encoding),
        None => found(Item::Encoding, 90, "by the file's first bytes"),
    }];
    let set = |item| match item {
        Item::Newline => options.newline.is_some(),
        Item::Delimiter => options.delimiter.is_some(),
        Item::Quote => options.quote.is_some(),
        Item::Escape => options.escape.is_some(),
        _ => false,
    };
    decided.extend(notes.into_iter().map(|note| if set(note.item) { given(note.item) } else { note }));
    if let (Some(separator), None) = (excel, options.delimiter)
        && let Some(delimiter) = decided.iter_mut().find(|decision| decision.item == Item::Delimiter)
    {
        *delimiter = found(Item::Delimiter, 100, &format!("the first line is `sep={separator}`"));
    }
    decided.push(match (options.skip_lines, excel) {
        (Some(_), _) => given(Item::SkipLines),
        (None, Some(_)) => found(Item::SkipLines, 100, "the first line tells the delimiter"),
        (None, None) => found(Item::SkipLines, layout.skip.sure, &layout.skip.why),
    });
    decided.push(match options.header_rows.is_some() || options.header == Some(false) {
        true => given(Item::HeaderRows),
        false if options.header == Some(true) && layout.header_rows < 2 => given(Item::HeaderRows),
        false => found(Item::HeaderRows, layout.header.sure, &layout.header.why),
    });
    decided
}

/// The delimiter that a first line `sep=;` tells, as Excel writes and reads it.
fn excel_separator(sample: &[u8]) -> Option<char> {
    let end = memchr::memchr2(b'\n', b'\r', sample)?;
    let line = &sample[..end];
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] if separator.is_ascii() => Some(*separator as char),
        _ => None,
    }
}

/// The sample's records: without the lines to be skipped, and without a last line that may be cut off.
fn records_of(sample: &[u8], whole: bool, newline: Newline, skip_lines: u64) -> &[u8] {
    let sample = match memchr::memrchr(newline.byte(), sample) {
        Some(end) if !whole => &sample[..=end],
        _ => sample,
    };
    &sample[after_lines(sample, newline, skip_lines).unwrap_or(sample.len())..]
}

/// Where the line begins that follows the first `lines`; `None` when there are not so many.
pub(super) fn after_lines(sample: &[u8], newline: Newline, lines: u64) -> Option<usize> {
    match usize::try_from(lines).ok()? {
        0 => Some(0),
        lines => memchr::memchr_iter(newline.byte(), sample).nth(lines - 1).map(|end| end + 1),
    }
}

/// The commonest number of fields in the sample; the larger one of two that are equally common.
pub(crate) fn width(sample: &[u8], whole: bool, dialect: &Dialect) -> usize {
    let sample = records_of(sample, whole, dialect.newline, dialect.skip_lines);
    with_table(sample, dialect, |_, table| table.width)
}

/// The first records of a sample, split as the dialect says. No records when its quotes do not balance at all.
fn with_table<T>(sample: &[u8], dialect: &Dialect, look: impl FnOnce(&Batch<'_>, &Table) -> T) -> T {
    let record = sample.len().max(1);
    let limits = Limits { block: record + 1, rows: SNIFF_ROWS_MAX, record, rescan: SNIFF_RESCAN_BYTES };
    let mut splitter = Splitter::new(sample, dialect, 0, limits);
    match splitter.advance() {
        Ok(_) => look(&splitter.batch(), &Table::new(&splitter.batch(), dialect)),
        Err(_) => look(&Batch::NONE, &Table::new(&Batch::NONE, dialect)),
    }
}

#[cfg(test)]
mod tests;
