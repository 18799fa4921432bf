//! An opened CSV file: its dialect, its header, then its rows a batch at a time. Both passes read through this.

use std::{
    cell::Cell,
    io::{Cursor, Read},
    rc::Rc,
};

use super::{
    super::{Error, Progress, Source},
    Dialect, dialect,
    head::{self, Head, HeadError},
    split::{Batch, Limits, SplitError, Splitter},
    text::Text,
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
    pub bytes: Rc<Cell<u64>>,
    splitter: Splitter<Box<dyn Read + 'a>>,
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
        let dialect = dialect
            .cloned()
            .unwrap_or_else(|| dialect::sniff(&text.sample, text.whole, text.encoding.name(), options, known));
        let Some((head, rows)) = take_head(text.reader, text.sample.len(), &dialect, source.name())? else {
            return Ok(None);
        };
        let offset = text.offset + head.end as u64;
        Ok(Some(Reading {
            name: source.name().to_owned(),
            names: head.names,
            trailing: head.trailing,
            bytes: text.bytes,
            splitter: Splitter::new(rows, &dialect, offset, limits).after_lines(head.lines),
            progress,
            dialect,
        }))
    }

    /// The next batch of rows and faults; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Batch<'_>>, Error> {
        if self.progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if !self.advance()? {
            return Ok(None);
        }
        let batch = self.splitter.batch();
        self.progress.add_rows((batch.rows.len() + batch.faults.len()) as u64);
        Ok(Some(batch))
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.splitter.advance().map_err(|error| match error {
            SplitError::Read(source) => Error::Read { name: self.name.clone(), source },
            SplitError::Quotes { line } => Error::Quotes { name: self.name.clone(), line },
        })
    }
}

/// What stands above the rows, and a reader of the rows.
type Opened<'a> = (Head, Box<dyn Read + 'a>);

/// Takes what stands above the rows from a reader, `beginning` bytes first and more where it is longer; returns it
/// with a reader of the rows. `None`: there is no record in the file.
fn take_head<'a>(
    mut reader: Box<dyn Read + 'a>,
    beginning: usize,
    dialect: &Dialect,
    name: &str,
) -> Result<Option<Opened<'a>>, Error> {
    let mut begun = Vec::new();
    let mut wanted = beginning + 1;
    loop {
        let missing = wanted.saturating_sub(begun.len()) as u64;
        let failed = |source| Error::Read { name: name.to_owned(), source };
        reader.by_ref().take(missing).read_to_end(&mut begun).map_err(failed)?;
        match head::read(&begun, begun.len() < wanted, dialect) {
            Ok(None) => return Ok(None),
            Ok(Some(head)) => {
                let mut rows = Cursor::new(begun);
                rows.set_position(head.end as u64);
                return Ok(Some((head, Box::new(rows.chain(reader)))));
            }
            Err(HeadError::Longer) => wanted *= 2,
            Err(HeadError::Refused(message)) => return Err(Error::Header { name: name.to_owned(), message }),
        }
    }
}
