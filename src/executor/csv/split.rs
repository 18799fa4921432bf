//! Text → records: where each record and each of its fields begins and ends, without copying a cell.
//!
//! Rules: a record ends at LF or CRLF outside quotes, or at the end of the text (a text without any LF may use
//! CR). A line of no bytes is blank: it is skipped and not a row. A field whose first byte is the quote character
//! is quoted: it may hold delimiters and line ends, a doubled quote stands for one, and only spaces may follow its
//! closing quote. A quote further inside a field is an ordinary character. Where the dialect has an escape character,
//! that character before a quote or before itself stands for what follows it, within quotes, and a doubled quote
//! means nothing. A record that begins with the dialect's comment character ends at the next line end, and is blank.
//!
//! What breaks a rule is a [`Fault`], never an error: the first *line* of the broken record is set aside and
//! reading goes on with the next line. So a quote that never closes costs its line, and not the rest of the file.

use std::io::{self, Read};

pub(crate) use super::marks::Quoting;
use super::{
    Dialect,
    blocks::{RAW_BYTES_MAX, RESCAN_FACTOR},
    grid::RECORD_FIELDS_MAX,
    reject::Code,
};
#[cfg(test)]
use super::{
    blocks::{BLOCK_BYTES, RECORD_BYTES_MAX, RESCAN_BYTES_FLOOR},
    decode::BATCH_ROWS_MAX,
};

/// Sizes that tests make small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub block: usize,
    pub rows: usize,
    pub record: usize,
    pub rescan: u64,
}

#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        Limits { block: BLOCK_BYTES, rows: BATCH_ROWS_MAX, record: RECORD_BYTES_MAX, rescan: RESCAN_BYTES_FLOOR }
    }
}

/// A field: where its text lies in the batch's bytes, quotes left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    start: u32,
    end: u32,
    /// It was in quotes.
    pub quoted: bool,
    /// Its text holds doubled quotes, or others that are escaped.
    escaped: bool,
}

impl Field {
    /// Its bytes; `scratch` is used only where escapes must be taken out.
    pub fn text<'a>(&self, bytes: &'a [u8], quoting: Quoting, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let text = &bytes[self.start as usize..self.end as usize];
        if !self.escaped {
            return text;
        }
        scratch.clear();
        let mut rest = text;
        while let Some(at) = memchr::memchr(quoting.escape, rest) {
            scratch.extend_from_slice(&rest[..at]);
            let escapes = rest.get(at + 1).filter(|&&next| quoting.is_escapable(next));
            scratch.push(*escapes.unwrap_or(&quoting.escape));
            rest = rest.get(at + 1 + usize::from(escapes.is_some())..).unwrap_or_default();
        }
        scratch.extend_from_slice(rest);
        scratch
    }

    /// Whether its text holds quotes that are doubled or escaped.
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// True when there is no text in it, quoted or not.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// A record: its fields, its text and where it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    first_field: u32,
    field_count: u32,
    start: u32,
    end: u32,
    /// Line of its first byte, counted from 1.
    pub line: u64,
    /// Offset of its first byte in the text.
    #[cfg_attr(not(any(test, fuzzing)), expect(dead_code, reason = "what blocks are held against"))]
    pub offset: u64,
}

impl Row {
    pub fn field_count(&self) -> usize {
        self.field_count as usize
    }
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub code: Code,
    pub line: u64,
    pub offset: u64,
    /// Its text, at most [`RAW_BYTES_MAX`].
    pub raw: Vec<u8>,
    pub truncated: bool,
}

/// What stops the splitter.
#[derive(Debug)]
#[expect(dead_code, reason = "a sample that stops it is no table, whatever the reason")]
pub(crate) enum SplitError {
    Read(io::Error),
    /// The rescan budget is used up at this line.
    Quotes {
        line: u64,
    },
}

/// A batch of records, borrowed from the splitter.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub bytes: &'a [u8],
    pub rows: &'a [Row],
    fields: &'a [Field],
    pub faults: &'a [Fault],
}

impl<'a> Batch<'a> {
    /// No records at all.
    pub const NONE: Batch<'static> = Batch { bytes: &[], rows: &[], fields: &[], faults: &[] };

