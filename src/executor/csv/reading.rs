//! An opened CSV file: its dialect, its header, then its rows a batch at a time. Both passes read through this.

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    super::{Error, Progress, Source},
    Dialect, dialect, header,
    reject::readable,
    split::{Batch, Limits, SplitError, Splitter},
    text::{Text, TextReader},
};
use crate::dataset::{Column, CsvOptions};

/// A file being read.
pub(crate) struct Reading<'a> {
    name: String,
    pub dialect: Dialect,
    /// Column names as the file gives them, made fit for the catalog; numbered when it has no header.
    pub names: Vec<String>,
    /// The header ends with a delimiter, so that its last name stands for nothing.
    pub trailing: bool,
    /// Bytes taken from the source so far.
    pub bytes: Arc<AtomicU64>,
    splitter: Splitter<TextReader<'a>>,
    /// The splitter holds a batch that nobody has seen yet.
    pending: bool,
    progress: &'a Progress,
}

impl<'a> Reading<'a> {
    /// Opens a file and reads its header. `None`: there is no record in it. `dialect`: known from an earlier pass,
    /// else it is found out; `known`: the columns of the table the file is for.
    pub fn open(
        source: &dyn Source,
        options: &CsvOptions,
        dialect: Option<&Dialect>,
        known: &[Column],
        progress: &'a Progress,
    ) -> Result<Option<Reading<'a>>, Error> {
        Self::open_with(source, options, dialect, known, progress, Limits::default())
    }

    /// The same with other limits.
    pub fn open_with(
        source: &dyn Source,
        options: &CsvOptions,
        dialect: Option<&Dialect>,
        known: &[Column],
        progress: &'a Progress,
        limits: Limits,
    ) -> Result<Option<Reading<'a>>, Error> {
        dialect::check(options)?;
        let label = dialect.map(|dialect| dialect.encoding.as_str()).or(options.encoding.as_deref());
        let text = Text::open(source, label, progress)?;
        let (encoding, compression) = (text.encoding.name(), text.compression);
        tracing::debug!(source = source.name(), encoding, known = ?text.known, note = text.note, ?compression, "opened");
        let dialect = dialect
            .cloned()
            .unwrap_or_else(|| dialect::sniff(&text.sample, text.whole, text.encoding.name(), options, known));
        let names = match dialect.header {
            true => Vec::new(), // the header's, below
            false => header::numbered(dialect::width(&text.sample, text.whole, &dialect)),
        };
        let splitter = Splitter::new(text.reader, &dialect, text.offset, limits);
        let mut reading = Reading {
            name: source.name().to_owned(),
            names,
            trailing: false,
            bytes: text.bytes,
            splitter,
            pending: false,
            progress,
            dialect,
        };
        reading.pending = reading.advance()?;
        if !reading.pending {
            return Ok(None);
        }
        if reading.dialect.header {
            reading.take_header()?;
        } else {
            reading.trailing = reading.first_row_ends_empty();
        }
        Ok(Some(reading))
    }

    /// The next batch of rows and faults; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Batch<'_>>, Error> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let ready = std::mem::take(&mut self.pending) || self.advance()?;
        if !ready {
            return Ok(None);
        }
        let batch = self.splitter.batch();
        self.progress.add_rows((batch.rows.len() + batch.faults.len()) as u64);
        Ok(Some(batch))
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.splitter.advance().map_err(|error| match error {
            SplitError::Read(source) => Error::reading(&self.name, source),
            SplitError::Quotes { line } => Error::Quotes { name: self.name.clone(), line },
        })
    }

    fn take_header(&mut self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Header { name: self.name.clone(), message });
        let batch = self.splitter.batch();
        let fault = batch.faults.first();
        let Some(row) = batch.rows.first().filter(|row| fault.is_none_or(|fault| fault.offset > row.offset)) else {
            let (line, code) = fault.map_or((1, ""), |fault| (fault.line, fault.code.as_str()));
            return refuse(format!("the header on line {line} cannot be read ({code})"));
        };
        let mut scratch = Vec::new();
        let fields = batch.fields(row);
        let cells: Vec<String> = fields
            .iter()
            .map(|field| readable(field.text(batch.bytes, self.dialect.quote as u8, &mut scratch)))
            .collect();
        self.trailing = ends_empty(fields);
        self.names = match header::names(&cells) {
            Ok(names) => names,
            Err(message) => return refuse(message),
        };
        self.splitter.drop_first_row();
        Ok(())
    }

    fn first_row_ends_empty(&self) -> bool {
        let batch = self.splitter.batch();
        batch.rows.first().is_some_and(|row| row.field_count() == self.names.len() && ends_empty(batch.fields(row)))
    }
}

fn ends_empty(fields: &[super::split::Field]) -> bool {
    fields.len() > 1 && fields.last().is_some_and(|last| last.is_empty() && !last.quoted)
}
