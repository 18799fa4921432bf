//! An opened CSV file: how it is written and what stands above its rows are known, its rows come a block at a time.

use std::{
    io::{self, Read},
    sync::{Arc, atomic::AtomicU64},
};

use encoding_rs::UTF_8;

use super::{
    super::{Error, Progress, Source},
    Dialect,
    blocks::{Block, Blocks, CutError, Limits},
    dialect,
    head::{self, Head, HeadError},
    marks::Marks,
    text::{SAMPLE_BYTES, Text, TextReader},
};
use crate::dataset::{Column, CsvOptions};

/// Where the size of a text is known, its groups are alike, and as many as this or a multiple of it: each of two or four
/// processors then has its share, and none works on the last group alone.
const GROUPS: u64 = 4;

/// A file being read.
pub(crate) struct Opened<'a> {
    pub name: String,
    pub dialect: Dialect,
    /// Column names as the file gives them, made fit for the catalog; numbered when it has no header.
    pub names: Vec<String>,
    /// The header ends with a delimiter, so that its last name stands for nothing.
    pub trailing: bool,
    /// Bytes taken from the source so far.
    pub bytes: Arc<AtomicU64>,
    blocks: Blocks<TextReader<'a>>,
}

impl<'a> Opened<'a> {
    /// Opens a file and reads its header. `None`: there is no record in it. `dialect`: known from an earlier pass,
    /// else it is found out; `known`: the columns of the table the file is for.
    pub fn open(
        source: &dyn Source,
        options: &CsvOptions,
        dialect: Option<&Dialect>,
        known: &[Column],
        limits: Limits,
        progress: &'a Progress,
    ) -> Result<Option<Opened<'a>>, Error> {
        dialect::check(options)?;
        let label = dialect.map(|dialect| dialect.encoding.as_str()).or(options.encoding.as_deref());
        let mut text = Text::open(source, label, progress)?;
        let dialect = match dialect {
            Some(dialect) => dialect.clone(),
            None => {
                let sniffed = dialect::sniff(&text.sample, text.whole, text.encoding.name(), options, known);
                Dialect { compression: text.compression, ..sniffed }.with_encoding(text.known, text.note.take())
            }
        };
        let Some(Head { names, trailing, end, lines }) = read_head(&mut text, &dialect, source.name())? else {
            return Ok(None);
        };
        let name = source.name().to_owned();
        let is_plain = text.compression.is_none() && text.encoding == UTF_8;
        let limits = even(limits, source.len().filter(|_| is_plain));
        let mut above = text.reader.by_ref().take(end as u64);
        io::copy(&mut above, &mut io::sink()).map_err(|error| Error::reading(&name, error))?;
        let rows = (text.offset + end as u64, 1 + lines);
        let blocks = Blocks::new(text.reader, Marks::from(&dialect), rows, limits);
        Ok(Some(Opened { name, dialect, names, trailing, bytes: text.bytes, blocks }))
    }

    /// What means what in its text.
    pub fn marks(&self) -> Marks {
        Marks::from(&self.dialect)
    }

    /// The next block of rows; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Block>, Error> {
        self.blocks.next().map_err(|error| match error {
            CutError::Read(error) => Error::reading(&self.name, error),
            CutError::Quotes { line } => Error::Quotes { name: self.name.clone(), line },
        })
    }
}

/// The limits with groups of equal size that are no larger, for a text of so many bytes.
fn even(limits: Limits, bytes: Option<u64>) -> Limits {
    let bytes = bytes.unwrap_or_default();
    let groups = match bytes.div_ceil(limits.group) {
        0 | 1 => return limits,
        2 => 2,
        more => more.next_multiple_of(GROUPS),
    };
    Limits { group: bytes.div_ceil(groups), ..limits }
}

/// What stands above the rows. It may be longer than the sample.
fn read_head(text: &mut Text<'_>, dialect: &Dialect, name: &str) -> Result<Option<Head>, Error> {
    loop {
        match head::read(&text.sample, text.whole, dialect) {
            Ok(head) => return Ok(head),
            Err(HeadError::Longer) => text.longer(text.sample.len().max(SAMPLE_BYTES))?,
            Err(HeadError::Refused(message)) => return Err(Error::Header { name: name.to_owned(), message }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_a_text_out_evenly_and_are_no_larger_than_they_may_be() {
        let groups = |bytes: u64| {
            let group = even(Limits::of_group(100), Some(bytes)).group;
            assert!(group <= 100 && group > 0);
            (group, bytes.div_ceil(group))
        };
        assert_eq!(groups(100), (100, 1));
        assert_eq!(groups(101), (51, 2));
        assert_eq!(groups(201), (51, 4));
        assert_eq!(groups(401), (51, 8));
        assert_eq!(groups(800), (100, 8));
        assert_eq!(even(Limits::of_group(100), None).group, 100);
        assert_eq!(even(Limits::of_group(100), Some(0)).group, 100);
    }
}
