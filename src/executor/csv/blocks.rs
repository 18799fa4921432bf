//! Text → blocks of whole records, one after the other: what is decoded in parallel is cut here, serially, by the
//! state of the quotes, so that no record is ever torn and no line is ever guessed to begin one.
//!
//! Cutting reads every byte once and looks only at quotes and at the line ends near a cut. Where it meets quotes that
//! do not follow the rules, it reads that block again record by record and sets broken lines aside. Blocks form groups
//! of at least [`Limits::group`] bytes. A group ends at the first record end behind that, whatever the sizes of the
//! blocks and of the reads: so does a row group, and the same bytes come out for the same bytes in.
//!
//! Rules: a record ends at LF or CRLF outside quotes, or at the end of the text (a text without any LF may use CR). A
//! field whose first byte is the quote character is quoted: it may hold delimiters and line ends, a doubled or escaped
//! quote stands for one, and only spaces may follow its closing quote. A quote further inside a field is an ordinary
//! character. A line that begins with the dialect's comment character is none. What breaks a rule costs its first
//! *line*, never the rest of the file.

mod text;

use std::{
    any::Any,
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

pub(crate) use self::text::BlockText;
use self::text::Shelf;
use super::{
    marks::{Marks, Quoting},
    reject::Code,
};

/// Bytes that are read and cut at a time.
pub const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of one record at most; a longer one is set aside. It bounds the memory that one record can take.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a rejected record's text that are kept.
pub const RAW_BYTES_MAX: usize = 64 * 1024;
/// Text at the end of a block that the last line end is looked for in first: a record is seldom longer.
const TAIL_BYTES: usize = 64 * 1024;
/// Text that may be read again after unbalanced quotes: this many bytes, and [`RESCAN_FACTOR`] times the text so
/// far. It keeps the time linear in the size of the input, whatever is in it.
pub(super) const RESCAN_BYTES_FLOOR: u64 = 256 * 1024 * 1024;
pub(super) const RESCAN_FACTOR: u64 = 4;

/// Sizes of a cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of a block.
    pub block: usize,
    /// Bytes of a group at least.
    pub group: u64,
    /// Bytes of a record at most.
    pub record: usize,
    /// Bytes that may be read again, besides a share of what was read.
    pub rescan: u64,
    /// Bytes at the end of a block that its last line end is looked for in first.
    pub tail: usize,
}

impl Limits {
    /// The limits of a conversion with groups of this size.
    pub fn of_group(bytes: u64) -> Self {
        let (block, tail) = (BLOCK_BYTES, TAIL_BYTES);
        Limits { block, group: bytes.max(1), record: RECORD_BYTES_MAX, rescan: RESCAN_BYTES_FLOOR, tail }
    }
}

/// Whole records.
#[derive(Debug)]
pub(crate) struct Block {
    /// The records' text, line ends included.
    pub bytes: BlockText,
    /// Line of its first byte, counted from 1.
    pub line: u64,
    /// Offset of its first byte in the text.
    pub offset: u64,
    /// There are quote characters in it.
    pub has_quotes: bool,
    /// Lines in it that are no records, in order.
    pub faults: Vec<Fault>,
    /// The next block is of another group.
    pub ends_group: bool,
    /// What is to be dropped with it.
    pub keeps: Option<Box<dyn Any + Send + Sync>>,
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub code: Code,
    /// Where it lies in its block, line end included.
    pub range: Range<usize>,
    pub line: u64,
    pub offset: u64,
    /// Its text, at most [`RAW_BYTES_MAX`].
    pub raw: Vec<u8>,
    pub truncated: bool,
}

/// What stops the cutter.
#[derive(Debug)]
pub(crate) enum CutError {
    Read(io::Error),
    /// The rescan budget is used up at this line.
    Quotes {
        line: u64,
    },
}

/// Cuts what a reader gives.
pub(crate) struct Blocks<R> {
    reader: R,
    marks: Marks,
    limits: Limits,
    /// Text that is not cut yet; it begins with a record.
    buffer: BlockText,
    shelf: Arc<Shelf>,
    /// Line and offset of its first byte.
    line: u64,
    offset: u64,
    ended: bool,
    /// The rest of the line belongs to a record that was too large.
    skipping: bool,
    rescanned: u64,
    /// Bytes of the group so far.
    grouped: u64,
}

