//! Blocks → fields: where every field of every record lies, as a grid of equal rows, without copying a cell.
//!
//! The text is compared 64 bytes at a time, and only bytes that mean something are looked at one by one. Of a block
//! without quotes these are delimiters and line ends; where there are quotes, those, too, with the state of the quotes
//! carried along. That every quote closes is certain: [`super::blocks`] has set aside what does not.

use std::ops::Range;

use wide::u8x16;

use super::{
    blocks::Block,
    marks::{Marks, Quoting},
};

/// Fields of one record at most; one with more is set aside. It bounds the memory that a line of delimiters can take.
pub const RECORD_FIELDS_MAX: usize = 16 * 1024;
/// Fields of a slab: what is scanned and then decoded column by column, so that it stays in the processor's cache.
const SLAB_FIELDS: usize = 8 * 1024;
/// Rows of a slab at most.
const SLAB_ROWS_MAX: usize = 4096;
/// Bytes that are compared at a time.
const LANES: usize = 64;

/// A field: where its text lies in the block, quotes left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// With [`FLAG`] when it is quoted.
    start: u32,
    /// With [`FLAG`] when its text holds doubled or escaped quotes.
    end: u32,
}

/// A block is far smaller than this.
const FLAG: u32 = 1 << 31;

impl Field {
    fn plain(start: usize, end: usize) -> Self {
        Field { start: start as u32, end: end as u32 }
    }

    fn quoted(start: usize, end: usize, escaped: bool) -> Self {
        Field { start: start as u32 | FLAG, end: end as u32 | if escaped { FLAG } else { 0 } }
    }

    #[inline]
    pub fn range(self) -> Range<usize> {
        (self.start & !FLAG) as usize..(self.end & !FLAG) as usize
    }

    /// It was in quotes.
    #[inline]
    pub fn is_quoted(self) -> bool {
        self.start & FLAG != 0
    }

    /// Its text holds doubled or escaped quotes.
    #[inline]
    pub fn is_escaped(self) -> bool {
        self.end & FLAG != 0
    }

    /// There is no text in it, quoted or not.
    #[inline]
    pub fn is_empty(self) -> bool {
        (self.start ^ self.end) & !FLAG == 0
    }

    /// Its bytes; `scratch` is used only where doubled or escaped quotes must become one.
    #[inline]
    pub fn text<'a>(self, bytes: &'a [u8], marks: &Marks, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let text = &bytes[self.range()];
        match self.is_escaped() {
            true => {
                scratch.clear();
                unescape(text, marks, scratch);
                scratch
            }
            false => text,
        }
    }
}

/// Appends the text of a field, doubled and escaped quotes as one.
pub(crate) fn unescape(text: &[u8], marks: &Marks, out: &mut Vec<u8>) {
    let mut rest = text;
    if let Some(quoting) = marks.quote {
        out.reserve(text.len());
        while let Some(at) = memchr::memchr(quoting.escape, rest) {
            // The quote that is meant comes right behind the one that says so.
            let is_escape = rest.get(at + 1).is_some_and(|&next| quoting.is_escapable(next));
            out.extend_from_slice(&rest[..at + usize::from(!is_escape)]);
            rest = &rest[at + 1..];
            if let (true, Some((meant, behind))) = (is_escape, rest.split_first()) {
                out.push(*meant);
                rest = behind;
            }
        }
    }
    out.extend_from_slice(rest);
}

/// How many fields a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Width {
    /// Fields of a row. One more is no fault when it is empty: the row ends with a delimiter.
    pub fields: usize,
    /// Rows with fewer fields get empty ones.
    pub pads: bool,
}

/// A row of another width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ragged {
    pub start: usize,
    pub end: usize,
    pub fields: usize,
}

/// Fields of some rows, row by row.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    width: usize,
    fields: Vec<Field>,
    /// Fields that are in use.
    used: usize,
    /// Where each row's text begins and ends, without its line end.
    rows: Vec<(u32, u32)>,
    ragged: Vec<Ragged>,
}

impl Grid {
    /// Rows of the right width.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows of another width.
    pub fn ragged(&self) -> &[Ragged] {
        &self.ragged
    }

    /// Where a row's text lies.
    pub fn row(&self, row: usize) -> Range<usize> {
        let (start, end) = self.rows[row];
        start as usize..end as usize
    }

