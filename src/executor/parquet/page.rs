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
    Zstd(Zstd),
}

/// Zstandard, and what it is set to.
pub(super) struct Zstd {
    compressor: bulk::Compressor<'static>,
    level: i32,
    content: Content,
}

/// What a page holds, as far as it matters to who compresses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Texts of many characters.
    LongTexts,
    /// Anything else.
    Values,
}

/// Equal bytes that level 1 looks for, set as its own for inputs above 256 KiB: good for texts of many characters, while
/// doubles of decimal numbers hardly have them.
const MATCH_IN_TEXTS: u32 = 7;
/// With these, pages of doubles are a third shorter.
const MATCH_IN_VALUES: u32 = 6;

impl Zstd {
    fn compress(&mut self, body: &[u8], content: Content, out: &mut Vec<u8>) -> std::io::Result<()> {
        if self.level == 1 && self.content != content {
            let least = if content == Content::LongTexts { MATCH_IN_TEXTS } else { MATCH_IN_VALUES };
            self.compressor.set_parameter(CParameter::MinMatch(least))?;
            self.content = content;
        }
        out.reserve(zstd::zstd_safe::compress_bound(body.len()));
        self.compressor.compress_to_buffer(body, out)?;
        Ok(())
    }
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
                let mut compressor = bulk::Compressor::new(level).map_err(failed)?;
                if level == 1 {
                    compressor.set_parameter(CParameter::MinMatch(MATCH_IN_VALUES)).map_err(failed)?;
                }
                Compressor::Zstd(Zstd { compressor, level, content: Content::Values })
            }
        })
    }

    /// What `body` is as its codec has it; `out` is used where that is shorter. Zstandard pages that hardly shrink become
    /// frames of raw blocks, which every decoder copies as they are.
    pub fn compress<'a>(
        &mut self,
        body: &'a [u8],
        content: Content,
        backoff: &mut Backoff,
        out: &'a mut Vec<u8>,
    ) -> Result<Packed<'a>> {
        out.clear();
        match self {
            Compressor::None => return Ok(Packed::Bytes(body)),
            Compressor::Snappy(snappy) => snappy.compress(body, out),
            Compressor::Zstd(_) if backoff.stored < backoff.until => {
                backoff.stored += 1;
                return Ok(Packed::Raw(body));
            }
            Compressor::Zstd(zstd) => {
                zstd.compress(body, content, out).map_err(failed)?;
                if out.len() + body.len() / WORTH <= body.len() {
                    *backoff = Backoff::default();
                } else {
                    backoff.stored = 0;
                    backoff.until = (backoff.until * 2).clamp(1, STORED_RUN_MAX);
                    return Ok(Packed::Raw(body));
                }
            }
        }
        Ok(Packed::Bytes(out))
    }
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A page's body as its codec has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packed<'a> {
    Bytes(&'a [u8]),
    /// A Zstandard frame of raw blocks (RFC 8878, 3.1.1): one segment, its size in four bytes, no checksum.
    Raw(&'a [u8]),
}

/// Begins a frame of raw blocks: magic number, and a descriptor for one segment with its size in four bytes.
const RAW_FRAME: [u8; 5] = [0x28, 0xB5, 0x2F, 0xFD, 0xA0];
/// Bytes of a block's header.
const BLOCK_HEADER: usize = 3;

impl Packed<'_> {
    pub fn len(self) -> usize {
        match self {
            Packed::Bytes(bytes) => bytes.len(),
            Packed::Raw(body) => {
                let blocks = body.len().div_ceil(ZSTD_BLOCK).max(1);
                RAW_FRAME.len() + size_of::<u32>() + blocks * BLOCK_HEADER + body.len()
            }
        }
    }

    /// Hands the bytes over, in their order.
    pub fn write(self, mut push: impl FnMut(&[u8])) {
        let mut rest = match self {
            Packed::Bytes(bytes) => return push(bytes),
            Packed::Raw(body) => body,
        };
        push(&RAW_FRAME);
        push(&(rest.len() as u32).to_le_bytes());
        loop {
            let (block, later) = rest.split_at(rest.len().min(ZSTD_BLOCK));
            let header = (block.len() as u32) << 3 | u32::from(later.is_empty());
            push(&header.to_le_bytes()[..BLOCK_HEADER]);
            push(block);
            rest = later;
            if rest.is_empty() {
                return;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_long_texts_and_of_values_may_follow_each_other() {
        let mut compressor = Compressor::new(PageCodec::Zstd { level: 1 }).unwrap();
        let texts = "many words of which some are the same words ".repeat(500).into_bytes();
        let values: Vec<u8> = (0..5000).flat_map(|at| (f64::from(at % 900) / 100.0).to_le_bytes()).collect();
        let mut first = Vec::new();
        for round in 0..2 {
            for (at, (body, content)) in
                [(&texts, Content::LongTexts), (&values, Content::Values)].into_iter().enumerate()
            {
                let (mut page, mut out) = (Vec::new(), Vec::new());
                let packed = compressor.compress(body, content, &mut Backoff::default(), &mut out).unwrap();
                packed.write(|bytes| page.extend_from_slice(bytes));
                assert!(matches!(packed, Packed::Bytes(_)) && packed.len() == page.len());
                assert_eq!(bulk::decompress(&page, body.len()).unwrap(), *body);
                match round {
                    0 => first.push(page),
                    _ => assert!(page == first[at], "what came before says nothing of this page"),
                }
            }
        }
    }

    #[test]
    fn a_frame_of_raw_blocks_has_the_length_it_says_and_is_read_by_zstandard() {
        for length in [0, 1, ZSTD_BLOCK, ZSTD_BLOCK + 1, 3 * ZSTD_BLOCK] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut frame = Vec::new();
            Packed::Raw(&body).write(|bytes| frame.extend_from_slice(bytes));
            assert_eq!(frame.len(), Packed::Raw(&body).len());
            assert!(bulk::decompress(&frame, length).unwrap() == body);
        }
    }
}
