//! Which spellings mean null.

use crate::dataset::{CsvOptions, DEFAULT_NULLS};

/// The spellings of null of one dataset. Empty text is always one of them.
#[derive(Debug)]
pub(crate) struct Nulls {
    spellings: Vec<Vec<u8>>,
    /// Whether a spelling begins with this byte: most cells are told apart by it alone.
    begins: [bool; 256],
}

impl Nulls {
    pub fn new(options: &CsvOptions) -> Self {
        let spellings: Vec<Vec<u8>> = match &options.nulls {
            Some(nulls) => nulls.iter().map(|spelling| spelling.clone().into_bytes()).collect(),
            None => DEFAULT_NULLS.iter().map(|spelling| spelling.as_bytes().to_vec()).collect(),
        };
        let mut begins = [false; 256];
        for first in spellings.iter().filter_map(|spelling| spelling.first()) {
            begins[usize::from(*first)] = true;
        }
        Nulls { spellings, begins }
    }

    /// Whether the whole text is a spelling of null; case counts.
    pub fn contain(&self, text: &[u8]) -> bool {
        match text.first() {
            None => true,
            Some(&first) => self.begins[usize::from(first)] && self.spellings.iter().any(|spelling| spelling == text),
        }
    }
}
