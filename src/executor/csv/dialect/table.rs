//! The sample, split by one candidate: how wide its records are and what their cells look like.

use super::{
    super::{
        split::{Batch, Quoting, Row},
        value,
    },
    Dialect, QUOTES, STRONG_DELIMITERS,
    look::{LOOKS, Look},
};

/// Cells whose looks are compared at most, to bound the time for very wide tables.
const CELLS_MAX: usize = 64 * 1024;

/// A record.
pub(super) struct Record {
    /// Its first line, counted from 1, and its last.
    pub lines: (u64, u64),
    pub width: usize,
    first: usize,
}

/// The records of a sample.
pub(super) struct Table {
    pub records: Vec<Record>,
    looks: Vec<Look>,
    /// Lines that are no records.
    pub faults: usize,
    /// Fields in quotes.
    pub quoted: usize,
    /// Fields that would be cut without their quotes.
    pub needing: usize,
    cells_with_quotes: usize,
    /// The commonest width, and how many records have it.
    pub width: usize,
    pub agreeing: usize,
}

impl Table {
    pub fn new(batch: &Batch<'_>, dialect: &Dialect) -> Table {
        let mut table = Table {
            records: Vec::with_capacity(batch.rows.len()),
            looks: Vec::new(),
            faults: batch.faults.len(),
            quoted: 0,
            needing: 0,
            cells_with_quotes: 0,
            width: 0,
            agreeing: 0,
        };
        let quoting = Quoting::new(dialect);
        let mut scratch = Vec::new();
        let delimiter = dialect.delimiter as u8;
        let foreign = |byte: u8| byte != delimiter && STRONG_DELIMITERS.iter().any(|&other| other as u8 == byte);
        let is_quote = |byte: Option<&u8>| byte.is_some_and(|&byte| QUOTES.iter().any(|&quote| quote as u8 == byte));
        for row in batch.rows {
            if table.looks.len() > CELLS_MAX {
                break;
            }
            let first = table.looks.len();
            for field in batch.fields(row) {
                let text = value::trim(field.text(batch.bytes, quoting, &mut scratch));
                let mut look = Look::of(text, foreign);
                if field.quoted {
                    table.quoted += 1;
                    let cut = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r');
                    table.needing += usize::from(field.is_escaped() || text.iter().any(cut));
                    look = if look == Look::Mixed { Look::Text } else { look };
                } else if look.is_text() && memchr::memmem::find(text, b"\"\"").is_some() {
                    // A doubled quote belongs into quotes: their beginning is in another field.
                    look = Look::Mixed;
                } else if is_quote(text.first()) || (text.len() > 1 && is_quote(text.last()) && look != Look::Code) {
                    table.cells_with_quotes += 1;
                }
                table.looks.push(look);
            }
            let lines = (row.line, batch.last_line(row, dialect.newline.byte()));
            table.records.push(Record { lines, width: row.field_count(), first });
        }
        (table.width, table.agreeing) = commonest(&table.records);
        table
    }

    pub fn looks(&self, record: usize) -> &[Look] {
        let Record { first, width, .. } = self.records[record];
        &self.looks[first..first + width]
    }

    /// Whether blank lines, or lines that are no records, stand between a record and the one before it.
    pub fn gap_before(&self, record: usize) -> bool {
        record > 0 && self.records[record].lines.0 > self.records[record - 1].lines.1 + 1
    }

    /// For each column what most of its cells look like, from record `from` on, when there are so many of them that
    /// the others are exceptions. Only records of the commonest width count.
    pub fn column_looks(&self, from: usize) -> Vec<Option<Look>> {
        let counts = self.counts(from);
        let common = |counts: &[u32; LOOKS]| {
            let known = |look: Look| counts[look as usize];
            let all: u32 = counts[Look::Null as usize + 1..].iter().sum();
            let looks = [Look::Number, Look::Date, Look::Time, Look::Boolean, Look::Address, Look::Code];
            looks.into_iter().find(|&look| known(look) > 0 && known(look) * 5 >= all * 4)
        };
        counts.iter().map(common).collect()
    }