    pub fn fields(&self, row: &Row) -> &'a [Field] {
        &self.fields[row.first_field as usize..][..row.field_count as usize]
    }

    #[cfg(test)]
    pub fn field(&self, row: &Row, index: usize) -> Field {
        self.fields[row.first_field as usize + index]
    }

    /// A record's text without its line end.
    pub fn raw(&self, row: &Row) -> &'a [u8] {
        &self.bytes[row.start as usize..row.end as usize]
    }

    /// Line of a record's last byte, counted from 1; `newline` ends lines.
    pub fn last_line(&self, row: &Row, newline: u8) -> u64 {
        row.line + memchr::memchr_iter(newline, self.raw(row)).count() as u64
    }
}

/// Splits what a reader gives, a batch at a time.
pub(crate) struct Splitter<R> {
    reader: R,
    syntax: Syntax,
    limits: Limits,
    buffer: Vec<u8>,
    /// First byte of the buffer that is not split yet.
    at: usize,
    /// Offset of the buffer's first byte in the text.
    base: u64,
    line: u64,
    ended: bool,
    /// The rest of the line belongs to a record that was too large.
    skipping: bool,
    rescanned: u64,
    rows: Vec<Row>,
    fields: Vec<Field>,
    faults: Vec<Fault>,
}

impl<R: Read> Splitter<R> {
    /// `offset`: how many bytes of the text were taken already (a byte order mark).
    pub fn new(reader: R, dialect: &Dialect, offset: u64, limits: Limits) -> Self {
        Splitter {
            reader,
            syntax: Syntax::new(dialect),
            limits,
            buffer: Vec::new(),
            at: 0,
            base: offset,
            line: 1,
            ended: false,
            skipping: false,
            rescanned: 0,
            rows: Vec::new(),
            fields: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Splits the next batch; false when the text has ended and there is none.
    pub fn advance(&mut self) -> Result<bool, SplitError> {
        self.rows.clear();
        self.fields.clear();
        self.faults.clear();
        while self.rows.len() < self.limits.rows && self.faults.len() < self.limits.rows {
            if self.skipping && !self.skip()? {
                break;
            }
            if self.at == self.buffer.len() && self.ended {
                break;
            }
            let first_field = self.fields.len();
            let scan = scan(&self.buffer, self.at, self.ended, &self.syntax, &mut self.fields);
            match scan {
                Scan::Record { end, next, lines } if self.line_end(next) - self.at <= self.limits.record => {
                    self.push(first_field, end, next, lines);
                    continue;
                }
                Scan::Broken { code, reached } if reached - self.at <= self.limits.record => {
                    if self.set_aside(code, reached)? {
                        continue;
                    }
                }
                Scan::More if self.buffer.len() - self.at <= self.limits.record => {}
                Scan::Record { .. } | Scan::Broken { .. } | Scan::More => {
                    // A line end in so long a record lies within quotes, which do not seem to close.
                    self.set_aside(Code::UnterminatedQuote, self.at + self.limits.record)?;
                    self.fields.truncate(first_field);
                    continue;
                }
            }
            self.fields.truncate(first_field);
            if !self.rows.is_empty() {
                break; // the buffer must not move under the batch
            }
            self.refill().map_err(SplitError::Read)?;
        }
        Ok(!self.rows.is_empty() || !self.faults.is_empty())
    }

    /// The batch that [`Self::advance`] has split.
    pub fn batch(&self) -> Batch<'_> {
        Batch { bytes: &self.buffer, rows: &self.rows, fields: &self.fields, faults: &self.faults }
    }

    /// Where a record ends whose successor begins at `next`, CRs counted: those decide whether it is too long, since
    /// whether they belong to its line end is known only behind them.
    fn line_end(&self, next: usize) -> usize {
        next - usize::from(self.buffer[next - 1] == self.syntax.newline)
    }

    fn push(&mut self, first_field: usize, end: usize, next: usize, lines: u64) {
        let blank = matches!(&self.fields[first_field..], [only] if only.is_empty() && !only.quoted);
        if blank {
            self.fields.truncate(first_field);
        } else {
            self.rows.push(Row {
                first_field: first_field as u32,
                field_count: (self.fields.len() - first_field) as u32,
                start: self.at as u32,
                end: end as u32,
                line: self.line,
                offset: self.base + self.at as u64,
            });
        }
        self.line += lines + 1;
        self.at = next;
    }

    /// Sets the line at `at` aside, seen to be broken after reading up to `reached`; false when its end is not in the
    /// buffer yet. A line longer than a record may be is dropped up to its end.
    fn set_aside(&mut self, code: Code, reached: usize) -> Result<bool, SplitError> {
        let rest = &self.buffer[self.at..];
        let window = &rest[..rest.len().min(self.limits.record + 1)];
        let length = match memchr::memchr(self.syntax.newline, window) {
            Some(length) => length,
            None if rest.len() > self.limits.record => {
                self.fault(Code::RecordTooLarge, self.limits.record);
                self.skipping = true;
                return Ok(true);
            }
            None if self.ended => rest.len(),
            None => return Ok(false),
        };
        self.fault(code, length);
        let next = (self.at + length + 1).min(self.buffer.len());
        self.rescanned += reached.saturating_sub(next) as u64;
        self.line += 1;
        self.at = next;
        let allowed = self.limits.rescan + RESCAN_FACTOR * (self.base + self.at as u64);
        if self.rescanned > allowed { Err(SplitError::Quotes { line: self.line }) } else { Ok(true) }
    }

    fn fault(&mut self, code: Code, length: usize) {
        let mut line = &self.buffer[self.at..self.at + length];
        if let [head @ .., b'\r'] = line {
            line = head;
        }
        let kept = line.len().min(RAW_BYTES_MAX);
        self.faults.push(Fault {
            code,
            line: self.line,
            offset: self.base + self.at as u64,
            raw: line[..kept].to_vec(),
            truncated: kept < line.len() || code == Code::RecordTooLarge,
        });
    }

    /// Drops bytes up to the next line end; false when the buffer must not move now, because a batch lies in it.
    fn skip(&mut self) -> Result<bool, SplitError> {
        loop {
            if let Some(length) = memchr::memchr(self.syntax.newline, &self.buffer[self.at..]) {
                self.at += length + 1;
                self.line += 1;
                self.skipping = false;
                return Ok(true);
            }
            self.at = self.buffer.len();
            if self.ended {
                self.skipping = false;
                return Ok(true);
            }
            if !self.rows.is_empty() {
                return Ok(false);
            }
            self.refill().map_err(SplitError::Read)?;
        }
    }

    /// Moves what is not split to the buffer's start and reads on: a block, or as much again as is there.
    fn refill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let held = self.buffer.len();
        let target = (held * 2).max(self.limits.block).min(self.limits.record + self.limits.block);
        let wanted = target.saturating_sub(held).max(1);
        self.buffer.reserve_exact(wanted);
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(&mut self.buffer)?;
        self.ended = read < wanted;
        Ok(())
    }
}

