//! A zip archive of one file, read from its front: each member's local header, then the list at the end, which must
//! be there and count the same members. So an archive is read once, and one that was cut off is noticed.
//!
//! The format: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, sections 4.3 to 4.5.

use std::io::{self, Read};

use flate2::Crc;

use super::{
    Unreadable,
    compression::{Codec, Input},
};

/// Bytes of a member that does not count which are unpacked at a time.
const DISCARDED_BYTES: usize = 8 * 1024;
/// What a length of 32 bits says when the true one is in the Zip64 field.
const IN_ZIP64: u32 = u32::MAX;
/// The extra field that has lengths of 64 bits.
const ZIP64_FIELD: u16 = 1;
/// Flags of a local header.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const DESCRIBED_BEHIND: u16 = 1 << 3;

/// Unpacks the one file of an archive.
pub(super) struct Unzip<R> {
    input: Input<R>,
    state: State,
    /// The file's name, once it was met.
    file: Option<String>,
    /// Members so far, folders and the like included.
    members: u64,
    /// Members in the list at the end so far.
    listed: u64,
    /// Bytes of members that do not count.
    discarded: Vec<u8>,
}

enum State {
    /// A header comes next.
    Between,
    Within(Box<Member>),
    Ended,
}

/// The member that is being unpacked.
struct Member {
    /// `None`: it is stored as it is.
    codec: Option<Codec>,
    /// It does not count: a folder, or what an operating system has put beside the file.
    ignored: bool,
    crc: Crc,
    /// Bytes of the archive that it began at.
    begin: u64,
    given: u64,
    /// What its header says; `None` when that stands behind it.
    told: Option<Told>,
    /// Bytes that are still to come, when it is not compressed.
    stored: u64,
}

/// Checksum and lengths of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    crc: u32,
    packed: u64,
    unpacked: u64,
}

impl<R: Read> Unzip<R> {
    pub fn new(input: Input<R>) -> Self {
        Unzip { input, state: State::Between, file: None, members: 0, listed: 0, discarded: Vec::new() }
    }

    /// Reads the next header, or what stands behind the members.
    fn header(&mut self) -> io::Result<()> {
        match &self.input.exact::<4>()? {
            b"PK\x03\x04" if self.listed == 0 => self.member()?,
            b"PK\x01\x02" => {
                let rest = self.input.exact::<42>()?;
                let lengths = [24, 26, 28].map(|at| u64::from(u16_at(&rest, at)));
                self.listed += 1;
                self.input.skip(lengths.iter().sum())?;
            }
            b"PK\x06\x06" => {
                let length = u64::from_le_bytes(self.input.exact::<8>()?);
                self.input.skip(length)?;
            }
            b"PK\x06\x07" => self.input.skip(16)?,
            b"PK\x05\x05" => {
                let length = u16::from_le_bytes(self.input.exact::<2>()?);
                self.input.skip(length.into())?;
            }
            b"PK\x06\x08" => return Err(encrypted()),
            b"PK\x05\x06" => self.end()?,
            _ => return Err(self.input.damaged("there is no header where one must be")),
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let rest = self.input.exact::<18>()?;
        self.input.skip(u16_at(&rest, 16).into())?;
        self.input.padding()?;
        if self.listed != self.members {
            let (members, listed) = (self.members, self.listed);
            let why = format!("it has {members} members, and {listed} are in the list at its end");
            return Err(self.input.damaged(&why));
        }
        if self.file.is_none() {
            return Err(refused("a zip archive without any file in it".to_owned()));
        }
        self.state = State::Ended;
        Ok(())
    }

    fn member(&mut self) -> io::Result<()> {
        let fixed = self.input.exact::<26>()?;
        let (flags, method) = (u16_at(&fixed, 2), u16_at(&fixed, 4));
        let mut told =
            Told { crc: u32_at(&fixed, 10), packed: u32_at(&fixed, 14).into(), unpacked: u32_at(&fixed, 18).into() };
        let name = self.text(u16_at(&fixed, 22).into())?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let extra = self.text(u16_at(&fixed, 24).into())?;
        zip64(&extra, &mut told);
        self.members += 1;

        let ignored = is_beside(&name);
        if flags & ENCRYPTED != 0 {
            return Err(encrypted());
        }
        if !ignored {
            self.take_for_the_file(&name)?;
        }
        let described = flags & DESCRIBED_BEHIND != 0;
        let codec = match method {
            0 if described && told.packed == 0 && !name.ends_with('/') => {
                let what =
                    "a zip archive made in one go, with a file that is not compressed; make it again, compressed";
                return Err(refused(what.to_owned()));
            }
            0 => None,
            8 => Some(Codec::deflate()),
            other => {
                let what = format!("a zip archive packed by {}; pack it with deflate", method_name(other));
                return Err(refused(what));
            }
        };
        self.state = State::Within(Box::new(Member {
            codec,
            ignored,
            crc: Crc::new(),
            begin: self.input.taken,
            given: 0,
            told: (!described).then_some(told),
            stored: told.packed,
        }));
        Ok(())
    }

    fn text(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(length);
        while text.len() < length {
            let ahead = self.input.ahead()?;
            if ahead.is_empty() {
                return Err(self.input.truncated());
            }
            let more = ahead.len().min(length - text.len());
            text.extend_from_slice(&ahead[..more]);
            self.input.take(more);
        }
        Ok(text)
    }

    fn take_for_the_file(&mut self, name: &str) -> io::Result<()> {
        if let Some(document) = document(name) {
            return Err(refused(document.to_owned()));
        }
        match self.file.replace(name.to_owned()) {
            None => Ok(()),
            Some(first) => Err(refused(format!(
                "a zip archive with several files (`{}`, `{}`, …); put each of them",
                first.escape_debug(),
                name.escape_debug()
            ))),
        }
    }
}

impl<R: Read> Read for Unzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let member = match &mut self.state {
                State::Ended => return Ok(0),
                State::Between => {
                    self.header()?;
                    continue;
                }
                State::Within(member) => member,
            };
            let given = match member.ignored {
                false => member.read(&mut self.input, into)?,
                true => {
                    self.discarded.resize(DISCARDED_BYTES, 0);
                    member.read(&mut self.input, &mut self.discarded)?
                }
            };
            match given {
                Some(given) if given > 0 && !member.ignored => return Ok(given),
                Some(_) => {}
                None => {
                    member.check(&mut self.input)?;
                    self.state = State::Between;
                }
            }
        }
    }
}

