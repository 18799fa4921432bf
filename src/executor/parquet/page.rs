//! Pages: compression of their bodies, and their headers in Thrift's compact protocol
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).

use parquet::{
    basic::Encoding,
    errors::{ParquetError, Result},
};
use zstd::{bulk, zstd_safe::CParameter};

use super::{
    pack::{varint, zigzag},
    snappy::Snappy,
};

/// Pages that are stored at most between two attempts to compress.
const STORED_RUN_MAX: u32 = 16;
/// A page that zstd shortens by less than a 32nd is not worth its time, here and in the reader.
const WORTH: usize = 32;
/// Largest raw block of a Zstandard frame (RFC 8878, 3.1.1.2.4).
const ZSTD_BLOCK: usize = 128 * 1024;

/// Codec of a row group's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageCodec {
    None,
    Snappy,
    Zstd { level: i32 },
}

/// Compresses one page after the other.
pub(super) enum Compressor {
    None,
    Snappy(Snappy),
    Zstd(bulk::Compressor<'static>),
}

/// Which pages of a column are not worth compressing: known by trying, less often each time it failed.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    stored: u32,
    until: u32,
}

impl Compressor {
    pub fn new(codec: PageCodec) -> Result<Self> {
        Ok(match codec {
            PageCodec::None => Compressor::None,
            PageCodec::Snappy => Compressor::Snappy(Snappy::new()),
            PageCodec::Zstd { level } => {
                let mut zstd = bulk::Compressor::new(level).map_err(failed)?;
                if level == 1 {
                    // For inputs above 256 KiB level 1 looks for seven equal bytes, which doubles of decimal numbers
                    // hardly have: with six their pages are a third shorter.
                    zstd.set_parameter(CParameter::MinMatch(6)).map_err(failed)?;
                }
                Compressor::Zstd(zstd)
            }
        })
    }

    /// Writes `body` to `out` as its codec has it. Zstandard pages that hardly shrink become frames of raw blocks, which
    /// every decoder copies as they are.
    pub fn compress(&mut self, body: &[u8], backoff: &mut Backoff, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match self {
            Compressor::None => out.extend_from_slice(body),
            Compressor::Snappy(snappy) => snappy.compress(body, out),
            Compressor::Zstd(_) if backoff.stored < backoff.until => {
                backoff.stored += 1;
                store(body, out);
            }
            Compressor::Zstd(zstd) => {
                out.reserve(zstd::zstd_safe::compress_bound(body.len()));
                zstd.compress_to_buffer(body, out).map_err(failed)?;
                if out.len() + body.len() / WORTH <= body.len() {
                    *backoff = Backoff::default();
                } else {
                    backoff.stored = 0;
                    backoff.until = (backoff.until * 2).clamp(1, STORED_RUN_MAX);
                    out.clear();
                    store(body, out);
                }
            }
        }
        Ok(())
    }
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Appends a Zstandard frame of raw blocks (RFC 8878, 3.1.1): one segment, its size in four bytes, no checksum.
fn store(body: &[u8], out: &mut Vec<u8>) {
    out.reserve(body.len() + 16 + body.len() / ZSTD_BLOCK * 3);
    out.extend_from_slice(&[0x28, 0xB5, 0x2F, 0xFD, 0xA0]);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let mut rest = body;
    loop {
        let (block, later) = rest.split_at(rest.len().min(ZSTD_BLOCK));
        let header = (block.len() as u32) << 3 | u32::from(later.is_empty());
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
        rest = later;
        if rest.is_empty() {
            return;
        }
    }
}

/// What a page's header says.
pub(super) struct Header {
    /// `None`: a dictionary page.
    pub data: Option<Encoding>,
    pub values: usize,
    pub uncompressed: usize,
    pub compressed: usize,
}

/// Thrift's compact types.
const I32: u8 = 5;
const STRUCT: u8 = 12;
const FALSE: u8 = 2;

impl Header {
    /// Appends the header.
    ///
    /// # Errors
    /// A page of 2 GiB or more.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let size = |bytes: usize| i32::try_from(bytes).map_err(|_| ParquetError::General("a page above 2 GiB".into()));
        // DATA_PAGE or DICTIONARY_PAGE.
        field(1, I32, out);
        zigzag(if self.data.is_some() { 0 } else { 2 }, out);
        field(1, I32, out);
        zigzag(size(self.uncompressed)?.into(), out);
        field(1, I32, out);
        zigzag(size(self.compressed)?.into(), out);
        match self.data {
            Some(encoding) => {
                // Field 5: its values, its encoding, and that of definition and repetition levels.
                field(2, STRUCT, out);
                field(1, I32, out);
                zigzag(size(self.values)?.into(), out);
                for encoding in [encoding, Encoding::RLE, Encoding::RLE] {
                    field(1, I32, out);
                    zigzag(encoding as i64, out);
                }
            }
            None => {
                // Field 7: its values, and that they are plain and not sorted.
                field(4, STRUCT, out);
                field(1, I32, out);
                zigzag(size(self.values)?.into(), out);
                field(1, I32, out);
                zigzag(Encoding::PLAIN as i64, out);
                field(1, FALSE, out);
            }
        }
        varint(0, out);
        varint(0, out);
        Ok(())
    }
}

fn field(step: u8, kind: u8, out: &mut Vec<u8>) {
    out.push(step << 4 | kind);
}
