//! Base and journal as bytes.
//!
//! The base is JSON: the format's number, the hash of the state, the state. The journal is lines: first a header that
//! names the base by its hash, then an edit each, `checksum {"g":group,"n":serial,"e":edit}`. A group is what was
//! written and synced together. What was damaged or edited is refused rather than believed; the one exception is the
//! end of the last group, which a crash may have torn: nobody has acted on it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Edit, Live, Snapshot, Unsound, verify};
use crate::resource::Address;

/// The format this version writes. Format 1 had no journal; its base is the same.
const FORMAT: u32 = 2;
/// Hex digits of a line's checksum.
const CHECKSUM_DIGITS: usize = 16;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    sha256: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// The journal's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    journal: u32,
    /// Hash of the base that it goes on from.
    base: String,
    /// Serial of that base.
    serial: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<E> {
    g: u64,
    n: u64,
    e: E,
}

/// Bytes that are no sound state.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not the JSON it should be.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a later version.
    #[error("it has format {0}, and this version of lake reads up to {FORMAT}; use the version that wrote it")]
    Format(u32),
    /// The hash does not match.
    #[error("its content does not match its hash: it was damaged or edited")]
    Hash,
    /// The content contradicts itself.
    #[error("it is unsound: {0}")]
    Unsound(#[from] Unsound),
    /// A line of the journal is damaged, and others come after it.
    #[error("line {line} of its journal is damaged: {why}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// There is a journal, or a history, and no base.
    #[error("its base is gone, and what goes with it is there")]
    Missing,
    /// The journal's end is damaged where no crash can have torn it.
    #[error("its journal is damaged after its first {length} bytes")]
    End {
        /// Bytes that are whole.
        length: u64,
    },
    /// Part of the journal is not there.
    #[error("object {number} of its journal is missing")]
    Gap {
        /// Which one, from 0.
        number: u64,
    },
    /// The journal goes on from another base.
    #[error("its journal goes on from another state, of serial {journal} (this one has serial {base})")]
    Base {
        /// The serial that the journal goes on from.
        journal: u64,
        /// The base's serial.
        base: u64,
    },
}

/// A base, read.
#[derive(Debug, Clone)]
pub struct Base {
    /// Hash of its state.
    pub sha256: String,
    /// Its state.
    pub snapshot: Snapshot,
}

/// The snapshot as it is stored as a base, and its hash. Refuses one that is unsound.
pub fn encode(snapshot: &Snapshot) -> Result<(Vec<u8>, String), FormatError> {
    verify(snapshot)?;
    let state = serde_json::value::to_raw_value(snapshot)?;
    let sha256 = hex::encode(Sha256::digest(state.get()));
    let mut bytes = serde_json::to_vec(&Envelope { format: FORMAT, sha256: sha256.clone(), state: &state })?;
    bytes.push(b'\n');
    Ok((bytes, sha256))
}

/// The base that `bytes` hold.
pub fn decode(bytes: impl AsRef<[u8]>) -> Result<Base, FormatError> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes.as_ref())?;
    if envelope.format > FORMAT {
        return Err(FormatError::Format(envelope.format));
    }
    if hex::encode(Sha256::digest(envelope.state.get())) != envelope.sha256 {
        return Err(FormatError::Hash);
    }
    let snapshot: Snapshot = Address::sharing(|| serde_json::from_str(envelope.state.get()))?;
    let sha256 = envelope.sha256;
    // As much memory as the snapshot takes: it is not held while that is looked at.
    drop(bytes);
    verify(&snapshot)?;
    Ok(Base { sha256, snapshot })
}

/// A base as far as it can be read, and what is wrong with it.
#[derive(Debug)]
pub struct Damaged {
    /// Its content, which is not to be believed without a reason; its hash is the one of what is there.
    pub base: Option<Base>,
    /// What is wrong with it; `None` for one that is sound.
    pub why: Option<FormatError>,
}

