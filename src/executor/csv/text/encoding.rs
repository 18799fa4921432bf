//! Which encoding a text is in, and decoding it to UTF-8.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    Decoder, DecoderResult, Encoding, ISO_8859_2, ISO_8859_4, ISO_8859_13, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1250,
    WINDOWS_1252, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258,
};
use serde::{Deserialize, Serialize};

use super::{super::super::Error, MALFORMED};

/// Bytes decoded at a time.
const DECODE_BYTES: usize = 64 * 1024;
/// Room that the decoder is given at least: a character and a [`MALFORMED`].
const ROOM_BYTES: usize = 64;
/// Of the bytes of UTF-16 without a mark, one in this many is NUL at least…
pub(super) const UTF16_NUL_SHARE: usize = 3;
/// …and of these no more than one in this many is on the wrong side.
const UTF16_STRAY_SHARE: usize = 10;
/// In Latin text, one byte in this many is no ASCII at most.
const LATIN_SHARE: usize = 4;
/// Of the bytes of windows-1252 beyond ASCII, one in this many stands where none is in a text at most.
const LATIN_STRAY_SHARE: usize = 4;
/// Text in one of the single-byte encodings has sequences that are UTF-8 by chance: one for this many that are not.
const CHANCE_SHARE: usize = 8;
/// Bytes beyond ASCII from which on a guess at an encoding of other letters than Latin ones is believed.
const SURE_BYTES: usize = 48;
/// Different bytes beyond ASCII from which on a guess at one of [`LATIN`] is.
const SURE_KINDS: usize = 8;

/// How it is known which encoding a text is in; from certain to guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// `csv.encoding` says so, or an earlier pass.
    Set,
    /// By its byte order mark.
    Marked,
    /// The beginning is valid UTF-8.
    Valid,
    /// UTF-16 by its zeros: every other byte is one.
    Zeros,
    /// UTF-8 with sequences that are none; rows with them are set aside.
    Broken,
    /// One of the old encodings, by the frequency of its letters.
    Guessed,
}

/// An encoding, and why.
#[derive(Debug)]
pub(super) struct Chosen {
    pub encoding: &'static Encoding,
    pub known: Known,
    /// Bytes of the byte order mark.
    pub mark: usize,
    /// What a reader of the report should know.
    pub note: Option<String>,
}

/// The encoding that is asked for, else that of the byte order mark, else what the bytes tell. `whole`: `raw` is all
/// there is.
pub(super) fn choose(raw: &[u8], whole: bool, label: Option<&str>) -> Result<Chosen, Error> {
    let marked = Encoding::for_bom(raw);
    if let Some(label) = label {
        let asked = encoding_of(label)?;
        // The plain label leaves the order of bytes to the mark.
        let open = label.trim().eq_ignore_ascii_case("utf-16");
        let fits = |of_mark: &'static Encoding| of_mark == asked || (open && of_mark == UTF_16BE);
        let (encoding, mark) = marked.filter(|(of_mark, _)| fits(of_mark)).unwrap_or((asked, 0));
        return Ok(Chosen { encoding, known: Known::Set, mark, note: None });
    }
    if let Some((encoding, mark)) = marked {
        return Ok(Chosen { encoding, known: Known::Marked, mark, note: None });
    }
    if let Some(encoding) = utf16(raw) {
        let note = format!("{} by its zeros, without a byte order mark", encoding.name());
        return Ok(Chosen { encoding, known: Known::Zeros, mark: 0, note: Some(note) });
    }
    Ok(unmarked(raw, whole))
}

/// The encoding with this WHATWG label.
pub(crate) fn encoding_of(label: &str) -> Result<&'static Encoding, Error> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| Error::Option {
        option: "encoding",
        message: format!("`{label}` is not a known encoding; use a label such as utf-8, windows-1252 or utf-16le"),
    })
}

/// UTF-16 by its zeros: text of mostly ASCII characters has one in every pair of bytes, always on the same side.
fn utf16(raw: &[u8]) -> Option<&'static Encoding> {
    let even = raw.iter().step_by(2).filter(|&&byte| byte == 0).count();
    let odd = raw.iter().skip(1).step_by(2).filter(|&&byte| byte == 0).count();
    if (even + odd) * UTF16_NUL_SHARE <= raw.len() {
        return None;
    }
    match (even * UTF16_STRAY_SHARE <= even + odd, odd * UTF16_STRAY_SHARE <= even + odd) {
        (true, _) => Some(UTF_16LE),
        (_, true) => Some(UTF_16BE),
        _ => None,
    }
}

