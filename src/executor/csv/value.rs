//! One cell's text ↔ types: which types it could be of, and its value in a given type.
//!
//! Finding out is strict, so that nothing is lost by it: `007`, `+4` and integers beyond 64 bits stay text. Converting
//! to a type that somebody decided on is lenient where the value is the same: `007` is 7 and `5.0` is 5 in an `int64`
//! column, and surrounding spaces do not count.
//!
//! The functions take a cell as it stands, spaces and tabs around it included. Nearly all cells are short and written plainly. These are read eight bytes at a time, each byte of a machine word
//! being a digit (`digits`); what is written otherwise takes a slower way that knows every form.

use crate::dataset::{self, CsvOptions};

mod classify;
mod comma;
mod digits;
mod number;
mod time;

pub(crate) use classify::{Digits, Kinds, Shape, classify, glance_at_integer, glance_at_number, shape};
pub(crate) use number::{decimal, double, int, int32, strict_double, strict_int};
pub(crate) use time::{date, is_iso_date, is_iso_timestamp, timestamp};

/// A cell's text: a range of a larger one, since whole words that reach beyond a short cell are quicker to load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Text<'a> {
    /// `start` ≤ `end` ≤ the length of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= bytes.len());
        Text { bytes, start, end }
    }

    /// The cell's own bytes.
    #[inline]
    pub fn get(self) -> &'a [u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    #[inline]
    pub fn len(self) -> usize {
        self.end.wrapping_sub(self.start)
    }

    /// Without spaces and tabs around it.
    #[inline]
    pub fn trim(self) -> Self {
        let cell = self.get();
        match (cell.first(), cell.last()) {
            (Some(b' ' | b'\t'), _) | (_, Some(b' ' | b'\t')) => self.trim_both(),
            _ => self,
        }
    }

    #[cold]
    fn trim_both(self) -> Self {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let cell = self.get();
        let front = cell.iter().take_while(blank).count();
        let back = cell[front..].iter().rev().take_while(blank).count();
        Text { start: self.start + front, end: self.end - back, ..self }
    }

    /// The first bytes from the cell's start on, whether they belong to it or not.
    #[inline(always)]
    fn first_chunk<const N: usize>(self) -> Option<&'a [u8; N]> {
        self.bytes.get(self.start..)?.first_chunk()
    }

    /// Eight bytes that begin with the cell's first; those behind the cell are whatever follows it.
    #[inline(always)]
    fn first_word(self) -> Option<u64> {
        self.first_chunk().copied().map(u64::from_le_bytes)
    }

    /// The last of the cell's eight-byte words but `words`, counted from its end.
    #[inline(always)]
    fn last_word(self, words: usize) -> Option<u64> {
        let word = self.bytes.get(self.end.wrapping_sub(8 * words + 8)..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Text { bytes, start: 0, end: bytes.len() }
    }
}

/// How values are written in a dataset, where the text itself does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Formats {
    pub date_order: DateOrder,
    /// `1.234,5` is a number: a comma before the fraction, points between thousands.
    pub decimal_comma: bool,
}

/// What comes first in `01/02/2013`. Without an order such text is no date: a file without a day beyond the 12th does
/// not tell, and the next one must be read like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DateOrder {
    #[default]
    None,
    DayFirst,
    MonthFirst,
}

impl Formats {
    /// As a dataset says.
    pub fn of(options: &CsvOptions) -> Self {
        Formats {
            date_order: match options.date_order {
                None => DateOrder::None,
                Some(dataset::DateOrder::Dmy) => DateOrder::DayFirst,
                Some(dataset::DateOrder::Mdy) => DateOrder::MonthFirst,
            },
            decimal_comma: options.decimal_comma.unwrap_or(false),
        }
    }
}

/// Without spaces and tabs around it.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    Text::from(text).trim().get()
}

/// `true` or `false` in any case.
#[inline]
pub(crate) fn boolean(text: Text<'_>) -> Option<bool> {
    /// Makes letters small; nothing but a letter becomes one by it.
    const SMALL: u32 = 0x2020_2020;
    match *text.get() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => boolean(text.trim()),
        [t, r, u, e] if u32::from_le_bytes([t, r, u, e]) | SMALL == u32::from_le_bytes(*b"true") => Some(true),
        [f, a, l, s, b'e' | b'E'] if u32::from_le_bytes([f, a, l, s]) | SMALL == u32::from_le_bytes(*b"fals") => {
            Some(false)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
