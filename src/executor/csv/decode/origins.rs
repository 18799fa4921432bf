//! Where rows came from, and rows that are set aside.

use std::{borrow::Cow, sync::Arc};

use super::super::{
    blocks::{Block, RAW_BYTES_MAX},
    marks::Marks,
    reject::{Code, Reject, readable},
};

/// Where rows of a batch came from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) rows: Vec<Origin>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Among the blocks.
    pub block: u32,
    pub start: u32,
    pub end: u32,
}

impl Origins {
    /// How many rows it knows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Lines of the first row's first byte and of the last row's last, counted from 1.
    pub fn lines(&self, marks: &Marks) -> Option<(u64, u64)> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        let line = |origin: &Origin, at: u32| {
            let block = &self.blocks[origin.block as usize];
            Lines::of(block, marks).at(at as usize)
        };
        Some((line(first, first.start), line(last, last.end)))
    }

    /// A row of the batch, set aside.
    pub fn reject(
        &self,
        row: usize,
        column: Option<String>,
        code: Cow<'static, str>,
        message: String,
        marks: &Marks,
    ) -> Option<Reject> {
        let origin = self.rows.get(row)?;
        let block = &self.blocks[origin.block as usize];
        let line = Lines::of(block, marks).at(origin.start as usize);
        Some(reject(block, line, (origin.start as usize, origin.end as usize), column, code, message))
    }
}

/// Counts lines on the way through a block.
pub(super) struct Lines<'a> {
    block: &'a Block,
    newline: u8,
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub fn of(block: &'a Block, marks: &Marks) -> Self {
        Lines { block, newline: marks.newline, at: 0, line: block.line }
    }

    /// The line of this byte. Going forward costs what lies between; going back starts anew.
    pub fn at(&mut self, at: usize) -> u64 {
        if at < self.at {
            (self.at, self.line) = (0, self.block.line);
        }
        self.line += memchr::memchr_iter(self.newline, &self.block.bytes[self.at..at]).count() as u64;
        self.at = at;
        self.line
    }
}

pub(super) fn reject(
    block: &Block,
    line: u64,
    (start, end): (usize, usize),
    column: Option<String>,
    code: Cow<'static, str>,
    message: String,
) -> Reject {
    let raw = &block.bytes[start..end];
    let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
    let truncated = kept.len() < raw.len();
    let offset = block.offset + start as u64;
    Reject { line, offset, column, code, message, raw: readable(kept), truncated }
}

/// What is to be said of a record that breaks a rule.
pub(super) fn explain(code: Code) -> &'static str {
    match code {
        Code::UnterminatedQuote => "a quote opens and does not close; only this line was set aside",
        Code::StrayQuote => "text follows a closing quote; a quote inside a quoted field must be doubled",
        Code::RecordTooLarge => "the record is longer than lake takes",
        Code::TooManyFields => "the record has more fields than lake takes",
        Code::TooFewFields | Code::TypeMismatch | Code::UnknownColumn | Code::InvalidUtf8 => "", // these are told by the row's own message
    }
}