/// Reads of a base what can be read. A later format is none that could be.
pub fn decode_damaged(bytes: &[u8]) -> Result<Damaged, FormatError> {
    let envelope: Envelope<'_> = match serde_json::from_slice(bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Damaged { base: None, why: Some(error.into()) }),
    };
    if envelope.format > FORMAT {
        return Err(FormatError::Format(envelope.format));
    }
    let sha256 = hex::encode(Sha256::digest(envelope.state.get()));
    let why = if sha256 == envelope.sha256 { None } else { Some(FormatError::Hash) };
    match serde_json::from_str::<Snapshot>(envelope.state.get()) {
        Ok(snapshot) => {
            let why = why.or_else(|| verify(&snapshot).err().map(FormatError::from));
            Ok(Damaged { base: Some(Base { sha256, snapshot }), why })
        }
        Err(error) => Ok(Damaged { base: None, why: Some(why.unwrap_or_else(|| error.into())) }),
    }
}

/// A line of a journal that is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// Its place in the journal, from 1.
    pub line: usize,
    /// Its group.
    pub group: u64,
    /// Serial of the state that its edit makes.
    pub serial: u64,
    /// What it says.
    pub edit: Edit,
}

/// What can be read of a journal, whatever lies between.
#[derive(Debug, Default)]
pub struct Salvage {
    /// Hash and serial of the base that it goes on from, if its first line says so.
    pub base: Option<(String, u64)>,
    /// The lines that are whole, in order.
    pub whole: Vec<Whole>,
    /// The lines that are not, the first line among them.
    pub damaged: Vec<usize>,
}

/// Reads of a journal what can be read. A later format is none that could be.
pub fn salvage(bytes: &[u8]) -> Result<Salvage, FormatError> {
    let mut salvage = Salvage::default();
    for (place, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = place + 1;
        let mut pieces = pieces(line.strip_suffix(b"\n").unwrap_or(line)).into_iter();
        if number == 1 {
            let header = pieces.next().and_then(checked);
            match header.and_then(|json| serde_json::from_slice::<Header>(json).ok()) {
                Some(header) if header.journal > FORMAT => return Err(FormatError::Format(header.journal)),
                Some(header) => salvage.base = Some((header.base, header.serial)),
                None => salvage.damaged.push(number),
            }
        }
        for piece in pieces {
            match checked(piece).and_then(|json| serde_json::from_slice::<Line<Edit>>(json).ok()) {
                Some(Line { g, n, e }) => salvage.whole.push(Whole { line: number, group: g, serial: n, edit: e }),
                None => salvage.damaged.push(number),
            }
        }
    }
    Ok(salvage)
}

/// A line, or the lines in it when it is an end of line that was damaged: each begins with its checksum.
fn pieces(line: &[u8]) -> Vec<&[u8]> {
    let begins = |at: usize| {
        let digits = line.get(at..at + CHECKSUM_DIGITS);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            && line.get(at + CHECKSUM_DIGITS..at + CHECKSUM_DIGITS + 2) == Some(b" {")
    };
    if checked(line).is_some() {
        return vec![line];
    }
    match (2..line.len()).find(|at| line[at - 2] == b'}' && begins(*at)) {
        Some(at) => [vec![&line[..at - 1]], pieces(&line[at..])].concat(),
        None => vec![line],
    }
}

/// The first line of the journal that goes on from a base.
pub fn header(sha256: &str, serial: u64) -> Vec<u8> {
    let header = Header { journal: FORMAT, base: sha256.to_owned(), serial };
    line(&serde_json::to_vec(&header).expect("a header is plain data"))
}

/// The line of the edit that makes the state's serial `serial`, in its group.
pub fn entry(group: u64, serial: u64, edit: &Edit) -> Result<Vec<u8>, FormatError> {
    Ok(line(&serde_json::to_vec(&Line { g: group, n: serial, e: edit })?))
}

fn line(json: &[u8]) -> Vec<u8> {
    let mut line = checksum(json).into_bytes();
    line.reserve(json.len() + 2);
    line.push(b' ');
    line.extend_from_slice(json);
    line.push(b'\n');
    line
}

fn checksum(json: &[u8]) -> String {
    let mut digits = hex::encode(&Sha256::digest(json)[..CHECKSUM_DIGITS / 2]);
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

/// A line's JSON, if its checksum is right.
fn content(line: &[u8]) -> Option<&[u8]> {
    checked(line.strip_suffix(b"\n")?)
}

/// The same of a line without its end.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let json = line.get(CHECKSUM_DIGITS + 1..)?;
    (line[CHECKSUM_DIGITS] == b' ' && checksum(json).as_bytes() == &line[..CHECKSUM_DIGITS]).then_some(json)
}

