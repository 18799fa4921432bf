//! Which spellings mean null.

use std::sync::Arc;

use crate::dataset::{CsvOptions, DEFAULT_NULLS};

/// The spellings of null in a column. Empty text is always one of them.
#[derive(Debug)]
pub(crate) struct Nulls {
    spellings: Vec<Vec<u8>>,
    /// Whether a spelling begins with this byte: most cells are told apart by it alone.
    begins: [bool; 256],
    /// The same, and for spaces and tabs.
    may_begin: [bool; 256],
}

impl Nulls {
    fn new<'s>(spellings: impl Iterator<Item = &'s str>) -> Arc<Self> {
        let spellings: Vec<Vec<u8>> = spellings.map(|spelling| spelling.as_bytes().to_vec()).collect();
        let mut begins = [false; 256];
        for first in spellings.iter().filter_map(|spelling| spelling.first()) {
            begins[usize::from(*first)] = true;
        }
        let mut may_begin = begins;
        for blank in *b" \t" {
            may_begin[usize::from(blank)] = true;
        }
        Arc::new(Nulls { spellings, begins, may_begin })
    }

    /// Those of columns without their own.
    pub fn common(options: &CsvOptions) -> Arc<Self> {
        match &options.nulls {
            Some(nulls) => Nulls::new(nulls.iter().map(String::as_str)),
            None => Nulls::new(DEFAULT_NULLS.iter().copied()),
        }
    }

    /// Those of each column: its own, else those of the dataset, else the usual ones.
    pub fn of<'n>(options: &CsvOptions, columns: impl Iterator<Item = &'n str>) -> Vec<Arc<Self>> {
        let common = Nulls::common(options);
        let nulls = columns.map(|column| match options.column_nulls.get(column) {
            Some(own) => Nulls::new(own.iter().map(String::as_str)),
            None => Arc::clone(&common),
        });
        nulls.collect()
    }

    /// Whether the whole text is a spelling of null; case counts.
    #[inline]
    pub fn contain(&self, text: &[u8]) -> bool {
        match text.first() {
            None => true,
            Some(&first) => self.begins[usize::from(first)] && self.spellings.iter().any(|spelling| spelling == text),
        }
    }

    /// Whether a cell that begins with this byte may be null; spaces may stand before it.
    #[inline]
    pub fn may_begin_with(&self, first: u8) -> bool {
        self.may_begin[usize::from(first)]
    }
}
