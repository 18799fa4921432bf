//! Snappy's block format (<https://github.com/google/snappy/blob/main/format_description.txt>), compression only.

use super::pack::varint;

/// Matches are looked for within pieces of this many bytes, so that every offset takes two bytes.
const PIECE: usize = 64 * 1024;
const TABLE_BITS: u32 = 14;
/// Bytes at the end of a piece that are not searched.
const MARGIN: usize = 15;

/// Compresses blocks, one after the other.
pub(super) struct Snappy {
    table: Vec<u16>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |word| u32::from_le_bytes(*word))
}

fn slot(word: u32) -> usize {
    (word.wrapping_mul(0x1E35_A7BD) >> (32 - TABLE_BITS)) as usize
}

impl Snappy {
    pub fn new() -> Self {
        Snappy { table: vec![0; 1 << TABLE_BITS] }
    }

    /// Appends `bytes` compressed.
    pub fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        varint(bytes.len() as u64, out);
        for piece in bytes.chunks(PIECE) {
            self.table.fill(0);
            self.piece(piece, out);
        }
    }

    fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (mut pending, mut at, mut misses) = (0, 1, 32);
        while at + MARGIN < bytes.len() {
            let here = word(bytes, at);
            let entry = &mut self.table[slot(here)];
            let candidate = usize::from(*entry);
            *entry = at as u16;
            if candidate >= at || word(bytes, candidate) != here {
                // The longer nothing is found, the larger the steps.
                at += misses >> 5;
                misses += 1;
                continue;
            }
            literal(&bytes[pending..at], out);
            let length = 4 + common(&bytes[candidate + 4..], &bytes[at + 4..]);
            copy(at - candidate, length, out);
            at += length;
            pending = at;
            misses = 32;
        }
        literal(&bytes[pending..], out);
    }
}

/// Bytes that both begin with.
fn common(earlier: &[u8], later: &[u8]) -> usize {
    let words = earlier.as_chunks::<8>().0.iter().zip(later.as_chunks::<8>().0);
    let same = words.take_while(|(a, b)| a == b).count() * 8;
    same + earlier[same..].iter().zip(&later[same..]).take_while(|(a, b)| a == b).count()
}

fn literal(bytes: &[u8], out: &mut Vec<u8>) {
    let Some(last) = bytes.len().checked_sub(1) else { return };
    match last {
        0..60 => out.push((last as u8) << 2),
        60..256 => out.extend_from_slice(&[60 << 2, last as u8]),
        _ => out.extend_from_slice(&[61 << 2, last as u8, (last >> 8) as u8]),
    }
    out.extend_from_slice(bytes);
}

fn copy(offset: usize, mut length: usize, out: &mut Vec<u8>) {
    let mut emit = |length: usize| {
        out.extend_from_slice(&[((length - 1) as u8) << 2 | 2, offset as u8, (offset >> 8) as u8]);
    };
    while length >= 68 {
        emit(64);
        length -= 64;
    }
    if length > 64 {
        emit(60);
        length -= 60;
    }
    if (4..12).contains(&length) && offset < 2048 {
        out.extend_from_slice(&[((offset >> 8) as u8) << 5 | ((length - 4) as u8) << 2 | 1, offset as u8]);
    } else {
        emit(length);
    }
}