/// A journal, read.
#[derive(Debug)]
pub struct Replay {
    /// The edits, in order.
    pub edits: Vec<Edit>,
    /// The last group that is there as a whole, or in part.
    pub group: u64,
    /// Bytes up to the end of the last whole line.
    pub length: usize,
    /// What follows was torn by a crash.
    pub torn: bool,
}

/// The edits of a journal that goes on from `base`. `None` for a journal that went on from an earlier base: what it
/// holds is in this one.
pub fn replay(bytes: &[u8], base: &Base) -> Result<Option<Replay>, FormatError> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(header) = lines.next().and_then(content) else {
        // A journal begins with one write and sync: whoever finds part of that finds nothing else.
        return match lines.next() {
            None => Ok(None),
            Some(_) => Err(FormatError::Line { line: 1, why: "it does not match its checksum".to_owned() }),
        };
    };
    let header: Header = serde_json::from_slice(header)?;
    if header.journal > FORMAT {
        return Err(FormatError::Format(header.journal));
    }
    if header.base != base.sha256 {
        let (journal, base) = (header.serial, base.snapshot.serial);
        return if journal < base { Ok(None) } else { Err(FormatError::Base { journal, base }) };
    }
    let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
    let mut replay = Replay { edits: Vec::new(), group: 0, length: first, torn: false };
    for (place, line) in lines.enumerate() {
        let number = place + 2;
        let Some(json) = content(line) else {
            check_torn(&bytes[replay.length + line.len()..], number)?;
            replay.torn = true;
            break;
        };
        let line_read: Line<Edit> =
            serde_json::from_slice(json).map_err(|error| FormatError::Line { line: number, why: error.to_string() })?;
        let expected = base.snapshot.serial + replay.edits.len() as u64 + 1;
        if line_read.n != expected || line_read.g < replay.group {
            let why = format!("it has serial {} where {expected} comes next", line_read.n);
            return Err(FormatError::Line { line: number, why });
        }
        replay.group = line_read.g;
        replay.length += line.len();
        replay.edits.push(line_read.e);
    }
    Ok(Some(replay))
}

/// Whether a damaged line was torn by a crash, or damaged since: what comes after a torn one belongs to its group,
/// for the next group is written only once this one is on disk.
fn check_torn(after: &[u8], number: usize) -> Result<(), FormatError> {
    let mut groups: Vec<u64> = after
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(content)
        .filter_map(|json| serde_json::from_slice::<Line<serde::de::IgnoredAny>>(json).ok())
        .map(|line| line.g)
        .collect();
    groups.dedup();
    match groups.len() {
        0 | 1 => Ok(()),
        _ => Err(FormatError::Line { line: number, why: "it does not match its checksum".to_owned() }),
    }
}

