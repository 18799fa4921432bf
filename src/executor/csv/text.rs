//! Bytes → UTF-8 text: what is no text is refused with a name for what it looks like, byte order marks are taken
//! off, other encodings are decoded on the way.

use std::{
    cell::Cell,
    io::{self, Cursor, Read},
    rc::Rc,
};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::super::{Error, Progress, Source};

/// Bytes from the start of a file that dialect and encoding are judged by.
pub const SAMPLE_BYTES: usize = 256 * 1024;
/// Bytes decoded at a time.
const DECODE_BYTES: usize = 64 * 1024;
/// Text with more than one NUL in this many bytes is no text.
const NUL_SHARE: usize = 256;
/// Text of which more than this share (one in…) is control characters or no UTF-8 is no text.
const JUNK_SHARE: usize = 4;
/// Stands for what cannot be decoded: no UTF-8, so that its row is rejected and nothing is replaced silently.
const MALFORMED: u8 = 0xFF;

/// An opened source as UTF-8 text.
pub(crate) struct Text<'a> {
    /// Its beginning, decoded.
    pub sample: Vec<u8>,
    /// The sample is all of it.
    pub whole: bool,
    pub encoding: &'static Encoding,
    /// Bytes of the byte order mark, when offsets in the text are offsets in the file (UTF-8), else 0.
    pub offset: u64,
    /// All of the text, from its start.
    pub reader: Box<dyn Read + 'a>,
    /// Bytes taken from the source so far.
    pub bytes: Rc<Cell<u64>>,
}

impl<'a> Text<'a> {
    /// Opens a source and looks at its beginning.
    pub fn open(source: &dyn Source, encoding: Option<&str>, progress: &'a Progress) -> Result<Text<'a>, Error> {
        let failed = |error| Error::Read { name: source.name().to_owned(), source: error };
        let bytes = Rc::new(Cell::new(0));
        let mut counted = Counted { reader: source.open().map_err(failed)?, bytes: Rc::clone(&bytes), progress };
        let mut raw = Vec::new();
        counted.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut raw).map_err(failed)?;
        let whole = raw.len() < SAMPLE_BYTES;
        let (encoding, mark) = choose_encoding(&raw, encoding)?;
        if let Some(looks_like) = looks_like(&raw, encoding) {
            return Err(Error::NotCsv { name: source.name().to_owned(), looks_like });
        }
        raw.drain(..mark);
        if encoding == UTF_8 {
            let sample = raw.clone();
            let reader = Box::new(Cursor::new(raw).chain(counted));
            return Ok(Text { sample, whole, encoding, offset: mark as u64, reader, bytes });
        }
        let mut sample = Vec::new();
        Transcoder::new(raw.as_slice(), encoding).read_to_end(&mut sample).map_err(failed)?;
        let reader = Box::new(Transcoder::new(Cursor::new(raw).chain(counted), encoding));
        Ok(Text { sample, whole, encoding, offset: 0, reader, bytes })
    }
}

/// The encoding that is asked for, else the byte order mark's, else UTF-8; and the mark's length.
fn choose_encoding(raw: &[u8], label: Option<&str>) -> Result<(&'static Encoding, usize), Error> {
    let marked = Encoding::for_bom(raw);
    let Some(label) = label else { return Ok(marked.unwrap_or((UTF_8, 0))) };
    let encoding = encoding_of(label)?;
    Ok((encoding, marked.filter(|(of_mark, _)| *of_mark == encoding).map_or(0, |(_, length)| length)))
}

/// The encoding with this WHATWG label.
pub(crate) fn encoding_of(label: &str) -> Result<&'static Encoding, Error> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| Error::Option {
        option: "encoding",
        message: format!("`{label}` is not a known encoding; use a label such as utf-8, windows-1252 or utf-16le"),
    })
}