    /// Takes rows out of it.
    pub fn remove(&mut self, is_bad: &[bool]) {
        let mut kept = 0;
        for (row, is_bad) in is_bad.iter().enumerate() {
            if !is_bad {
                self.rows[kept] = self.rows[row];
                self.fields.copy_within(row * self.width..(row + 1) * self.width, kept * self.width);
                kept += 1;
            }
        }
        self.rows.truncate(kept);
        self.used = kept * self.width;
    }

    pub fn field(&self, row: usize, column: usize) -> Field {
        self.fields[row * self.width + column]
    }

    /// One column's fields, in the order of the rows.
    #[inline]
    pub fn column(&self, column: usize) -> impl ExactSizeIterator<Item = Field> + '_ {
        self.fields[..self.used].chunks_exact(self.width).map(move |row| row[column])
    }
}

/// Goes through the rows of a block, a slab at a time.
pub(crate) struct Rows<'a> {
    block: &'a Block,
    marks: Marks,
    width: Width,
    at: usize,
    /// Faults that lie before `at`.
    fault: usize,
    text: usize,
}

/// How much is still to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub rows: usize,
    /// Of text; the row in which they end is the last.
    pub bytes: usize,
}

impl<'a> Rows<'a> {
    pub fn new(block: &'a Block, marks: Marks, width: Width) -> Self {
        Rows { block, marks, width, at: 0, fault: 0, text: 0 }
    }

    /// Fills the grid with the next rows, until there are so many, or their text has so many bytes; false when there
    /// are none left.
    pub fn next(&mut self, grid: &mut Grid, room: Room) -> bool {
        grid.width = self.width.fields.max(1);
        grid.used = 0;
        grid.rows.clear();
        grid.ragged.clear();
        let rows_max = (SLAB_FIELDS / grid.width).clamp(1, SLAB_ROWS_MAX).min(room.rows.max(1));
        let room = Room { rows: rows_max, ..room };
        while self.at < self.block.bytes.len() && grid.rows.is_empty() && grid.ragged.is_empty() {
            let fault = self.block.faults.get(self.fault);
            let end = fault.map_or(self.block.bytes.len(), |fault| fault.range.start);
            if self.at < end {
                let scan = Scan::new(&self.block.bytes[..end], self.at, self.marks, self.width, room, grid);
                let next = match self.block.has_quotes {
                    true => scan.with_quotes(),
                    false => scan.without_quotes(),
                };
                self.text += next - self.at;
                self.at = next;
            } else if let Some(fault) = fault {
                self.at = fault.range.end;
                self.fault += 1;
            }
        }
        !grid.rows.is_empty() || !grid.ragged.is_empty()
    }

    /// Where the next rows begin: what lies before it has been seen.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes of text that rows were looked for in so far.
    pub fn text(&self) -> usize {
        self.text
    }
}

/// Which of 64 bytes are which.
#[derive(Clone, Copy)]
struct Lanes([u8x16; 4]);

impl Lanes {
    #[inline(always)]
    fn load(bytes: &[u8; LANES]) -> Self {
        let lane = |at: usize| {
            let mut part = [0; 16];
            part.copy_from_slice(&bytes[at * 16..at * 16 + 16]);
            u8x16::new(part)
        };
        Lanes([lane(0), lane(1), lane(2), lane(3)])
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        let wanted = u8x16::splat(byte);
        let bits = |at: usize| u64::from(self.0[at].simd_eq(wanted).to_bitmask());
        bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48
    }
}

