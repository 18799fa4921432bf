//! Cases from bytes: what a fuzzer that is guided by coverage makes and changes.

use super::case::{Case, How};

/// Bytes before the text, which say how it is read.
const HOW_BYTES: usize = 15;
/// Delimiters for a byte that cannot be one.
const DELIMITERS: &[u8] = b",;\t| \x01";
/// A limit of records that no text of a case reaches: bytes.
const RECORD_BYTES: usize = 1 << 20;

impl Case {
    /// The case that these bytes stand for; `None`: there are too few of them. Whatever they are, the options are such
    /// as `dialect::check` accepts. A byte that cannot be the mark that it stands for, or is one already, is no mark.
    pub fn from_bytes(bytes: &[u8]) -> Option<Case> {
        let (how, text) = bytes.split_first_chunk::<HOW_BYTES>()?;
        let &[delimiter, quote, escape, comment, flags, width, record, block, group, step, rows, size, types @ ..] =
            how;
        let is_mark = |mark: u8| mark.is_ascii() && !matches!(mark, b'\n' | b'\r' | b'\0');
        let delimiter = match is_mark(delimiter) {
            true => delimiter,
            false => DELIMITERS[usize::from(delimiter) % DELIMITERS.len()],
        };
        let other = |mark: u8, taken: &[u8]| (is_mark(mark) && !taken.contains(&mark)).then_some(char::from(mark));
        let quote_mark = other(quote, &[delimiter]);
        let escape_mark = other(escape, &[delimiter, quote]).filter(|_| quote_mark.is_some());
        let how = How {
            delimiter: char::from(delimiter),
            quote: quote_mark,
            escape: escape_mark,
            returns: flags & 1 != 0,
            comment: other(comment, &[delimiter, quote, escape]),
            width: 1 + usize::from(width % 8),
            pads: flags & 2 != 0,
            record: if record % 2 == 0 { RECORD_BYTES } else { usize::from(record) },
            block: 1 + usize::from(block),
            group: 1 + u64::from(group),
            step: 1 + usize::from(step % 128),
            rows: 1 + usize::from(rows % 8),
            bytes: 1 + usize::from(size % 128),
            types: u32::from_le_bytes([types[0], types[1], types[2], 0]),
        };
        Some(Case { text: text.to_vec(), how })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{dataset::CsvOptions, executor::csv::dialect};

    #[test]
    fn too_few_bytes_are_no_case_and_what_follows_is_the_text() {
        assert!(Case::from_bytes(&[b','; HOW_BYTES - 1]).is_none());
        let case = Case::from_bytes(b",\"\\#\x03\x01\x05\x06\x13\x02\x01\x09\x39\0\0a,b\n").unwrap();
        let how = How {
            escape: Some('\\'),
            returns: true,
            comment: Some('#'),
            pads: true,
            record: 5,
            types: 0o71,
            ..How::PLAIN
        };
        assert_eq!((case.text.as_slice(), case.how), (b"a,b\n".as_slice(), how));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_the_options_are_such_as_a_user_may_set(bytes: [u8; HOW_BYTES]) {
            let How { delimiter, quote, escape, comment, .. } = Case::from_bytes(&bytes).unwrap().how;
            let options = CsvOptions {
                delimiter: Some(delimiter),
                quote: quote.map(Into::into),
                escape: escape.map(Into::into),
                comment,
                ..CsvOptions::default()
            };
            prop_assert!(dialect::check(&options).is_ok());
        }
    }
}
