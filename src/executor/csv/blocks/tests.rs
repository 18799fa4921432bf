use proptest::prelude::*;

use super::*;
use crate::executor::csv::{
    Dialect,
    split::{self, Splitter},
};

fn dialect() -> Dialect {
    Dialect { header_rows: 0, ..Dialect::default() }
}

fn limits(block: usize, group: u64) -> Limits {
    Limits { block, group, record: 64, rescan: 1 << 40, tail: 8 }
}

fn blocks(text: &[u8], limits: Limits) -> Vec<Block> {
    let mut blocks = Blocks::new(text, Marks::from(&dialect()), (0, 1), limits);
    std::iter::from_fn(|| blocks.next().unwrap()).collect()
}

/// Line, offset and code.
type Broken = (u64, u64, Code);
/// Line, offset and text.
type Whole = (u64, u64, Vec<u8>);

/// Faults and whole records by the splitter that reads record by record.
fn by_records(text: &[u8]) -> (Vec<Broken>, Vec<Whole>) {
    let limits = split::Limits { block: 1 << 20, rows: 1 << 20, record: 64, rescan: 1 << 40 };
    let mut splitter = Splitter::new(text, &dialect(), 0, limits);
    let (mut faults, mut rows) = (Vec::new(), Vec::new());
    while splitter.advance().unwrap() {
        let batch = splitter.batch();
        faults.extend(batch.faults.iter().map(|fault| (fault.line, fault.offset, fault.code)));
        rows.extend(batch.rows.iter().map(|row| (row.line, row.offset, batch.raw(row).to_vec())));
    }
    (faults, rows)
}

/// Text of bytes that matter, with long records and broken quotes.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a",
        ",",
        "\n",
        "\r\n",
        "\"",
        "\"x\"",
        "\"\"",
        ",\"",
        "\",",
        " ",
        "long text without an end ",
        "\n\n",
        "é",
    ]);
    prop::collection::vec(pieces, 0..120).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn blocks_hold_the_records_and_faults_that_are_found_record_by_record(
        text in texts(), block in 1usize..200, group in 1u64..300,
    ) {
        let blocks = blocks(&text, limits(block, group));
        let (faults, rows) = by_records(&text);
        let found: Vec<_> = blocks.iter().flat_map(|block| &block.faults).collect();
        let placed: Vec<_> = found.iter().map(|fault| (fault.line, fault.offset, fault.code)).collect();
        prop_assert_eq!(placed, faults);
        let mut seen = Vec::new();
        for block in &blocks {
            let mut from = 0;
            for fault in block.faults.iter().map(Some).chain([None]) {
                let to = fault.map_or(block.bytes.len(), |fault| fault.range.start);
                let (broken, rows) = by_records(&block.bytes[from..to]);
                prop_assert_eq!(broken, Vec::new());
                seen.extend(rows.into_iter().map(|(_, offset, raw)| (block.offset + from as u64 + offset, raw)));
                from = fault.map_or(to, |fault| fault.range.end);
            }
        }
        let expected: Vec<_> = rows.into_iter().map(|(_, offset, raw)| (offset, raw)).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn groups_end_at_the_same_places_whatever_the_size_of_blocks(text in texts(), group in 1u64..300) {
        let ends = |block| -> Vec<u64> {
            let blocks = blocks(&text, limits(block, group));
            let ends = blocks.iter().filter(|block| block.ends_group);
            ends.map(|block| block.offset + block.bytes.len() as u64).collect()
        };
        let expected = ends(1 << 20);
        for block in [1, 7, 33, 100] {
            prop_assert_eq!(ends(block), expected.clone(), "blocks of {} bytes", block);
        }
    }

    #[test]
    fn lines_are_counted_through_blocks(text in texts(), block in 1usize..100) {
        for block in blocks(&text, limits(block, 50)) {
            let before = &text[..block.offset as usize];
            prop_assert_eq!(block.line, 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64);
        }
    }
}

#[test]
fn a_quote_that_never_closes_costs_its_line() {
    let blocks = blocks(b"a,\"open\nb,c\nd,e\n", Limits::of_group(1000));
    assert_eq!(blocks.len(), 1);
    let fault = &blocks[0].faults[0];
    assert_eq!((fault.line, fault.code, fault.raw.as_slice()), (1, Code::UnterminatedQuote, b"a,\"open".as_slice()));
    assert_eq!(blocks[0].bytes[fault.range.end..], *b"b,c\nd,e\n");
}

#[test]
fn an_escaped_quote_does_not_close() {
    let marks = Marks::from(&Dialect { escape: Some('\\'), ..dialect() });
    let text = b"\"a \\\" b\",1\n\"c\\\\\",2\n".as_slice();
    let mut blocks = Blocks::new(text, marks, (0, 1), Limits::of_group(1000));
    let block = blocks.next().unwrap().unwrap();
    assert_eq!((block.bytes.len(), block.faults.len()), (text.len(), 0));
}

#[test]
fn without_quotes_in_the_dialect_a_quote_is_a_character() {
    let marks = Marks { quote: None, ..Marks::from(&dialect()) };
    let text = b"\"a,1\nb\",2\n".as_slice();
    let block = Blocks::new(text, marks, (0, 1), Limits::of_group(1)).next().unwrap().unwrap();
    assert_eq!(*block.bytes, *b"\"a,1\n");
    assert!(block.ends_group && !block.has_quotes);
}
