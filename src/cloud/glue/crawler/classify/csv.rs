//! CSV, by the built-in classifier's rules or those of a custom one.
//! <https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html#classifier-built-in>
//! <https://docs.aws.amazon.com/glue/latest/dg/custom-classifier.html#custom-classifier-csv>
//!
//! AWS documents the delimiters, the minimum of two columns and two rows and the rules of a header. It does not
//! document which of several delimiters wins, how ragged rows may be, and what counts as a number; tables that
//! crawlers have made show `bigint`, `double` and `string`, dates left as `string`, and `col0`, `col1`… where there
//! is no header (the page says `col1` first).

use super::{Column, Format, Found, SAMPLE_RECORDS, columns};

/// The built-in classifier's delimiters, in the documentation's order.
const DELIMITERS: [u8; 5] = [b',', b'|', b'\t', b';', 0x01];
/// Letters of a header's names, but for the last one's, are fewer than this.
const HEADER_LETTERS: usize = 150;
/// Records in a hundred that must have the number of columns that most have. Not documented by AWS.
const REGULAR_PERCENT: usize = 90;

/// What a table of such files needs to know to read them.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct CsvFormat {
    pub delimiter: char,
    pub quote: char,
    /// Whether the first record names the columns.
    pub header: bool,
    /// Whether values stand in quotes.
    pub quoted: bool,
    pub serde: Serde,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Serde {
    LazySimple,
    OpenCsv,
}

/// Whether files begin with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Presence {
    Unknown,
    Present,
    Absent,
}

/// Which SerDe a custom classifier wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum SerdeChoice {
    Fixed(Serde),
    /// The crawler is to find out: OpenCSVSerde where there are quotes, as LazySimpleSerDe reads them as data.
    Detected,
}

/// A classifier's rules.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct CsvRules {
    pub delimiter: Option<u8>,
    pub quote: u8,
    pub header: Presence,
    /// Names that replace a header's.
    pub names: Vec<String>,
    pub trim: bool,
    pub single_column: bool,
    /// Fewest records of a file.
    pub rows: usize,
    pub serde: SerdeChoice,
}

impl CsvRules {
    /// Those of the built-in classifier.
    pub(in super::super) fn built_in() -> CsvRules {
        CsvRules {
            delimiter: None,
            quote: b'"',
            header: Presence::Unknown,
            names: Vec::new(),
            trim: true,
            single_column: false,
            rows: 2,
            serde: SerdeChoice::Fixed(Serde::LazySimple),
        }
    }
}

/// What a value reads as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Bigint,
    Double,
    String,
}

impl Kind {
    fn of(value: &str) -> Kind {
        let number = |letter: u8| letter.is_ascii_digit() || b"+-.eE".contains(&letter);
        if value.parse::<i64>().is_ok() {
            return Kind::Bigint;
        }
        // Rust also reads `inf` and `nan`.
        if value.bytes().all(number) && value.parse::<f64>().is_ok() {
            return Kind::Double;
        }
        match value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
            true => Kind::Boolean,
            false => Kind::String,
        }
    }

    fn with(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Bigint | Kind::Double, Kind::Bigint | Kind::Double) => Kind::Double,
            _ => Kind::String,
        }
    }

    fn hive(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Bigint => "bigint",
            Kind::Double => "double",
            Kind::String => "string",
        }
    }
}

/// A sample read with one delimiter.
struct Reading {
    delimiter: u8,
    records: Vec<csv::StringRecord>,
    /// Where the last record ends.
    bytes: u64,
    /// Columns of most records.
    width: usize,
    /// Records in a hundred that have so many.
    regular: usize,
}

pub(super) fn classify(text: &str, whole: bool, rules: &CsvRules) -> Option<Found> {
    let reading = best(text, whole, rules)?;
    let (names, header, width) = header(&reading, rules);
    let kinds = kinds(&reading.records[usize::from(header)..], width, rules.trim);
    let quoted = is_quoted(text, rules.quote);
    let serde = match rules.serde {
        SerdeChoice::Fixed(serde) => serde,
        SerdeChoice::Detected if text.as_bytes().contains(&rules.quote) => Serde::OpenCsv,
        SerdeChoice::Detected => Serde::LazySimple,
    };
    let kind = |kind: &Option<Kind>| match serde {
        // It reads text alone: <https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html>
        Serde::OpenCsv => "string".to_owned(),
        Serde::LazySimple => kind.unwrap_or(Kind::String).hive().to_owned(),
    };
    let columns: Vec<Column> = columns(names.into_iter().zip(kinds.iter().map(kind)));
    let format =
        CsvFormat { delimiter: char::from(reading.delimiter), quote: char::from(rules.quote), header, quoted, serde };
    Some((Format::Csv(format), columns, reading.records.len() as u64, reading.bytes))
}