/// How much of a text is UTF-8.
#[derive(Debug, Default)]
struct Survey {
    /// Characters beyond ASCII that are.
    valid: usize,
    /// Sequences that are not.
    invalid: usize,
    /// Bytes beyond ASCII.
    foreign: usize,
    /// Different ones.
    kinds: usize,
}

impl Survey {
    fn of(raw: &[u8], whole: bool) -> Self {
        let mut survey = Survey::default();
        let mut left = raw.len();
        for chunk in raw.utf8_chunks() {
            left -= chunk.valid().len() + chunk.invalid().len();
            survey.foreign += chunk.valid().bytes().filter(|byte| !byte.is_ascii()).count() + chunk.invalid().len();
            survey.valid += chunk.valid().bytes().filter(|&byte| byte >= 0xC0).count();
            let cut_off =
                left == 0 && !whole && str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none());
            survey.invalid += usize::from(!chunk.invalid().is_empty() && !cut_off);
        }
        let mut seen = [false; 256];
        raw.iter().filter(|byte| !byte.is_ascii()).for_each(|&byte| seen[usize::from(byte)] = true);
        survey.kinds = seen.iter().filter(|seen| **seen).count();
        survey
    }
}

/// UTF-8, or one of the old encodings. A file of UTF-8 in which something is broken stays UTF-8.
fn unmarked(raw: &[u8], whole: bool) -> Chosen {
    let utf8 = |known, note| Chosen { encoding: UTF_8, known, mark: 0, note };
    if str::from_utf8(raw).is_ok() {
        return utf8(Known::Valid, None);
    }
    let survey = Survey::of(raw, whole);
    let Survey { valid, invalid, foreign, .. } = survey;
    if invalid == 0 {
        return utf8(Known::Valid, None);
    }
    let broken = |more: &str| {
        let note = format!(
            "{invalid} places are no UTF-8 and {valid} characters are; rows with such places are set aside{more}"
        );
        utf8(Known::Broken, Some(note))
    };
    if valid >= invalid {
        return broken("");
    }
    let Guess { encoding, believed, instead } = guess(raw, whole, &survey);
    let name = encoding.name();
    if !believed {
        return broken(&format!("; if the text is in another encoding ({name}?), set csv.encoding"));
    }
    let other = instead.map_or("another one", Encoding::name);
    let note = format!("{name}, guessed by {foreign} bytes that are no UTF-8; if it is {other}, set csv.encoding");
    Chosen { encoding, known: Known::Guessed, mark: 0, note: Some(note) }
}

/// Which of the old encodings a text may be in.
struct Guess {
    encoding: &'static Encoding,
    /// There is enough that speaks for it.
    believed: bool,
    /// One that is almost as likely.
    instead: Option<&'static Encoding>,
}

impl Guess {
    fn believed(encoding: &'static Encoding) -> Self {
        Guess { encoding, believed: true, instead: None }
    }
}

/// Encodings of Latin letters that have much in common with windows-1252, so that a few letters do not tell them apart.
const LATIN: [&Encoding; 7] =
    [WINDOWS_1250, ISO_8859_2, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258, ISO_8859_4, ISO_8859_13];

/// Windows-1252 first; another one only where there is enough text to be sure.
fn guess(raw: &[u8], whole: bool, survey: &Survey) -> Guess {
    let [anywhere, in_the_west] = likely(raw, whole);
    let single = survey.valid * CHANCE_SHARE <= survey.invalid;
    let latin = || single && survey.foreign * LATIN_SHARE <= raw.len() && is_plausible_latin(raw);
    if anywhere == WINDOWS_1252 {
        return Guess { encoding: anywhere, believed: latin(), instead: None };
    }
    if LATIN.contains(&anywhere) {
        let same = anywhere.decode_without_bom_handling(raw).0 == WINDOWS_1252.decode_without_bom_handling(raw).0;
        return match single && survey.kinds >= SURE_KINDS && !same {
            true => Guess::believed(anywhere),
            false if latin() => Guess { encoding: WINDOWS_1252, believed: true, instead: (!same).then_some(anywhere) },
            false => Guess { encoding: anywhere, believed: false, instead: None },
        };
    }
    let believed = (single || !anywhere.is_single_byte())
        && anywhere == in_the_west
        && survey.foreign >= SURE_BYTES
        && is_decodable(raw, whole, anywhere);
    Guess { encoding: anywhere, believed, instead: None }
}