/// A place to cut.
#[derive(Debug, Default)]
struct Cut {
    end: usize,
    has_quotes: bool,
    faults: Vec<Fault>,
}

impl<R: Read> Blocks<R> {
    /// `offset` and `line`: of the first byte that the reader gives.
    pub fn new(reader: R, marks: Marks, (offset, line): (u64, u64), limits: Limits) -> Self {
        let (buffer, shelf) = (BlockText::default(), Shelf::new(limits.block));
        let (ended, skipping, rescanned, grouped) = (false, false, 0, 0);
        Blocks { reader, marks, limits, buffer, shelf, line, offset, ended, skipping, rescanned, grouped }
    }

    /// The next block; `None` at the end of the text.
    pub fn next(&mut self) -> Result<Option<Block>, CutError> {
        self.fill(self.limits.block)?;
        loop {
            if self.skipping && !self.skip()? {
                return Ok(None);
            }
            if self.buffer.is_empty() {
                return Ok(None);
            }
            let cut = match self.quick_cut() {
                Some(cut) => cut,
                None => self.careful_cut()?,
            };
            if cut.end > 0 {
                return Ok(Some(self.take(cut)));
            }
            self.fill((self.buffer.len() * 2).min(self.limits.record + self.limits.block))?;
        }
    }

    /// Reads until the buffer has this many bytes, or the text ends.
    fn fill(&mut self, target: usize) -> Result<(), CutError> {
        if self.buffer.len() < target && !self.ended {
            if self.buffer.capacity() == 0 {
                self.buffer = BlockText::new(&self.shelf, target);
            }
            self.ended = self.buffer.fill(&mut self.reader, target).map_err(CutError::Read)?;
        }
        Ok(())
    }

    /// Drops the rest of a line; false at the end of the text.
    fn skip(&mut self) -> Result<bool, CutError> {
        loop {
            let end = memchr::memchr(self.marks.newline, &self.buffer);
            let dropped = end.map_or(self.buffer.len(), |end| end + 1);
            self.buffer.drop_front(dropped);
            self.offset += dropped as u64;
            self.grouped += dropped as u64;
            self.skipping = end.is_none();
            self.line += u64::from(end.is_some());
            if !self.skipping || self.ended {
                self.skipping = false;
                self.fill(self.limits.block)?;
                return Ok(!self.buffer.is_empty());
            }
            self.fill(self.limits.block)?;
        }
    }

    fn take(&mut self, cut: Cut) -> Block {
        let Cut { end, has_quotes, faults } = cut;
        let mut rest = BlockText::default();
        if end < self.buffer.len() {
            rest = BlockText::new(&self.shelf, self.buffer.len() - end);
            rest.append(&self.buffer[end..]);
        }
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.grouped += end as u64;
        let ends_group = self.grouped >= self.limits.group;
        let block = Block { line: self.line, offset: self.offset, has_quotes, faults, ends_group, bytes, keeps: None };
        self.line += memchr::memchr_iter(self.marks.newline, &block.bytes).count() as u64;
        self.offset += end as u64;
        if ends_group {
            self.grouped = 0;
        }
        block
    }

    /// Bytes of the buffer that the group wants at least.
    fn wanted(&self) -> usize {
        usize::try_from(self.limits.group.saturating_sub(self.grouped)).unwrap_or(usize::MAX).max(1)
    }

    /// The cut, when all quotes in the buffer follow the rules, none of them is in a comment, and no record can be too
    /// long.
    fn quick_cut(&self) -> Option<Cut> {
        if self.buffer.len() > self.limits.record {
            return None;
        }
        let tail = self.buffer.len().saturating_sub(self.limits.tail);
        match self.quick_cut_behind(tail) {
            Some(Cut { end: 0, .. }) if tail > 0 => self.quick_cut_behind(0),
            cut => cut,
        }
    }