/// The bytes that mean something, and which class each byte is of.
pub(crate) struct Syntax {
    delimiter: u8,
    /// `None`: quotes are ordinary characters.
    quote: Option<Quoting>,
    newline: u8,
    comment: Option<u8>,
    /// Ends an unquoted field.
    ends_field: [bool; 256],
}

impl Syntax {
    pub fn new(dialect: &Dialect) -> Self {
        let (delimiter, newline) = (dialect.delimiter as u8, dialect.newline.byte());
        let mut ends_field = [false; 256];
        ends_field[usize::from(delimiter)] = true;
        ends_field[usize::from(newline)] = true;
        let quote = dialect.quote.map(|_| Quoting::new(dialect));
        let comment = dialect.comment.map(|comment| comment as u8);
        Syntax { delimiter, quote, newline, comment, ends_field }
    }
}

/// What a scan for one record finds.
#[derive(Debug)]
pub(crate) enum Scan {
    /// A record up to `end`; the next begins at `next`; `lines` line ends lie inside its quotes.
    Record { end: usize, next: usize, lines: u64 },
    /// No record: seen after reading up to `reached`.
    Broken { code: Code, reached: usize },
    /// It goes on behind the buffer.
    More,
}

/// Scans the record that begins at `start`. On [`Scan::Broken`] and [`Scan::More`] the caller takes back what was
/// pushed on `fields`.
pub(crate) fn scan(buffer: &[u8], start: usize, ended: bool, syntax: &Syntax, fields: &mut Vec<Field>) -> Scan {
    let mut at = start;
    let mut lines = 0;
    let first_field = fields.len();
    if syntax.comment.is_some() && buffer.get(start) == syntax.comment.as_ref() {
        return scan_comment(buffer, start, ended, syntax, fields);
    }
    loop {
        if fields.len() - first_field == RECORD_FIELDS_MAX {
            return Scan::Broken { code: Code::TooManyFields, reached: at };
        }
        let quoting = syntax.quote.filter(|quoting| buffer.get(at) == Some(&quoting.quote));
        let after = if let Some(quoting) = quoting {
            match scan_quoted(buffer, at, ended, quoting, syntax) {
                Ok((field, after)) => {
                    let text = &buffer[field.start as usize..field.end as usize];
                    lines += memchr::memchr_iter(syntax.newline, text).count() as u64;
                    fields.push(field);
                    after
                }
                Err(scan) => return scan,
            }
        } else {
            let length = buffer[at..].iter().position(|&byte| syntax.ends_field[usize::from(byte)]);
            let after = match length {
                Some(length) => at + length,
                None if ended => buffer.len(),
                None => return Scan::More,
            };
            fields.push(Field { start: at as u32, end: after as u32, quoted: false, escaped: false });
            after
        };
        match buffer.get(after) {
            Some(&byte) if byte == syntax.delimiter => at = after + 1,
            found => {
                let end = trim_carriage_returns(buffer, at, after, fields);
                return Scan::Record { end, next: after + usize::from(found.is_some()), lines };
            }
        }
    }
}