/// What a text is most likely in, and what if it is from a country where windows-1252 is usual.
fn likely(raw: &[u8], whole: bool) -> [&'static Encoding; 2] {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(raw, whole);
    [None, Some(b"de".as_slice())].map(|country| detector.guess(country, Utf8Detection::Deny))
}

/// Whether all of it is text in that encoding.
fn is_decodable(raw: &[u8], whole: bool, encoding: &'static Encoding) -> bool {
    let mut decoded = vec![0; raw.len().saturating_mul(3) + ROOM_BYTES];
    let mut decoder = encoding.new_decoder_without_bom_handling();
    decoder.decode_to_utf8_without_replacement(raw, &mut decoded, whole).0 == DecoderResult::InputEmpty
}

/// Whether the bytes beyond ASCII are where letters and signs of windows-1252 are in a text: none of the five that it
/// lacks, no signs within words, and letters beside letters rather than beside digits.
fn is_plausible_latin(raw: &[u8]) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || (byte >= 0xC0 && byte != 0xD7 && byte != 0xF7);
    let at = |at: Option<usize>| at.and_then(|at| raw.get(at)).copied().unwrap_or_default();
    let (mut seen, mut strays) = (0, 0);
    for (place, &byte) in raw.iter().enumerate().filter(|(_, byte)| !byte.is_ascii()) {
        let (before, after) = (at(place.checked_sub(1)), at(Some(place + 1)));
        seen += 1;
        strays += usize::from(match byte {
            0x81 | 0x8D | 0x8F | 0x90 | 0x9D => return false,
            0xFF => true,
            // £, ¤, ¥, ¦ and the like, and upside-down marks: Polish and others have letters there.
            0xA1..=0xA6 | 0xA8 | 0xAF..=0xB1 | 0xB3 | 0xB8 | 0xB9 | 0xBC..=0xBF => {
                is_letter(before) && is_letter(after)
            }
            _ if is_letter(byte) => before.is_ascii_digit() || after.is_ascii_digit(),
            _ => false,
        });
    }
    strays * LATIN_STRAY_SHARE <= seen
}

/// Decodes to UTF-8; what cannot be decoded becomes [`MALFORMED`].
pub(super) struct Transcoder<R> {
    reader: R,
    decoder: Decoder,
    input: Vec<u8>,
    input_range: (usize, usize),
    /// The reader is at its end.
    ended: bool,
    /// What did not fit where it was asked for.
    kept: Vec<u8>,
    kept_from: usize,
    done: bool,
}

impl<R: Read> Transcoder<R> {
    pub fn new(reader: R, encoding: &'static Encoding) -> Self {
        Transcoder {
            reader,
            decoder: encoding.new_decoder_without_bom_handling(),
            input: vec![0; DECODE_BYTES],
            input_range: (0, 0),
            ended: false,
            kept: Vec::new(),
            kept_from: 0,
            done: false,
        }
    }

    /// Decodes into `output`, which has [`ROOM_BYTES`] at least; nothing at the end alone.
    fn decode(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let mut total = 0;
        while !self.done && output.len() - total >= ROOM_BYTES {
            if self.input_range.0 == self.input_range.1 && !self.ended {
                if total > 0 {
                    break; // what is there is handed over before more is waited for
                }
                let read = match self.reader.read(&mut self.input) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read?,
                };
                self.input_range = (0, read);
                self.ended = read == 0;
            }
            let input = &self.input[self.input_range.0..self.input_range.1];
            let room = output.len() - 1; // for one MALFORMED
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut output[total..room], self.ended);
            self.input_range.0 += read;
            total += written;
            match result {
                DecoderResult::InputEmpty => self.done = self.ended,
                DecoderResult::OutputFull => break,
                DecoderResult::Malformed(..) => {
                    output[total] = MALFORMED;
                    total += 1;
                }
            }
        }
        Ok(total)
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.kept_from == self.kept.len() && into.len() >= ROOM_BYTES {
            return self.decode(into);
        }
        if self.kept_from == self.kept.len() {
            let mut kept = std::mem::take(&mut self.kept);
            kept.resize(ROOM_BYTES, 0);
            let decoded = self.decode(&mut kept);
            kept.truncate(*decoded.as_ref().unwrap_or(&0));
            (self.kept, self.kept_from) = (kept, 0);
            decoded?;
        }
        let ready = &self.kept[self.kept_from..];
        let length = ready.len().min(into.len());
        into[..length].copy_from_slice(&ready[..length]);
        self.kept_from += length;
        Ok(length)
    }
}
