//! What is no delimited text, by its beginning.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::compression::Compression;

/// Text with more than one NUL in this many bytes is no text…
const NUL_SHARE: usize = 256;
/// …unless there are no more than this many.
const NULS_BORNE: usize = 2;
/// Text of which more than this share (one in…) is control characters or no UTF-8 is no text.
const JUNK_SHARE: usize = 4;
/// Of UTF-32, more than this share (two in…) is NUL.
const UTF32_NUL_SHARE: usize = 3;
/// Where a tar archive has its magic, and what that is.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// How files that are not CSV begin.
const MAGICS: &[(&[u8], &str)] = &[
    (b"PAR1\x15", "a Parquet file, which needs no conversion"),
    (b"\xfd7zXZ\0", "an xz file, which is not read; unpack it, or compress it with zstd"),
    (b"\x04\x22\x4d\x18", "an LZ4 file, which is not read; unpack it, or compress it with zstd"),
    (b"\xff\x06\0\0sNaPpY", "a Snappy file, which is not read; unpack it, or compress it with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not read; unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive, which is not read; unpack it"),
    (b"PK\x07\x08", "a part of a zip archive, which is not read; put the whole of it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel document; save it as CSV"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"<?xml", "an XML document (an error page saved as CSV?)"),
    (b"<!DOCTYPE", "an HTML page (an error page saved as CSV?)"),
    (b"<!doctype", "an HTML page (an error page saved as CSV?)"),
    (b"<html", "an HTML page (an error page saved as CSV?)"),
];

const UTF_32: &str = "UTF-32 text, which is not read; save it as UTF-8";

/// What bytes that are no CSV look like; `None` when they may be one. `packed`: what they were unpacked from; `set`:
/// somebody has said what their encoding is.
pub(super) fn looks_like(
    raw: &[u8],
    packed: Option<Compression>,
    encoding: &'static Encoding,
    set: bool,
) -> Option<String> {
    if let (Some(outer), Some(inner)) = (packed, Compression::of(raw)) {
        return Some(format!("{} in {}; compress it once", inner.noun(), outer.noun()));
    }
    if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| raw.starts_with(magic)) {
        return Some((*what).to_owned());
    }
    if raw.get(TAR_MAGIC.0..).is_some_and(|rest| rest.starts_with(TAR_MAGIC.1)) {
        return Some("a tar archive; put each of its files".to_owned());
    }
    let is_utf16 = encoding == UTF_16LE || encoding == UTF_16BE;
    if !(set && is_utf16) && is_utf32(raw) {
        return Some(UTF_32.to_owned());
    }
    if is_utf16 {
        return None;
    }
    let nuls = raw.iter().filter(|&&byte| byte == 0).count();
    if nuls > NULS_BORNE && nuls * NUL_SHARE > raw.len() {
        return Some("a binary file (it has NUL bytes)".to_owned());
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

/// UTF-32, by its mark or by its zeros: of each four bytes, the two on one side.
fn is_utf32(raw: &[u8]) -> bool {
    if raw.starts_with(b"\xff\xfe\0\0") || raw.starts_with(b"\0\0\xfe\xff") {
        return true;
    }
    let nuls = raw.iter().filter(|&&byte| byte == 0).count();
    let aligned = |side: fn(&[u8]) -> bool| raw.len() >= 8 && raw.chunks_exact(4).all(side);
    nuls * UTF32_NUL_SHARE > raw.len() * 2
        && (aligned(|quad| quad[2] == 0 && quad[3] == 0) || aligned(|quad| quad[0] == 0 && quad[1] == 0))
}
