//! Columns of booleans: one bit each (`PLAIN`), which every reader of version 1 pages knows.

use arrow::array::{Array, BooleanArray};
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::pack::{Bits, ones};

/// The values of a column of booleans.
#[derive(Default)]
pub(super) struct Booleans {
    bits: Bits,
    /// Whether the page in the making has (false, true).
    page: (bool, bool),
    all: (bool, bool),
}

/// Least and greatest of the values that were seen.
fn bounds((no, yes): (bool, bool)) -> Option<(bool, bool)> {
    (no || yes).then_some((!no, yes))
}

impl Booleans {
    /// Begins the next chunk.
    pub fn reset(&mut self) {
        self.bits.clear();
        (self.page, self.all) = Default::default();
    }

    pub fn memory_bytes(&self) -> usize {
        self.bits.memory_bytes()
    }

    pub fn pending_bytes(&self) -> usize {
        self.bits.len() / 8
    }

    /// Takes the values in that are not null.
    pub fn push(&mut self, array: &BooleanArray) {
        let values = array.values().bit_chunks();
        let validity = array.nulls().map(|nulls| nulls.inner().bit_chunks());
        match validity {
            None => values.iter().for_each(|word| self.push_word(word, 64)),
            Some(validity) => {
                values.iter().zip(validity.iter()).for_each(|(word, valid)| self.push_valid(word, valid));
                self.push_valid(values.remainder_bits(), validity.remainder_bits());
                return;
            }
        }
        self.push_word(values.remainder_bits(), values.remainder_len());
    }

    fn push_word(&mut self, word: u64, count: usize) {
        self.page.0 |= word != ones(count);
        self.page.1 |= word != 0;
        self.bits.push(word, count);
    }

    fn push_valid(&mut self, word: u64, mut valid: u64) {
        if valid == u64::MAX {
            return self.push_word(word, 64);
        }
        let (mut dense, mut count) = (0, 0);
        while valid != 0 {
            dense |= (word >> valid.trailing_zeros() & 1) << count;
            count += 1;
            valid &= valid - 1;
        }
        self.push_word(dense, count);
    }

    /// Appends the values of the page in the making, and begins the next one.
    pub fn finish_page(&mut self, out: &mut Vec<u8>) -> Option<(bool, bool)> {
        self.bits.write(out);
        self.bits.clear();
        let page = std::mem::take(&mut self.page);
        self.all = (self.all.0 | page.0, self.all.1 | page.1);
        bounds(page)
    }

    pub fn statistics(&self, nulls: u64) -> Statistics {
        let (least, most) = bounds(self.all).unzip();
        ValueStatistics::new(least, most, None, Some(nulls), false).with_backwards_compatible_min_max(true).into()
    }
}