    /// The same, with the last line end only if it lies in text outside quotes that reaches beyond `tail`.
    fn quick_cut_behind(&self, tail: usize) -> Option<Cut> {
        let mut ends = Ends { buffer: &self.buffer, newline: self.marks.newline, wanted: self.wanted(), tail, last: 0 };
        let quoting = self.marks.quote.filter(|quoting| memchr::memchr(quoting.quote, &self.buffer).is_some());
        let Some(quoting) = quoting else {
            let group = ends.look(0, self.buffer.len());
            let end = group.unwrap_or(if self.ended { self.buffer.len() } else { ends.last });
            return Some(Cut { end, has_quotes: false, faults: Vec::new() });
        };
        if self.marks.comment.is_some() {
            return None;
        }
        let (mut outside, mut at) = (0, 0);
        loop {
            let open = memchr::memchr(quoting.quote, &self.buffer[at..]).map(|length| at + length);
            let Some(open) = open else {
                let group = ends.look(outside, self.buffer.len());
                let end = group.unwrap_or(if self.ended { self.buffer.len() } else { ends.last });
                return Some(Cut { end, has_quotes: true, faults: Vec::new() });
            };
            at = open + 1;
            if open > 0 && !self.marks.ends_field(self.buffer[open - 1]) {
                continue;
            }
            if let Some(end) = ends.look(outside, open) {
                return Some(Cut { end, has_quotes: true, faults: Vec::new() });
            }
            match quoted_end(&self.buffer, open, self.ended, quoting, &self.marks) {
                Ok(after) => (outside, at) = (after, after),
                Err(Torn::More) => return Some(Cut { end: ends.last, has_quotes: true, faults: Vec::new() }),
                Err(Torn::Broken { .. }) => return None,
            }
        }
    }

    /// The same record by record: what breaks a rule, or is too long, is set aside.
    fn careful_cut(&mut self) -> Result<Cut, CutError> {
        let mut aside = Aside { cut: Cut::default(), at: 0, counted: 0, line: self.line };
        let wanted = self.wanted();
        while aside.at < wanted.min(self.buffer.len()) && !self.skipping {
            let found = record_end(&self.buffer, aside.at, self.ended, &self.marks);
            match found {
                Ok(next) if self.line_end(next) - aside.at <= self.limits.record => {
                    aside.at = next;
                    continue;
                }
                Err(Torn::Broken { code, reached }) if reached - aside.at <= self.limits.record => {
                    if self.set_aside(&mut aside, code, reached)? {
                        continue;
                    }
                    break;
                }
                Err(Torn::More) if self.buffer.len() - aside.at <= self.limits.record => break,
                _ => {
                    // A line end in so long a record lies within quotes, which do not seem to close.
                    let reached = aside.at + self.limits.record;
                    self.set_aside(&mut aside, Code::UnterminatedQuote, reached)?;
                }
            }
        }
        Ok(Cut { end: aside.at, has_quotes: true, ..aside.cut })
    }

    /// Where a record ends whose successor begins at `next`, CRs counted: those decide whether it is too long, since
    /// whether they belong to its line end is known only behind them.
    fn line_end(&self, next: usize) -> usize {
        next - usize::from(self.buffer[next - 1] == self.marks.newline)
    }

    /// Sets the line at `aside.at` aside, seen to be broken after reading up to `reached`; false when its end is not in
    /// the buffer yet. A line longer than a record may be is dropped up to its end.
    fn set_aside(&mut self, aside: &mut Aside, code: Code, reached: usize) -> Result<bool, CutError> {
        let rest = &self.buffer[aside.at..];
        let window = &rest[..rest.len().min(self.limits.record + 1)];
        let length = match memchr::memchr(self.marks.newline, window) {
            Some(length) => length,
            None if rest.len() > self.limits.record => {
                aside.fault(&self.buffer, self.offset, &self.marks, Code::RecordTooLarge, self.limits.record);
                self.skipping = true;
                return Ok(true);
            }
            None if self.ended => rest.len(),
            None => return Ok(false),
        };
        aside.fault(&self.buffer, self.offset, &self.marks, code, length);
        self.rescanned += reached.saturating_sub(aside.at) as u64;
        let allowed = self.limits.rescan + RESCAN_FACTOR * (self.offset + aside.at as u64);
        if self.rescanned > allowed { Err(CutError::Quotes { line: aside.line }) } else { Ok(true) }
    }
}

/// Record ends outside quotes, of which only two count: the first behind what the group wants, and the last.
struct Ends<'a> {
    buffer: &'a [u8],
    newline: u8,
    wanted: usize,
    /// Text that ends before it does not count for the last.
    tail: usize,
    last: usize,
}