/// A comment as a blank line: a record of one empty field.
fn scan_comment(buffer: &[u8], start: usize, ended: bool, syntax: &Syntax, fields: &mut Vec<Field>) -> Scan {
    let length = memchr::memchr(syntax.newline, &buffer[start..]);
    let next = match length {
        Some(length) => start + length + 1,
        None if ended => buffer.len(),
        None => return Scan::More,
    };
    fields.push(Field { start: start as u32, end: start as u32, quoted: false, escaped: false });
    Scan::Record { end: start, next, lines: 0 }
}

/// The quoted field whose opening quote is at `open`, and where what follows it lies.
fn scan_quoted(
    buffer: &[u8],
    open: usize,
    ended: bool,
    quoting: Quoting,
    syntax: &Syntax,
) -> Result<(Field, usize), Scan> {
    let mut from = open + 1;
    let mut escaped = false;
    let close = loop {
        let Some(length) = memchr::memchr2(quoting.quote, quoting.escape, &buffer[from..]) else {
            return Err(match ended {
                true => Scan::Broken { code: Code::UnterminatedQuote, reached: buffer.len() },
                false => Scan::More,
            });
        };
        let found = from + length;
        let escapes = buffer[found] == quoting.escape;
        match buffer.get(found + 1) {
            Some(&next) if escapes && quoting.is_escapable(next) => {
                escaped = true;
                from = found + 2;
            }
            None if !ended => return Err(Scan::More),
            _ if buffer[found] == quoting.quote => break found,
            _ => from = found + 1,
        }
    };
    let field = Field { start: (open + 1) as u32, end: close as u32, quoted: true, escaped };
    let mut after = close + 1;
    loop {
        match buffer.get(after) {
            Some(&byte) if syntax.ends_field[usize::from(byte)] => return Ok((field, after)),
            Some(b' ' | b'\r') => after += 1,
            Some(_) => return Err(Scan::Broken { code: Code::StrayQuote, reached: after }),
            None if ended => return Ok((field, after)),
            None => return Err(Scan::More),
        }
    }
}

/// Takes the CR of CRLF off the last field and off the record; returns where the record ends.
fn trim_carriage_returns(buffer: &[u8], at: usize, after: usize, fields: &mut [Field]) -> usize {
    let mut end = after;
    while end > at && buffer[end - 1] == b'\r' {
        end -= 1;
    }
    if let Some(field) = fields.last_mut().filter(|field| !field.quoted) {
        field.end = end as u32;
    }
    end
}

#[cfg(test)]
mod tests;
