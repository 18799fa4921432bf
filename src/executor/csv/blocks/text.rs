//! Text of blocks, in buffers that are used again: a fresh megabyte costs the kernel more time than reading into it.

use std::{
    io::{self, Read},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Buffers that wait to be used again, at most: as many as are usually under way.
const SPARES_MAX: usize = 64;

/// Buffers of one size that nobody uses.
#[derive(Debug)]
pub(super) struct Shelf {
    size: usize,
    spares: Mutex<Vec<Vec<u8>>>,
}

impl Shelf {
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Shelf { size, spares: Mutex::default() })
    }

    fn take(&self) -> Vec<u8> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, buffer: Vec<u8>) {
        if buffer.len() == self.size {
            let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
            if spares.len() < SPARES_MAX {
                spares.push(buffer);
            }
        }
    }
}

/// Text that is read once and then only looked at. When it is dropped, its buffer goes back to the shelf.
#[derive(Debug, Default)]
pub(crate) struct BlockText {
    /// The text, and behind it whatever the buffer held before.
    buffer: Vec<u8>,
    len: usize,
    shelf: Option<Arc<Shelf>>,
}

impl BlockText {
    /// No text, with room for as much as the shelf's buffers have, and for `bytes` at least.
    pub(super) fn new(shelf: &Arc<Shelf>, bytes: usize) -> Self {
        let mut buffer = shelf.take();
        let room = bytes.max(shelf.size);
        match buffer.is_empty() {
            true => buffer = vec![0; room],
            false if buffer.len() < room => buffer.resize(room, 0),
            false => {}
        }
        BlockText { buffer, len: 0, shelf: Some(Arc::clone(shelf)) }
    }

    /// Memory that it takes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Reads until there are so many bytes; whether the end came first.
    pub(super) fn fill(&mut self, reader: &mut impl Read, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
        while self.len < bytes {
            match reader.read(&mut self.buffer[self.len..bytes]) {
                Ok(0) => return Ok(true),
                Ok(read) => self.len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Appends text, for which there is room.
    pub(super) fn append(&mut self, text: &[u8]) {
        self.buffer[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// Drops the first so many bytes.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.len, 0);
        self.len -= bytes;
    }

    /// Keeps the first so many bytes.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.len = self.len.min(bytes);
    }
}

impl Deref for BlockText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for BlockText {
    fn drop(&mut self) {
        if let Some(shelf) = &self.shelf {
            shelf.put(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
impl From<Vec<u8>> for BlockText {
    fn from(buffer: Vec<u8>) -> Self {
        BlockText { len: buffer.len(), buffer, shelf: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_shows_nothing_of_what_was_in_it() {
        let shelf = Shelf::new(8);
        let mut text = BlockText::new(&shelf, 0);
        assert!(!text.fill(&mut &b"before it"[..], 8).unwrap());
        let place = text.as_ptr();
        drop(text);
        let mut text = BlockText::new(&shelf, 3);
        assert_eq!((&*text, text.as_ptr()), (&b""[..], place));
        text.append(b"now");
        assert!(text.fill(&mut &b"!"[..], 8).unwrap(), "the end came first");
        assert_eq!(*text, *b"now!");
        text.drop_front(2);
        text.truncate(1);
        assert_eq!(*text, *b"w");
    }

    #[test]
    fn buffers_of_another_size_are_not_kept() {
        let shelf = Shelf::new(4);
        drop(BlockText::new(&shelf, 5));
        let mut text = BlockText::new(&shelf, 0);
        text.fill(&mut &b"longer"[..], 6).unwrap();
        assert_eq!(*text, *b"longer");
        drop(text);
        assert_eq!(shelf.take().len(), 0);
    }
}