    fn counts(&self, from: usize) -> Vec<[u32; LOOKS]> {
        let mut counts = vec![[0u32; LOOKS]; self.width];
        for record in from..self.records.len() {
            if self.records[record].width == self.width {
                for (look, counts) in self.looks(record).iter().zip(&mut counts) {
                    counts[*look as usize] += 1;
                }
            }
        }
        counts
    }

    /// How much this is a table, from 0 to 1: the square of the share of records with the commonest width, times how
    /// much cells look like values, times how alike those of a column look, times a factor that prefers several
    /// columns to one.
    pub fn score(&self, dialect: &Dialect) -> f64 {
        // A rarer quote than the usual one needs fields that it quotes: else any line whose usual quotes are broken
        // would speak for it.
        if self.records.is_empty() || (dialect.quote.is_some_and(|quote| quote != QUOTES[0]) && self.quoted == 0) {
            return 0.0;
        }
        // Lines above the table are fewer than its own, and mostly narrower.
        let above = self.records.iter().take_while(|record| record.width < self.width).count();
        let lines = (self.records.len() - above + self.faults) as f64 + above as f64 / 2.0;
        // One record is as wide as itself, which says little.
        let regular = if self.agreeing < 2 { 0.5 } else { (self.agreeing as f64 / lines).min(1.0) };
        let several = if self.width > 1 { 1.0 - 0.5 / self.width as f64 } else { 0.3 };
        regular * regular * several * self.cell_score() * (0.7 + 0.3 * self.likeness())
    }

    /// How much the cells look like one value each: a typed value most, text with a delimiter or quotes in it least.
    fn cell_score(&self) -> f64 {
        let of = |look: &Look| match look {
            Look::Number | Look::Date | Look::Time | Look::Boolean | Look::Address => 1.0,
            Look::Null | Look::Code => 0.9,
            Look::Text => 0.8,
            Look::Empty => 0.7,
            Look::Mixed => 0.2,
        };
        let sum: f64 = self.looks.iter().map(of).sum();
        // What is in quotes is one value; what begins or ends with one and is not, was cut in the wrong place.
        let sum = sum - 0.6 * self.cells_with_quotes as f64 + 0.2 * self.quoted as f64;
        (sum / self.looks.len().max(1) as f64).clamp(0.05, 1.1)
    }

    /// The mean, over the columns, of the share of cells that look like most of the column's; the first record, which
    /// may be the header, left out.
    fn likeness(&self) -> f64 {
        let first = self.records.iter().position(|record| record.width == self.width).unwrap_or(0);
        let counts = self.counts(first + 1);
        let share = |counts: &[u32; LOOKS]| {
            let filled = counts.iter().enumerate().filter(|(look, _)| *look > Look::Null as usize);
            let (most, all) = filled.fold((0, 0), |(most, all), (_, &count)| (count.max(most), all + count));
            if all == 0 { 1.0 } else { f64::from(most) / f64::from(all) }
        };
        counts.iter().map(share).sum::<f64>() / counts.len().max(1) as f64
    }
}

/// The commonest width, and how many records have it; the larger one of two that are equally common. Lines of one
/// field count half where there are wider ones: they are what stands around tables.
fn commonest(records: &[Record]) -> (usize, usize) {
    let mut widths: Vec<usize> = records.iter().map(|record| record.width).collect();
    widths.sort_unstable();
    let runs = widths.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
    let weight = |(width, length): &(usize, usize)| length * if *width == 1 { 1 } else { 2 };
    runs.max_by_key(weight).unwrap_or((0, 0))
}

/// A record's cells without spaces around them.
pub(super) fn cells(batch: &Batch<'_>, row: &Row, dialect: &Dialect) -> Vec<Vec<u8>> {
    let mut scratch = Vec::new();
    let fields = batch.fields(row).iter();
    let quoting = Quoting::new(dialect);
    fields.map(|field| value::trim(field.text(batch.bytes, quoting, &mut scratch)).to_vec()).collect()
}