/// A scan over whole records.
struct Scan<'a> {
    text: &'a [u8],
    marks: Marks,
    width: Width,
    rows_max: usize,
    /// A row that ends here or further is the last.
    last: usize,
    grid: &'a mut Grid,
    /// Where the field begins.
    start: usize,
    /// Where the row begins.
    row: usize,
    /// Fields of the row so far; those beyond the width are counted and not kept, but for one.
    count: usize,
    /// The first of the fields beyond the width was empty and unquoted.
    surplus_empty: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8], at: usize, marks: Marks, width: Width, room: Room, grid: &'a mut Grid) -> Self {
        let (rows_max, last) = (room.rows, at.saturating_add(room.bytes));
        Scan { text, marks, width, rows_max, last, grid, start: at, row: at, count: 0, surplus_empty: true }
    }

    #[inline(always)]
    fn lanes(text: &[u8], at: usize) -> Lanes {
        match text[at..].first_chunk() {
            Some(chunk) => Lanes::load(chunk),
            None => {
                let mut padded = [0; LANES];
                padded[..text.len() - at].copy_from_slice(&text[at..]);
                Lanes::load(&padded)
            }
        }
    }

    /// Returns where the next slab begins.
    fn without_quotes(mut self) -> usize {
        let text = self.text;
        let mut base = self.row;
        while base < text.len() {
            let lanes = Self::lanes(text, base);
            if let Some(next) = self.plain(base, lanes.equal(self.marks.delimiter), lanes.equal(self.marks.newline)) {
                return next;
            }
            base += LANES;
        }
        self.finish()
    }

    /// Fields and rows that end within 64 bytes outside quotes; where the next slab begins, when this one is full.
    #[inline(always)]
    fn plain(&mut self, base: usize, mut delimiters: u64, mut newlines: u64) -> Option<usize> {
        if self.grid.fields.len() < self.grid.used + self.room() {
            self.grow();
        }
        loop {
            let newline = newlines.trailing_zeros();
            let before = match newline {
                64 => u64::MAX,
                bit => (1u64 << bit) - 1,
            };
            let mut fields = delimiters & before;
            while fields != 0 {
                let at = base + fields.trailing_zeros() as usize;
                fields &= fields - 1;
                self.field(Field::plain(self.start, at));
                self.start = at + 1;
            }
            if newlines == 0 {
                return None;
            }
            delimiters &= !before;
            newlines &= newlines - 1;
            let at = base + newline as usize;
            let end = self.without_returns(at);
            self.field(Field::plain(self.start, end));
            self.end_row(end, at + 1);
            if self.is_full() {
                return Some(at + 1);
            }
            if self.grid.fields.len() < self.grid.used + self.room() {
                self.grow();
            }
        }
    }

    /// The same with quotes.
    fn with_quotes(mut self) -> usize {
        let text = self.text;
        let Some(Quoting { quote, escape }) = self.marks.quote else { return self.without_quotes() };
        let mut state = self.at_row();
        // The byte there has lost its meaning.
        let mut dead = usize::MAX;
        let mut base = self.row;
        while base < text.len() {
            let lanes = Self::lanes(text, base);
            let escapes = if escape == quote { 0 } else { lanes.equal(escape) };
            let quotes = lanes.equal(quote) | escapes;
            let (delimiters, newlines) = (lanes.equal(self.marks.delimiter), lanes.equal(self.marks.newline));
            let ends = delimiters | newlines;
            if quotes == 0 && matches!(state, State::Outside) && self.marks.comment.is_none() {
                if let Some(next) = self.plain(base, delimiters, newlines) {
                    return next;
                }
                base += LANES;
                continue;
            }
            if self.grid.fields.len() < self.grid.used + self.room() {
                self.grow();
            }
            // What counts behind a byte depends on the state that it makes.
            let counting = |state| match state {
                State::Inside { .. } => quotes,
                State::Outside => quotes | ends,
                State::Behind(_) | State::Comment => ends,
            };
            let mut bits = counting(state);
            while bits != 0 {
                let bit = bits.trailing_zeros();
                let behind = u64::MAX.checked_shl(bit + 1).unwrap_or(0);
                let at = base + bit as usize;
                let byte = text[at];
                match state {
                    _ if at == dead => {}
                    State::Inside { open, escaped } => {
                        let next = text.get(at + 1);
                        if byte == escape && next.is_some_and(|&next| next == quote || next == escape) {
                            dead = at + 1;
                            state = State::Inside { open, escaped: true };
                        } else if byte == quote {
                            state = State::Behind(Field::quoted(open + 1, at, escaped));
                        }
                    }
                    State::Outside if byte == quote => {
                        if at == self.start {
                            state = State::Inside { open: at, escaped: false };
                        }
                    }
                    State::Outside | State::Behind(_) if self.marks.ends_field(byte) => {
                        let is_newline = byte == self.marks.newline;
                        let end = if is_newline { self.without_returns(at) } else { at };
                        self.field(match state {
                            State::Behind(field) => field,
                            _ => Field::plain(self.start, end),
                        });
                        self.start = at + 1;
                        state = State::Outside;
                        if is_newline {
                            self.end_row(end, at + 1);
                            if self.is_full() {
                                return at + 1;
                            }
                            state = self.at_row();
                            if self.grid.fields.len() < self.grid.used + self.room() {
                                self.grow();
                            }
                        }
                    }
                    State::Comment if byte == self.marks.newline => {
                        (self.row, self.start) = (at + 1, at + 1);
                        state = self.at_row();
                    }
                    State::Outside | State::Behind(_) | State::Comment => {}
                }
                bits = counting(state) & behind;
            }
            base += LANES;
        }
        if let State::Behind(field) = state {
            self.field(field);
            let end = self.without_returns(text.len());
            self.end_row(end, text.len());
            return text.len();
        }
        self.finish()
    }

    /// The state at the beginning of a row.
    #[inline(always)]
    fn at_row(&self) -> State {
        match self.marks.comment {
            Some(comment) if self.text.get(self.row) == Some(&comment) => State::Comment,
            _ => State::Outside,
        }
    }

    /// Fields that may come before there is another look at the room for them.
    #[inline(always)]
    fn room(&self) -> usize {
        self.grid.width + 2 * LANES + 1
    }

    /// The last record has no line end.
    fn finish(mut self) -> usize {
        let end = self.without_returns(self.text.len());
        if self.row < self.text.len() {
            self.field(Field::plain(self.start, end.max(self.start)));
            self.end_row(end, self.text.len());
        }
        self.text.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        let grid = &self.grid;
        grid.rows.len() >= self.rows_max || grid.ragged.len() >= self.rows_max || self.row >= self.last
    }

    #[cold]
    fn grow(&mut self) {
        let wanted = (self.grid.fields.len() * 2).max(SLAB_FIELDS + 4 * LANES + self.grid.width);
        self.grid.fields.resize(wanted, Field::default());
    }

    #[inline(always)]
    fn field(&mut self, field: Field) {
        if self.count < self.grid.width {
            if let Some(slot) = self.grid.fields.get_mut(self.grid.used + self.count) {
                *slot = field;
            }
        } else {
            self.surplus_empty &= field.is_empty() && !field.is_quoted();
        }
        self.count += 1;
    }

    /// Where the text that ends at `at` ends without the CR of CRLF.
    #[inline(always)]
    fn without_returns(&self, at: usize) -> usize {
        let mut end = at;
        while end > self.start.min(at) && self.text[end - 1] == b'\r' {
            end -= 1;
        }
        end
    }

    #[inline(always)]
    fn end_row(&mut self, end: usize, next: usize) {
        if self.count == self.grid.width && !self.is_blank(end) {
            self.grid.used += self.count;
            self.grid.rows.push((self.row as u32, end as u32));
        } else {
            self.end_odd_row(end);
        }
        (self.row, self.start, self.count) = (next, next, 0);
    }

    /// A row without a byte, or a comment.
    #[inline(always)]
    fn is_blank(&self, end: usize) -> bool {
        end == self.row || self.marks.comment.is_some_and(|comment| self.text[self.row] == comment)
    }

    /// The row is blank, or has another width.
    #[cold]
    fn end_odd_row(&mut self, end: usize) {
        let (width, count) = (self.grid.width, self.count);
        let surplus_empty = std::mem::replace(&mut self.surplus_empty, true);
        if self.is_blank(end) {
            return;
        }
        let fits = match count.checked_sub(width) {
            Some(surplus) => surplus_empty && surplus == 1,
            None => self.width.pads,
        };
        if !fits || count > RECORD_FIELDS_MAX {
            self.grid.ragged.push(Ragged { start: self.row, end, fields: count });
            return;
        }
        let first = self.grid.used;
        if let Some(missing) = self.grid.fields.get_mut(first + count.min(width)..first + width) {
            missing.fill(Field::plain(end, end));
        }
        self.grid.used += width;
        self.grid.rows.push((self.row as u32, end as u32));
    }
}

/// Where a scan is.
#[derive(Clone, Copy)]
enum State {
    Outside,
    /// In the quotes that open at `open`.
    Inside {
        open: usize,
        escaped: bool,
    },
    /// Behind the closing quote of this field.
    Behind(Field),
    /// In a line that is a comment.
    Comment,
}

#[cfg(test)]
mod tests;