/// The reading with the delimiter that makes the most regular, then the widest table.
fn best(text: &str, whole: bool, rules: &CsvRules) -> Option<Reading> {
    let single = rules.single_column;
    let given = rules.delimiter;
    let candidates: &[u8] = given.as_ref().map_or(&DELIMITERS, std::slice::from_ref);
    let mut best: Option<Reading> = None;
    for &delimiter in candidates {
        if !single && memchr::memchr(delimiter, text.as_bytes()).is_none() {
            continue;
        }
        let reading = read(text, whole, delimiter, rules.quote);
        let enough = reading.records.len() >= rules.rows && reading.regular >= REGULAR_PERCENT;
        let wide = reading.width >= 2 || (single && reading.width == 1);
        let named = rules.names.is_empty() || rules.names.len() == reading.width;
        let better = |best: &Reading| (reading.regular, reading.width) > (best.regular, best.width);
        if enough && wide && named && best.as_ref().is_none_or(better) {
            best = Some(reading);
        }
    }
    best
}

fn read(text: &str, whole: bool, delimiter: u8, quote: u8) -> Reading {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quote(quote)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut records, mut ends) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    while records.len() < SAMPLE_RECORDS && matches!(reader.read_record(&mut record), Ok(true)) {
        records.push(record.clone());
        ends.push(reader.position().byte());
    }
    // The last record of a sample may be cut.
    if !whole && reader.is_done() && records.len() > 1 {
        records.pop();
        ends.pop();
    }
    let width = usual_width(&records);
    let usual = records.iter().filter(|record| record.len() == width).count();
    let regular = (usual * 100).checked_div(records.len()).unwrap_or_default();
    Reading { delimiter, bytes: ends.last().copied().unwrap_or_default(), records, width, regular }
}

fn usual_width(records: &[csv::StringRecord]) -> usize {
    let mut counts = std::collections::BTreeMap::new();
    for record in records {
        *counts.entry(record.len()).or_insert(0_usize) += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(width, _)| width)
}

/// The columns' names, whether the first record gave them or stands for them, and how many columns count.
fn header(reading: &Reading, rules: &CsvRules) -> (Vec<String>, bool, usize) {
    let Some((first, rest)) = reading.records.split_first() else { return (Vec::new(), false, 0) };
    let width = without_trailing_delimiter(reading);
    let own = || (0..width).map(|place| first.get(place).unwrap_or_default().trim().to_owned()).collect();
    let numbered = || (0..width).map(|place| format!("col{place}")).collect();
    let given = (!rules.names.is_empty()).then(|| rules.names.clone());
    match rules.header {
        Presence::Present => (given.unwrap_or_else(own), true, width.max(rules.names.len())),
        Presence::Absent => (given.unwrap_or_else(numbered), false, width.max(rules.names.len())),
        Presence::Unknown => match given {
            Some(names) => {
                let same = first.iter().map(str::trim).eq(names.iter().map(|name| name.trim()));
                let count = names.len();
                (names, same || is_header(first, rest, count), count)
            }
            None if is_header(first, rest, width) => (own(), true, width),
            None => (numbered(), false, width),
        },
    }
}

/// The last column counts only where it has something: "to allow for a trailing delimiter, the last column can be
/// empty throughout the file".
fn without_trailing_delimiter(reading: &Reading) -> usize {
    let last = reading.width.saturating_sub(1);
    let empty = reading.records.iter().all(|record| record.get(last).is_none_or(|value| value.trim().is_empty()));
    if empty && reading.width > 2 { last } else { reading.width }
}

/// Whether the first record is a header: text in every column, short, a possible name, and different from the rest
/// in that some record of the rest is not text alone.
fn is_header(first: &csv::StringRecord, rest: &[csv::StringRecord], width: usize) -> bool {
    let last = width.saturating_sub(1);
    let is_name = |(place, value): (usize, &str)| {
        let value = value.trim();
        let short = place == last || value.chars().count() < HEADER_LETTERS;
        !value.is_empty() && short && Kind::of(value) == Kind::String && !value.chars().any(char::is_control)
    };
    let different = |record: &csv::StringRecord| {
        record.iter().map(str::trim).any(|value| !value.is_empty() && Kind::of(value) != Kind::String)
    };
    first.len() >= width && first.iter().take(width).enumerate().all(is_name) && rest.iter().any(different)
}

/// Types of the columns; `None` where there is no value.
fn kinds(records: &[csv::StringRecord], width: usize, trim: bool) -> Vec<Option<Kind>> {
    let mut kinds: Vec<Option<Kind>> = vec![None; width];
    for record in records {
        for (kind, value) in kinds.iter_mut().zip(record) {
            let value = if trim { value.trim() } else { value };
            if !value.is_empty() {
                let found = Kind::of(value);
                *kind = Some(kind.map_or(found, |kind| kind.with(found)));
            }
        }
    }
    kinds
}

/// Whether the first line is one of values in quotes.
fn is_quoted(text: &str, quote: u8) -> bool {
    let quote = char::from(quote);
    text.lines().next().is_some_and(|line| line.len() > 1 && line.starts_with(quote) && line.ends_with(quote))
}
