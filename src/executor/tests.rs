//! Sources and sinks in memory, for the tests of this room.

use std::io::{self, Cursor, Read};

use super::{Sink, Source};
use crate::dataset::Partition;

/// A file in memory.
pub(super) struct Memory {
    bytes: Vec<u8>,
    /// Bytes that one `read` gives at most.
    step: usize,
}

impl Memory {
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Memory { bytes: bytes.as_ref().to_vec(), step: usize::MAX }
    }

    /// The same, dribbling.
    pub fn in_steps(bytes: impl AsRef<[u8]>, step: usize) -> Self {
        Memory { step, ..Memory::new(bytes) }
    }
}

impl Source for Memory {
    fn name(&self) -> &str {
        "memory.csv"
    }

    fn len(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Steps { bytes: Cursor::new(self.bytes.clone()), step: self.step }))
    }
}

struct Steps {
    bytes: Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Steps {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.step);
        self.bytes.read(&mut into[..length])
    }
}

/// Outputs in memory; it knows which were opened.
#[derive(Default)]
pub(super) struct MemorySink {
    pub opened: Vec<&'static str>,
}

impl Sink for MemorySink {
    type Write = Vec<u8>;
    type Done = Vec<u8>;

    fn data(&mut self, _: &Partition, _: u32) -> io::Result<Vec<u8>> {
        self.opened.push("data");
        Ok(Vec::new())
    }

    fn rejects(&mut self) -> io::Result<Vec<u8>> {
        self.opened.push("rejects");
        Ok(Vec::new())
    }

    fn done(&mut self, write: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(write)
    }
}
