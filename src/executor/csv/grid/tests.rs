use proptest::prelude::*;

use super::*;
use crate::executor::csv::{
    Dialect,
    blocks::{Blocks, Limits},
    split::{self, Splitter},
};

fn dialect() -> Dialect {
    Dialect { header_rows: 0, ..Dialect::default() }
}

const WIDE_ROOM: Room = Room { rows: 1 << 20, bytes: 1 << 30 };

/// All cells, and the field counts of ragged rows.
fn cells(text: &[u8], marks: Marks, width: Width, block: usize, room: Room) -> (Vec<Vec<String>>, Vec<usize>) {
    let limits = Limits { block, group: 1 << 40, record: 1 << 20, rescan: 1 << 40, tail: 100 };
    let mut blocks = Blocks::new(text, marks, (0, 1), limits);
    let (mut rows, mut ragged) = (Vec::new(), Vec::new());
    let mut scratch = Vec::new();
    while let Some(block) = blocks.next().unwrap() {
        let mut grid = Grid::default();
        let mut slabs = Rows::new(&block, marks, width);
        while slabs.next(&mut grid, room) {
            for row in 0..grid.rows() {
                let text = |column| {
                    let field = grid.field(row, column);
                    let text = field.text(&block.bytes, &marks, &mut scratch);
                    format!("{}{}", if field.is_quoted() { "'" } else { "" }, String::from_utf8_lossy(text))
                };
                rows.push((0..width.fields).map(text).collect());
            }
            ragged.extend(grid.ragged().iter().map(|ragged| ragged.fields));
        }
    }
    (rows, ragged)
}

fn by_records(text: &[u8], width: usize) -> (Vec<Vec<String>>, Vec<usize>) {
    let limits = split::Limits { block: 1 << 20, rows: 1 << 20, record: 1 << 20, rescan: 1 << 40 };
    let mut splitter = Splitter::new(text, &dialect(), 0, limits);
    let (mut rows, mut ragged) = (Vec::new(), Vec::new());
    let mut scratch = Vec::new();
    while splitter.advance().unwrap() {
        let batch = splitter.batch();
        for row in batch.rows {
            let count = row.field_count();
            let surplus = count == width + 1 && {
                let last = batch.field(row, width);
                last.is_empty() && !last.quoted
            };
            if count != width && !surplus {
                ragged.push(count);
                continue;
            }
            let cell = |field: &split::Field| {
                let text = field.text(batch.bytes, Quoting::new(&dialect()), &mut scratch);
                format!("{}{}", if field.quoted { "'" } else { "" }, String::from_utf8_lossy(text))
            };
            rows.push(batch.fields(row)[..width].iter().map(cell).collect());
        }
    }
    (rows, ragged)
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a",
        ",",
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "\"",
        "\"x\"",
        "\"\"",
        "\"a,b\"",
        "\"c\nd\"",
        "\"e\"\"f\"",
        ",\"",
        "\",",
        "12345",
        "a longer piece of text that crosses the borders of sixty-four bytes, as many do",
        "\n\n",
        "é",
        "\r",
    ]);
    prop::collection::vec(pieces, 0..200).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn the_grid_has_the_cells_that_are_found_record_by_record(
        text in texts(), width in 1usize..4, block in 1usize..400, rows in 1usize..10, bytes in 1usize..300,
    ) {
        let marks = Marks::from(&dialect());
        let found = cells(&text, marks, Width { fields: width, pads: false }, block, Room { rows, bytes });
        prop_assert_eq!(found, by_records(&text, width));
    }

    #[test]
    fn without_a_quote_in_the_text_it_does_not_matter_whether_there_could_be_one(text in texts(), width in 1usize..4) {
        let text: Vec<u8> = text.into_iter().filter(|&byte| byte != b'"').collect();
        let marks = Marks::from(&dialect());
        let block = |has_quotes| Block {
            bytes: text.clone().into(), line: 1, offset: 0, has_quotes, faults: Vec::new(), ends_group: false, keeps: None,
        };
        let width = Width { fields: width, pads: true };
        let look = |block: &Block| {
            let (mut grid, mut rows, mut seen) = (Grid::default(), Rows::new(block, marks, width), Vec::new());
            while rows.next(&mut grid, WIDE_ROOM) {
                seen.push((grid.rows.clone(), grid.fields[..grid.used].to_vec(), grid.ragged.clone()));
            }
            seen
        };
        prop_assert_eq!(look(&block(true)), look(&block(false)));
    }
}

fn padded(text: &str, pads: bool) -> (Vec<Vec<String>>, Vec<usize>) {
    cells(text.as_bytes(), Marks::from(&dialect()), Width { fields: 3, pads }, 1 << 20, WIDE_ROOM)
}

#[test]
fn rows_of_another_width_are_told_apart_or_padded() {
    let text = "1,2,3\n1,2\n1,2,3,4\n1,2,3,\n1,2,3,,\n";
    let (rows, ragged) = padded(text, false);
    assert_eq!(rows, [["1", "2", "3"], ["1", "2", "3"]]);
    assert_eq!(ragged, [2, 4, 5]);
    let (rows, ragged) = padded(text, true);
    assert_eq!(rows, [["1", "2", "3"], ["1", "2", ""], ["1", "2", "3"]]);
    assert_eq!(ragged, [4, 5]);
}

#[test]
fn an_escape_takes_the_meaning_off_a_quote_and_off_itself() {
    let marks = Marks::from(&Dialect { escape: Some('\\'), ..dialect() });
    let width = Width { fields: 2, pads: false };
    let (rows, ragged) = cells(b"\"a \\\" b\",1\n\"c\\\\\",2\n\\d,3\n", marks, width, 1 << 20, WIDE_ROOM);
    assert_eq!(rows, [["'a \" b", "1"], ["'c\\", "2"], ["\\d", "3"]]);
    assert_eq!(ragged, Vec::<usize>::new());
}

#[test]
fn a_line_of_delimiters_does_not_take_more_memory_than_a_row() {
    let text = ",".repeat(100_000) + "\n";
    let limits = Limits::of_group(1 << 30);
    let block = Blocks::new(text.as_bytes(), Marks::from(&dialect()), (0, 1), limits).next().unwrap().unwrap();
    let mut grid = Grid::default();
    assert!(Rows::new(&block, Marks::from(&dialect()), Width { fields: 3, pads: true }).next(&mut grid, WIDE_ROOM));
    assert_eq!(grid.ragged()[0].fields, 100_001);
    assert!(grid.fields.len() < 2 * SLAB_FIELDS);
}