/// The state that base and edits make.
pub fn replayed(base: Snapshot, edits: &[Edit]) -> Result<Snapshot, FormatError> {
    if edits.is_empty() {
        return Ok(base);
    }
    let mut live = Live::new(base)?;
    for edit in edits {
        live.apply(edit)?;
    }
    let snapshot = live.into_snapshot();
    verify(&snapshot)?;
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Difference;
    use proptest::prelude::*;

    fn base() -> Base {
        let (bytes, _) = encode(&Snapshot::new("flights", "local")).unwrap();
        decode(&bytes).unwrap()
    }

    fn edit(value: &str) -> Edit {
        Edit::Outputs([("out".to_owned(), value.into())].into())
    }

    /// A journal of three groups: one edit, two edits, one edit.
    fn journal(base: &Base) -> Vec<Vec<u8>> {
        let line = |group, serial: u64| entry(group, serial, &edit(&serial.to_string())).unwrap();
        vec![header(&base.sha256, 0), line(1, 1), line(2, 2), line(2, 3), line(3, 4)]
    }

    #[test]
    fn a_base_reads_back() {
        let snapshot = Snapshot::new("flights", "local");
        assert_eq!(decode(&encode(&snapshot).unwrap().0).unwrap().snapshot, snapshot);
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let (bytes, _) = encode(&Snapshot::new("flights", "local")).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("\"format\":2", "\"format\":9");
        assert!(decode(text.as_bytes()).unwrap_err().to_string().contains("format 9"));
    }

    #[test]
    fn a_base_of_the_format_without_a_journal_is_read() {
        let (bytes, _) = encode(&Snapshot::new("flights", "local")).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("\"format\":2", "\"format\":1");
        decode(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_journal_reads_back_and_its_edits_make_the_state() {
        let base = base();
        let replay = replay(&journal(&base).concat(), &base).unwrap().unwrap();
        assert_eq!((replay.edits.len(), replay.group, replay.torn), (4, 3, false));
        let state = replayed(base.snapshot, &replay.edits).unwrap();
        assert_eq!((state.serial, &state.outputs["out"]), (4, &"4".into()));
    }

    #[test]
    fn a_journal_of_an_earlier_base_is_over_and_one_of_another_base_is_refused() {
        let old = base();
        let mut newer = base();
        newer.snapshot.serial = 4;
        assert!(replay(&journal(&old).concat(), &newer).unwrap().is_none());
        let other = base();
        assert!(replay(&journal(&old).concat(), &other).unwrap_err().to_string().contains("another state"));
    }

    #[test]
    fn a_line_that_is_missing_is_noticed() {
        let base = base();
        let mut lines = journal(&base);
        lines.remove(2);
        let error = replay(&lines.concat(), &base).unwrap_err().to_string();
        assert_eq!(error, "line 3 of its journal is damaged: it has serial 3 where 2 comes next");
    }

    #[test]
    fn a_damaged_line_is_torn_only_within_the_last_group() {
        let base = base();
        for (damaged, whole) in [(1, None), (2, None), (3, None), (4, Some(3))] {
            let mut lines = journal(&base);
            let middle = lines[damaged].len() / 2;
            lines[damaged][middle] ^= 1;
            let read = replay(&lines.concat(), &base).ok().flatten().map(|replay| replay.edits.len());
            // Of line 3 nobody can tell: after it comes one group, which may be its own.
            assert!(read == whole || damaged == 3, "{damaged}: {read:?}");
        }
    }

    #[test]
    fn what_differs_between_two_states_makes_the_one_of_the_other() {
        let (mut before, mut after) = (Snapshot::new("flights", "local"), Snapshot::new("flights", "local"));
        after.lineage.clone_from(&before.lineage);
        assert!(Difference::between(&before, &after).is_empty());
        after.outputs.insert("a".to_owned(), 1.into());
        let difference = Difference::between(&before, &after);
        difference.apply_to(&mut before);
        assert_eq!(before, after);
    }

    proptest! {
        #[test]
        fn a_base_with_any_byte_changed_or_its_tail_cut_is_refused(place in 0usize..200, byte: u8, cut: bool) {
            let snapshot = Snapshot::new("flights", "local");
            let (mut bytes, _) = encode(&snapshot).unwrap();
            let place = place % (bytes.len() - 1);
            if cut {
                bytes.truncate(place);
            } else {
                prop_assume!(bytes[place] != byte);
                bytes[place] = byte;
            }
            // White space around the state's own text and the envelope's number change nothing that is believed.
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(read.snapshot, snapshot);
            }
        }

        #[test]
        fn a_journal_cut_anywhere_has_the_edits_before_the_cut(cut in 0usize..2000) {
            let base = base();
            let lines = journal(&base);
            let mut bytes = lines.concat();
            bytes.truncate(cut % (bytes.len() + 1));
            let mut whole = 0;
            let mut end = lines[0].len();
            while whole < 4 && end + lines[whole + 1].len() <= bytes.len() {
                whole += 1;
                end += lines[whole].len();
            }
            match replay(&bytes, &base).unwrap() {
                Some(replay) => {
                    prop_assert_eq!(replay.edits.len(), whole);
                    prop_assert_eq!((replay.length, replay.torn), (end, end < bytes.len()));
                }
                None => prop_assert!(bytes.len() < lines[0].len()),
            }
        }
    }
}
