//! Compressed bytes → bytes, as they stream by. What is damaged or ends too early is an error that says where, never
//! a shorter file; an error of the source stays what it is.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::Decompress as Bunzip;
use flate2::{Decompress as Inflate, FlushDecompress};
use serde::{Deserialize, Serialize};
use zstd::stream::raw::{DParameter, Decoder as Unzstd, Operation};

use super::{Unreadable, zip::Unzip};

/// Compressed bytes that are taken from a source at a time.
const INPUT_BYTES: usize = 128 * 1024;
/// The largest window of a Zstandard frame that is read, as a power of two: 64 MiB, which the decoder keeps in memory.
/// RFC 8878 asks for 8 MiB at least; `zstd` writes more with `--ultra` and `--long` alone.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// Window of deflate, as a power of two: the format's own.
const DEFLATE_WINDOW_LOG: u8 = 15;

/// How an input is compressed. It is found by the first bytes, whatever the file is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Members of RFC 1952, one after the other; zeros behind the last are padding.
    Gzip,
    /// Frames of RFC 8878, skippable ones among them.
    Zstd,
    /// Streams, one after the other; zeros behind the last are padding.
    Bzip2,
    /// A zip archive of one file.
    Zip,
}

impl Compression {
    /// What these bytes begin.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..]
                if block.starts_with(b"1AY&SY") || block.starts_with(b"\x17rE8P\x90") =>
            {
                Some(Compression::Bzip2)
            }
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Compression::Zip),
            _ => None,
        }
    }

    /// What a file that begins so is called.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Compression::Gzip => "a gzip file",
            Compression::Zstd => "a Zstandard file",
            Compression::Bzip2 => "a bzip2 file",
            Compression::Zip => "a zip archive",
        }
    }

    /// What `reader` gives, unpacked.
    pub(super) fn unpack<'a>(self, reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        let input = Input::new(reader, self);
        let codec = match self {
            Compression::Gzip => Codec::Gzip(Inflate::new_gzip(DEFLATE_WINDOW_LOG)),
            Compression::Bzip2 => Codec::Bzip2(Bunzip::new(false)),
            Compression::Zstd => {
                let mut decoder = Unzstd::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Codec::Zstd(decoder)
            }
            Compression::Zip => return Ok(Box::new(Unzip::new(input))),
        };
        Ok(Box::new(Unpacker { input, codec, between: false, ended: false }))
    }
}

/// Compressed bytes on their way to a decoder, counted.
pub(super) struct Input<R> {
    reader: BufReader<R>,
    compression: Compression,
    /// Bytes that were used up.
    pub taken: u64,
    /// Bytes that came out of the decoder.
    pub given: u64,
}

impl<R: Read> Input<R> {
    fn new(reader: R, compression: Compression) -> Self {
        Input { reader: BufReader::with_capacity(INPUT_BYTES, reader), compression, taken: 0, given: 0 }
    }

    /// Bytes that are there; none at the end.
    pub fn ahead(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(self.reader.buffer()),
            }
        }
    }

    /// Uses bytes up.
    pub fn take(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.taken += bytes as u64;
    }

    /// The next `N` bytes, used up; they must be there.
    pub fn exact<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            let ahead = self.ahead()?;
            if ahead.is_empty() {
                return Err(self.truncated());
            }
            let length = ahead.len().min(N - filled);
            bytes[filled..filled + length].copy_from_slice(&ahead[..length]);
            self.take(length);
            filled += length;
        }
        Ok(bytes)
    }

    /// Uses up so many bytes; they must be there.
    pub fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let length = self.ahead()?.len();
            if length == 0 {
                return Err(self.truncated());
            }
            let length = length.min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.take(length);
            bytes -= length as u64;
        }
        Ok(())
    }

    /// Uses up everything to the end, which must be zeros.
    pub fn padding(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.ahead()?;
            if ahead.is_empty() {
                return Ok(());
            }
            let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
            let all = zeros == ahead.len();
            self.take(zeros);
            if !all {
                return Err(self.damaged("something else follows the end of the compressed data"));
            }
        }
    }

    /// One step of a decoder; it gets on, or it is an error.
    pub fn step(&mut self, codec: &mut Codec, into: &mut [u8]) -> io::Result<Step> {
        let ahead = self.ahead()?;
        let at_end = ahead.is_empty();
        match codec.step(ahead, into) {
            Err(reason) => Err(self.refused_or_damaged(&reason)),
            Ok(step) => {
                self.take(step.taken);
                self.given += step.given as u64;
                match step {
                    Step { taken: 0, given: 0, ended: false } if at_end => Err(self.truncated()),
                    Step { taken: 0, given: 0, ended: false } => Err(self.damaged("the decoder does not get on")),
                    step => Ok(step),
                }
            }
        }
    }

    pub fn truncated(&self) -> io::Error {
        self.damaged("the file ends in the middle of it; it was cut off")
    }

    pub fn damaged(&self, why: &str) -> io::Error {
        let (what, taken, given) = (self.compression.noun(), self.taken, self.given);
        Unreadable::Damaged(format!("{what} that cannot be unpacked at byte {taken} ({given} unpacked): {why}")).into()
    }

    fn refused_or_damaged(&self, reason: &str) -> io::Error {
        match self.compression == Compression::Zstd && reason.contains("too much memory") {
            true => Unreadable::Refused(format!(
                "a Zstandard file with a window of more than {} MiB; compress it without --long or --ultra",
                (1u64 << ZSTD_WINDOW_LOG_MAX) >> 20
            ))
            .into(),
            false => self.damaged(reason),
        }
    }
}

