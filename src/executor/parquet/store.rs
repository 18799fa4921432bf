//! Where the pages of a row group lie until they are written: in pieces of one size that the next row groups use again.

use std::{
    io::{self, Write},
    mem,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that nobody uses: never more than all row groups of the file that were in memory at once took.
#[derive(Debug, Default)]
pub(super) struct Pieces(Mutex<Vec<Vec<u8>>>);

/// Bytes that are only ever appended to.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// All but the last are full.
    pieces: Vec<Vec<u8>>,
    spare: Arc<Pieces>,
}

impl Store {
    pub fn new(spare: &Arc<Pieces>) -> Self {
        Store { pieces: Vec::new(), spare: Arc::clone(spare) }
    }

    pub fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE_BYTES + last.len())
    }

    /// Appends bytes, and says where they lie.
    pub fn push(&mut self, mut bytes: &[u8]) -> Range<usize> {
        let start = self.len();
        while !bytes.is_empty() {
            if self.pieces.last().is_none_or(|last| last.len() == PIECE_BYTES) {
                let spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
                self.pieces.push(spare.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES)));
            }
            let Some(last) = self.pieces.last_mut() else { break };
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
        start..self.len()
    }

    /// Writes the bytes that lie there.
    pub fn write(&self, range: &Range<usize>, output: &mut impl Write) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let within = at % PIECE_BYTES;
            let length = (range.end - at).min(PIECE_BYTES - within);
            output.write_all(&self.pieces[at / PIECE_BYTES][within..within + length])?;
            at += length;
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let pieces = mem::take(&mut self.pieces).into_iter().map(|mut piece| {
            piece.clear();
            piece
        });
        self.spare.0.lock().unwrap_or_else(PoisonError::into_inner).extend(pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_across_pieces_is_written_whole() {
        let spare = Arc::default();
        let mut store = Store::new(&spare);
        let bytes: Vec<u8> = (0..PIECE_BYTES * 5 / 2).map(|at| (at % 251) as u8).collect();
        let (small, large) = (store.push(b"small"), store.push(&bytes));
        assert_eq!((small.clone(), large.end, store.push(b"")), (0..5, store.len(), large.end..large.end));
        let mut written = Vec::new();
        store.write(&large, &mut written).unwrap();
        store.write(&small, &mut written).unwrap();
        assert!(written[..bytes.len()] == bytes && written[bytes.len()..] == *b"small");
    }

    #[test]
    fn pieces_are_used_again_when_nobody_needs_them_any_more() {
        let spare = Arc::default();
        let mut store = Store::new(&spare);
        store.push(b"first");
        let place = store.pieces[0].as_ptr();
        drop(store);
        let mut store = Store::new(&spare);
        assert_eq!(store.push(b"second"), 0..6);
        assert_eq!((store.pieces[0].as_ptr(), store.len()), (place, 6));
    }
}