/// How files that are not CSV begin.
const MAGICS: &[(&[u8], &str)] = &[
    (b"PAR1", "a Parquet file, which needs no conversion"),
    (b"\x1f\x8b", "a gzip file; compressed input is not read yet, decompress it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; compressed input is not read yet, decompress it first"),
    (b"\xfd7zXZ\0", "an xz file; compressed input is not read yet, decompress it first"),
    (b"BZh91AY&SY", "a bzip2 file; compressed input is not read yet, decompress it first"),
    (b"PK\x03\x04", "a zip archive or an Office document (.xlsx); put the CSV itself"),
    (b"\xd0\xcf\x11\xe0", "an old Excel document; save it as CSV"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe\0\0", "UTF-32 text, which is not read; save it as UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text, which is not read; save it as UTF-8"),
    (b"<?xml", "an XML document (an error page saved as CSV?)"),
    (b"<!DOCTYPE", "an HTML page (an error page saved as CSV?)"),
    (b"<!doctype", "an HTML page (an error page saved as CSV?)"),
    (b"<html", "an HTML page (an error page saved as CSV?)"),
];

/// What a file that is no CSV looks like, by its beginning; `None` when it may be one.
fn looks_like(raw: &[u8], encoding: &'static Encoding) -> Option<String> {
    if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| raw.starts_with(magic)) {
        return Some((*what).to_owned());
    }
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return None;
    }
    let nuls = raw.iter().filter(|&&byte| byte == 0).count();
    if nuls * NUL_SHARE > raw.len() {
        let odd = raw.iter().skip(1).step_by(2).filter(|&&byte| byte == 0).count();
        return Some(match nuls * 3 > raw.len() && (odd * 10 > nuls * 9 || odd * 10 < nuls) {
            true => {
                let label = if odd > 0 { "utf-16le" } else { "utf-16be" };
                format!("UTF-16 text without a byte order mark; set csv.encoding = \"{label}\" if it is")
            }
            false => "a binary file (it has NUL bytes)".to_owned(),
        });
    }
    let controls = raw.iter().filter(|byte| byte.is_ascii_control() && !b"\t\n\r\x01\x0c\x1a".contains(byte)).count();
    if controls * JUNK_SHARE > raw.len() {
        return Some("a binary file (it is full of control characters)".to_owned());
    }
    let foreign: usize = match encoding == UTF_8 {
        true => raw.utf8_chunks().map(|chunk| chunk.invalid().len()).sum(),
        false => 0,
    };
    (foreign * JUNK_SHARE > raw.len()).then(|| {
        "a binary file, or text in another encoding than UTF-8; if it is text, set csv.encoding (windows-1252, …)"
            .to_owned()
    })
}

/// Counts what it passes on.
struct Counted<'a, R> {
    reader: R,
    bytes: Rc<Cell<u64>>,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.bytes.set(self.bytes.get() + read as u64);
        self.progress.add_bytes(read as u64);
        Ok(read)
    }
}

/// Decodes to UTF-8; what cannot be decoded becomes [`MALFORMED`].
struct Transcoder<R> {
    reader: R,
    decoder: Decoder,
    input: Vec<u8>,
    input_range: (usize, usize),
    ended: bool,
    output: Vec<u8>,
    output_range: (usize, usize),
    done: bool,
}

impl<R: Read> Transcoder<R> {
    fn new(reader: R, encoding: &'static Encoding) -> Self {
        Transcoder {
            reader,
            decoder: encoding.new_decoder_without_bom_handling(),
            input: vec![0; DECODE_BYTES],
            input_range: (0, 0),
            ended: false,
            output: vec![0; DECODE_BYTES],
            output_range: (0, 0),
            done: false,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        if self.input_range.0 == self.input_range.1 && !self.ended {
            let read = self.reader.read(&mut self.input)?;
            self.input_range = (0, read);
            self.ended = read == 0;
        }
        let room = self.output.len() - 1; // for one MALFORMED
        let input = &self.input[self.input_range.0..self.input_range.1];
        let (result, read, mut written) =
            self.decoder.decode_to_utf8_without_replacement(input, &mut self.output[..room], self.ended);
        self.input_range.0 += read;
        match result {
            DecoderResult::InputEmpty => self.done = self.ended,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                self.output[written] = MALFORMED;
                written += 1;
            }
        }
        self.output_range = (0, written);
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.output_range.0 == self.output_range.1 {
            if self.done {
                return Ok(0);
            }
            self.decode()?;
        }
        let ready = &self.output[self.output_range.0..self.output_range.1];
        let length = ready.len().min(into.len());
        into[..length].copy_from_slice(&ready[..length]);
        self.output_range.0 += length;
        Ok(length)
    }
}
