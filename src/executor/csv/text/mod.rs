//! Bytes → UTF-8 text: what is compressed is unpacked and other encodings are decoded on the way, byte order marks
//! are taken off, and what is no text is refused with a name for what it looks like.
//!
//! `compression` unpacks, with `zip` for archives; `encoding` finds the encoding out and decodes; `refuse` knows what
//! other files look like.

mod compression;
mod encoding;
mod refuse;
mod zip;

use std::{
    io::{self, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs::{Encoding, UTF_8};

use super::super::{Error, Progress, Source};
pub use compression::{Compression, ZSTD_WINDOW_LOG_MAX};
pub use encoding::Known;
use encoding::Transcoder;

/// Bytes of text from the start of a file that dialect and encoding are judged by.
pub const SAMPLE_BYTES: usize = 256 * 1024;
/// Bytes from the start of a file that tell whether it is compressed.
const HEAD_BYTES: usize = 4 * 1024;
/// Stands for what cannot be decoded: no UTF-8, so that its row is rejected and nothing is replaced silently.
const MALFORMED: u8 = 0xFF;

/// An opened source as UTF-8 text.
pub(crate) struct Text<'a> {
    /// Its beginning, decoded.
    pub sample: Vec<u8>,
    /// The sample is all of it.
    pub whole: bool,
    pub encoding: &'static Encoding,
    /// How the encoding is known.
    pub known: Known,
    /// What the report should say of the encoding.
    pub note: Option<String>,
    pub compression: Option<Compression>,
    /// Bytes of the byte order mark, when offsets in the text are offsets in the (unpacked) file, else 0.
    pub offset: u64,
    /// All of the text, from its start.
    pub reader: TextReader<'a>,
    /// Bytes taken from the source so far, as stored.
    pub bytes: Arc<AtomicU64>,
    name: String,
}

impl<'a> Text<'a> {
    /// Opens a source and looks at its beginning.
    pub fn open(source: &dyn Source, encoding: Option<&str>, progress: &'a Progress) -> Result<Text<'a>, Error> {
        Self::open_with(source, encoding, progress, SAMPLE_BYTES)
    }

    /// The same with another size of the sample.
    fn open_with(
        source: &dyn Source,
        encoding: Option<&str>,
        progress: &'a Progress,
        sample_bytes: usize,
    ) -> Result<Text<'a>, Error> {
        let name = source.name().to_owned();
        let failed = |error| Error::reading(&name, error);
        let bytes = Arc::new(AtomicU64::new(0));
        let reader = source.open().map_err(failed)?;
        let mut counted = Counted { reader, bytes: Arc::clone(&bytes), progress };
        let mut raw = Vec::new();
        fill(&mut counted, &mut raw, HEAD_BYTES).map_err(failed)?;
        let compression = Compression::of(&raw);
        let mut stream: Box<dyn Read + Send + 'a> = match compression {
            None => Box::new(counted),
            Some(compression) => {
                let packed = Cursor::new(std::mem::take(&mut raw)).chain(counted);
                compression.unpack(packed).map_err(failed)?
            }
        };
        let mut whole = fill(&mut stream, &mut raw, sample_bytes).map_err(failed)?;
        let chosen = encoding::choose(&raw, whole, encoding)?;
        if let Some(looks_like) = refuse::looks_like(&raw, compression, chosen.encoding, encoding.is_some()) {
            return Err(Error::NotCsv { name, looks_like });
        }
        raw.drain(..chosen.mark);
        let mut sample = raw;
        let mut offset = chosen.mark as u64;
        if chosen.encoding != UTF_8 {
            let encoded = Cursor::new(std::mem::take(&mut sample)).chain(stream);
            stream = Box::new(Transcoder::new(encoded, chosen.encoding));
            whole = fill(&mut stream, &mut sample, sample_bytes).map_err(failed)?;
            offset = 0;
        }
        let reader = TextReader { head: Cursor::new(sample.clone()), rest: stream, progress };
        Ok(Text {
            sample,
            whole,
            encoding: chosen.encoding,
            known: chosen.known,
            note: chosen.note,
            compression,
            offset,
            reader,
            bytes,
            name,
        })
    }

    /// Makes the sample longer by so many bytes, or by all there are. To be called before anything is read.
    pub fn longer(&mut self, bytes: usize) -> Result<(), Error> {
        if self.whole {
            return Ok(());
        }
        let from = self.sample.len();
        let filled = fill(&mut self.reader.rest, &mut self.sample, from + bytes);
        self.whole = filled.map_err(|error| Error::reading(&self.name, error))?;
        self.reader.head.get_mut().extend_from_slice(&self.sample[from..]);
        Ok(())
    }
}

/// Reads until there are so many bytes; whether the end came first.
fn fill(reader: &mut impl Read, into: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    let missing = bytes.saturating_sub(into.len());
    reader.take(missing as u64).read_to_end(into)?;
    Ok(into.len() < bytes)
}

/// Reads a text from its start. Plain UTF-8 goes from the source to whoever reads without a copy in between.
pub(crate) struct TextReader<'a> {
    /// What was read already.
    head: Cursor<Vec<u8>>,
    rest: Box<dyn Read + Send + 'a>,
    progress: &'a Progress,
}

impl Read for TextReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Here, too, and not at the source alone: a few compressed bytes can be a lot of text.
        if self.progress.is_cancelled() {
            return Err(Unreadable::Cancelled.into());
        }
        let read = self.head.read(into)?;
        if read > 0 || into.is_empty() {
            return Ok(read);
        }
        if self.head.get_ref().capacity() > 0 {
            self.head = Cursor::default(); // it may be large, and is not needed any more
        }
        self.rest.read(into)
    }
}

/// Counts what it passes on, and stops when the run is to stop. A source that has nothing yet says
/// [`io::ErrorKind::Interrupted`] from time to time, so that this is seen then, too.
struct Counted<'a> {
    reader: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.progress.is_cancelled() {
                return Err(Unreadable::Cancelled.into());
            }
            let read = match self.reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.bytes.fetch_add(read as u64, Ordering::Relaxed);
            self.progress.add_bytes(read as u64);
            return Ok(read);
        }
    }
}

/// Why a text ends that is not at its end, other than by an error of its source. It travels inside `io::Error`;
/// [`Error::reading`] finds it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Compressed data are damaged or were cut off.
    #[error("{0}")]
    Damaged(String),
    /// What was unpacked so far turns out to be no single CSV file.
    #[error("{0}")]
    Refused(String),
    /// The run is to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<Unreadable> for io::Error {
    fn from(why: Unreadable) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

#[cfg(test)]
mod tests;