impl Ends<'_> {
    /// Looks at text outside quotes; the group's end, when it lies there.
    fn look(&mut self, from: usize, to: usize) -> Option<usize> {
        if to >= self.wanted {
            let from = from.max(self.wanted - 1);
            if let Some(length) = memchr::memchr(self.newline, self.buffer.get(from..to).unwrap_or_default()) {
                return Some(from + length + 1);
            }
        }
        if to < self.tail {
            return None;
        }
        if let Some(length) = memchr::memrchr(self.newline, &self.buffer[from..to]) {
            self.last = from + length + 1;
        }
        None
    }
}

/// What a careful cut has set aside.
struct Aside {
    cut: Cut,
    at: usize,
    /// Up to here lines are counted.
    counted: usize,
    line: u64,
}

impl Aside {
    fn fault(&mut self, buffer: &[u8], base: u64, marks: &Marks, code: Code, length: usize) {
        self.line += memchr::memchr_iter(marks.newline, &buffer[self.counted..self.at]).count() as u64;
        let mut text = &buffer[self.at..self.at + length];
        if let [head @ .., b'\r'] = text {
            text = head;
        }
        let kept = text.len().min(RAW_BYTES_MAX);
        let next = (self.at + length + usize::from(code != Code::RecordTooLarge)).min(buffer.len());
        self.cut.faults.push(Fault {
            code,
            range: self.at..next,
            line: self.line,
            offset: base + self.at as u64,
            raw: text[..kept].to_vec(),
            truncated: kept < text.len() || code == Code::RecordTooLarge,
        });
        self.counted = self.at;
        self.at = next;
    }
}

/// Why a record has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Torn {
    /// It goes on behind the buffer.
    More,
    /// No record: seen after reading up to `reached`.
    Broken { code: Code, reached: usize },
}

/// What follows the quoted field whose opening quote is at `open`: a delimiter, a line end, or the end of the text.
fn quoted_end(buffer: &[u8], open: usize, ended: bool, quoting: Quoting, marks: &Marks) -> Result<usize, Torn> {
    let Quoting { quote, escape } = quoting;
    let mut from = open + 1;
    let close = loop {
        let rest = buffer.get(from..).unwrap_or_default();
        let found = if quote == escape { memchr::memchr(quote, rest) } else { memchr::memchr2(quote, escape, rest) };
        let at = match found {
            Some(length) => from + length,
            None if ended => return Err(Torn::Broken { code: Code::UnterminatedQuote, reached: buffer.len() }),
            None => return Err(Torn::More),
        };
        match buffer.get(at + 1) {
            Some(&next) if buffer[at] == escape && quoting.is_escapable(next) => from = at + 2,
            None if !ended => return Err(Torn::More),
            _ if buffer[at] == quote => break at,
            _ => from = at + 1,
        }
    };
    let mut after = close + 1;
    loop {
        match buffer.get(after) {
            Some(&byte) if marks.ends_field(byte) => return Ok(after),
            Some(b' ' | b'\r') => after += 1,
            Some(_) => return Err(Torn::Broken { code: Code::StrayQuote, reached: after }),
            None if ended => return Ok(after),
            None => return Err(Torn::More),
        }
    }
}

/// Where the record after the one at `at` begins.
fn record_end(buffer: &[u8], mut at: usize, ended: bool, marks: &Marks) -> Result<usize, Torn> {
    let is_comment = marks.comment.is_some() && buffer.get(at) == marks.comment.as_ref();
    loop {
        let rest = buffer.get(at..).unwrap_or_default();
        let found = match marks.quote.filter(|quoting| !is_comment && rest.first() == Some(&quoting.quote)) {
            Some(quoting) => Some(quoted_end(buffer, at, ended, quoting, marks)?),
            None if is_comment => memchr::memchr(marks.newline, rest).map(|length| at + length),
            None => memchr::memchr2(marks.delimiter, marks.newline, rest).map(|length| at + length),
        };
        let after = match found {
            Some(after) => after,
            None if ended => return Ok(buffer.len()),
            None => return Err(Torn::More),
        };
        match buffer.get(after) {
            Some(&byte) if byte == marks.delimiter && !is_comment => at = after + 1,
            found => return Ok(after + usize::from(found.is_some())),
        }
    }
}

#[cfg(test)]
mod tests;