impl Member {
    /// The next bytes; `None` behind the last.
    fn read<R: Read>(&mut self, input: &mut Input<R>, into: &mut [u8]) -> io::Result<Option<usize>> {
        let given = match &mut self.codec {
            Some(codec) => {
                let step = input.step(codec, into)?;
                if step.ended {
                    self.codec = None;
                    self.stored = 0;
                }
                step.given
            }
            None if self.stored == 0 => return Ok(None),
            None => {
                let ahead = input.ahead()?;
                if ahead.is_empty() {
                    return Err(input.truncated());
                }
                let length = ahead.len().min(into.len()).min(usize::try_from(self.stored).unwrap_or(usize::MAX));
                into[..length].copy_from_slice(&ahead[..length]);
                input.take(length);
                input.given += length as u64;
                self.stored -= length as u64;
                length
            }
        };
        self.crc.update(&into[..given]);
        self.given += given as u64;
        Ok(Some(given))
    }

    /// Checks what was unpacked against what the archive says of it.
    fn check<R: Read>(&self, input: &mut Input<R>) -> io::Result<()> {
        let found = Told { crc: self.crc.sum(), packed: input.taken - self.begin, unpacked: self.given };
        let fits = match self.told {
            Some(told) => told == found,
            None => described(input, found)?,
        };
        match fits {
            true => Ok(()),
            false => Err(input.damaged("its checksum or its length is another one than the archive says")),
        }
    }
}

/// Reads the descriptor behind a member: with or without a signature, with lengths of 32 or of 64 bits. What it is
/// cannot be told from itself; it is the form that fits, and a signature follows it.
fn described<R: Read>(input: &mut Input<R>, found: Told) -> io::Result<bool> {
    const LONGEST: usize = 4 + 4 + 8 + 8;
    let mut bytes = Vec::with_capacity(LONGEST);
    let mut short = found.crc.to_le_bytes().to_vec();
    short.extend((found.packed as u32).to_le_bytes());
    short.extend((found.unpacked as u32).to_le_bytes());
    let mut long = found.crc.to_le_bytes().to_vec();
    long.extend(found.packed.to_le_bytes());
    long.extend(found.unpacked.to_le_bytes());
    let signed = |form: &[u8]| [b"PK\x07\x08", form].concat();
    let forms = [signed(&short), signed(&long), short, long];
    loop {
        // A form is taken when the next header's signature is seen behind it, so bytes are taken one by one.
        if forms.contains(&bytes) && input.ahead()?.first() == Some(&b'P') {
            return Ok(true);
        }
        if bytes.len() == LONGEST {
            return Ok(false);
        }
        bytes.extend(input.exact::<1>()?);
    }
}

/// Puts the lengths of 64 bits in the place of those that say so.
fn zip64(mut extra: &[u8], told: &mut Told) {
    while let [a, b, c, d, rest @ ..] = extra {
        let (id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let Some((field, others)) = rest.split_at_checked(length) else { return };
        if id == ZIP64_FIELD {
            let mut lengths = field
                .chunks_exact(8)
                .map(|bytes| bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte)));
            for length in [&mut told.unpacked, &mut told.packed] {
                if *length == u64::from(IN_ZIP64)
                    && let Some(long) = lengths.next()
                {
                    *length = long;
                }
            }
        }
        extra = others;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn refused(what: String) -> io::Error {
    Unreadable::Refused(what).into()
}

fn encrypted() -> io::Error {
    refused("an encrypted zip archive; put the file without a password".to_owned())
}

/// Folders, and what macOS puts beside each file.
fn is_beside(name: &str) -> bool {
    name.ends_with('/') || name.starts_with("__MACOSX/") || name.rsplit('/').next() == Some(".DS_Store")
}

/// What kind of document has a member of this name; such a file is a zip archive, too.
fn document(name: &str) -> Option<&'static str> {
    match name {
        "[Content_Types].xml" => Some("an Office document (.xlsx, .docx); save it as CSV"),
        "mimetype" => Some("an OpenDocument file (.ods, .odt) or an e-book; save it as CSV"),
        "META-INF/MANIFEST.MF" => Some("a Java archive"),
        _ if ["xl/", "word/", "docProps/", "_rels/", "ppt/"].iter().any(|folder| name.starts_with(folder)) => {
            Some("an Office document (.xlsx, .docx); save it as CSV")
        }
        _ => None,
    }
}

fn method_name(method: u16) -> String {
    match method {
        9 => "deflate64".to_owned(),
        12 => "bzip2".to_owned(),
        14 => "LZMA".to_owned(),
        93 => "Zstandard".to_owned(),
        95 => "xz".to_owned(),
        99 => "AES encryption".to_owned(),
        other => format!("method {other}"),
    }
}