/// A decoder of one member, frame or stream.
pub(super) enum Codec {
    Gzip(Inflate),
    Deflate(Inflate),
    Zstd(Unzstd<'static>),
    Bzip2(Bunzip),
}

/// What a decoder did.
pub(super) struct Step {
    /// Bytes that it used up.
    pub taken: usize,
    /// Bytes that it gave.
    pub given: usize,
    /// The member, frame or stream is at its end, and its checksum is right.
    pub ended: bool,
}

impl Codec {
    /// Raw deflate, as zip has it.
    pub fn deflate() -> Self {
        Codec::Deflate(Inflate::new(false))
    }

    fn step(&mut self, input: &[u8], into: &mut [u8]) -> Result<Step, String> {
        match self {
            Codec::Gzip(inflate) | Codec::Deflate(inflate) => {
                let before = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, into, FlushDecompress::None).map_err(|e| e.to_string())?;
                let taken = (inflate.total_in() - before.0) as usize;
                let given = (inflate.total_out() - before.1) as usize;
                Ok(Step { taken, given, ended: status == flate2::Status::StreamEnd })
            }
            Codec::Bzip2(bunzip) => {
                let before = (bunzip.total_in(), bunzip.total_out());
                let status = bunzip.decompress(input, into).map_err(|e| e.to_string())?;
                let taken = (bunzip.total_in() - before.0) as usize;
                let given = (bunzip.total_out() - before.1) as usize;
                Ok(Step { taken, given, ended: status == bzip2::Status::StreamEnd })
            }
            Codec::Zstd(unzstd) => {
                let status = unzstd.run_on_buffers(input, into).map_err(|e| e.to_string())?;
                // No input and nothing to say is no end: the decoder answers 0 between frames, too.
                let ended = status.remaining == 0 && status.bytes_read + status.bytes_written > 0;
                Ok(Step { taken: status.bytes_read, given: status.bytes_written, ended })
            }
        }
    }

    /// Ready for the next member, frame or stream.
    fn reset(&mut self) -> io::Result<()> {
        match self {
            // `true` stands for whatever header it was made for; `false` would make it expect none.
            Codec::Gzip(inflate) => inflate.reset(true),
            Codec::Deflate(inflate) => inflate.reset(false),
            Codec::Bzip2(bunzip) => *bunzip = Bunzip::new(false),
            Codec::Zstd(unzstd) => unzstd.reinit()?,
        }
        Ok(())
    }
}

/// Unpacks members, frames or streams that follow one another.
struct Unpacker<R> {
    input: Input<R>,
    codec: Codec,
    /// One has ended; whether another follows is not known yet.
    between: bool,
    ended: bool,
}

impl<R: Read> Unpacker<R> {
    /// Whether another one begins here.
    fn goes_on(&mut self) -> io::Result<bool> {
        match (self.input.compression, self.input.ahead()?.first().copied()) {
            (_, None) => return Ok(false),
            (Compression::Gzip, Some(0x1f)) | (Compression::Bzip2, Some(b'B')) | (Compression::Zstd, Some(_)) => {}
            _ => {
                self.input.padding()?;
                return Ok(false);
            }
        }
        self.codec.reset()?;
        Ok(true)
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while !self.ended {
            if self.between {
                self.ended = !self.goes_on()?;
                self.between = false;
                continue;
            }
            let step = self.input.step(&mut self.codec, into)?;
            self.between = step.ended;
            if step.given > 0 {
                return Ok(step.given);
            }
        }
        Ok(0)
    }
}
