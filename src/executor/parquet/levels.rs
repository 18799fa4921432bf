//! Definition levels of optional columns: which rows of a page have a value.

use arrow::buffer::NullBuffer;

use super::pack::{Bits, run_of};

/// The levels of the page in the making. Bits are kept from its first null on.
#[derive(Default)]
pub(super) struct Levels {
    rows: usize,
    nulls: usize,
    bits: Bits,
}

impl Levels {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn nulls(&self) -> usize {
        self.nulls
    }

    pub fn memory_bytes(&self) -> usize {
        self.bits.memory_bytes()
    }

    /// Appends rows with these validities; `None`: all have a value.
    pub fn push(&mut self, rows: usize, validity: Option<&NullBuffer>) {
        let nulls = validity.map_or(0, NullBuffer::null_count);
        if nulls > 0 && self.nulls == 0 {
            self.bits.push_ones(self.rows);
        }
        match validity {
            Some(validity) if nulls > 0 => {
                let chunks = validity.inner().bit_chunks();
                chunks.iter().for_each(|word| self.bits.push(word, 64));
                self.bits.push(chunks.remainder_bits(), chunks.remainder_len());
            }
            _ if self.nulls > 0 => self.bits.push_ones(rows),
            _ => {}
        }
        self.rows += rows;
        self.nulls += nulls;
    }

    /// Appends the levels as data pages of version 1 have them, length first, and begins the next page.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.nulls == 0 || self.nulls == self.rows {
            run_of(u32::from(self.nulls == 0), self.rows, 1, out);
        } else {
            self.bits.write_hybrid(out);
        }
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self.bits.clear();
        self.rows = 0;
        self.nulls = 0;
    }
}
