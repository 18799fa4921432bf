//! A folder of files as they are found, each named after what it shows, and what is found out about it.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::executor::{
    Progress,
    csv::{
        Opened,
        blocks::Limits,
        grid::{Grid, Room, Rows, Width},
    },
    tests::Memory,
};

/// What a file is expected to be.
#[derive(Clone, Copy)]
struct File {
    name: &'static str,
    names: &'static str,
    /// Rows that are read, and lines that are set aside.
    rows: usize,
    faults: usize,
    delimiter: char,
    quote: Option<char>,
    escape: Option<char>,
    newline: Newline,
    skip_lines: u64,
    header_rows: u32,
}

const PLAIN: File = File {
    name: "",
    names: "",
    rows: 0,
    faults: 0,
    delimiter: ',',
    quote: Some('"'),
    escape: None,
    newline: Newline::Lf,
    skip_lines: 0,
    header_rows: 1,
};

#[rustfmt::skip]
const FILES: &[File] = &[
    File { name: "plain", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "semicolon", names: "id name born pay", rows: 3, delimiter: ';', ..PLAIN },
    File { name: "tab", names: "id name born pay", rows: 3, delimiter: '\t', ..PLAIN },
    File { name: "pipe", names: "id name born pay", rows: 3, delimiter: '|', ..PLAIN },
    File { name: "control_a_as_hive_writes", names: "id name born pay", rows: 3, delimiter: '\u{1}', ..PLAIN },
    File { name: "unit_separator", names: "id name born pay", rows: 3, delimiter: '\u{1f}', ..PLAIN },
    File { name: "colon", names: "id name born pay", rows: 3, delimiter: ':', ..PLAIN },
    File { name: "caret", names: "id name born pay", rows: 3, delimiter: '^', ..PLAIN },
    File { name: "space_with_quoted_words", names: "id name born pay", rows: 3, delimiter: ' ', ..PLAIN },
    File { name: "single_quotes", names: "id name pay", rows: 3, quote: Some('\''), ..PLAIN },
    File { name: "apostrophes_are_no_quotes", names: "id name", rows: 3, ..PLAIN },
    File { name: "quotes_everywhere", names: "id name pay", rows: 2, ..PLAIN },
    File { name: "doubled_quotes", names: "id text", rows: 2, ..PLAIN },
    File { name: "backslash_before_quotes", names: "id text", rows: 3, escape: Some('\\'), ..PLAIN },
    File { name: "backslash_at_the_end_of_a_path", names: "id path", rows: 3, ..PLAIN },
    File { name: "quotes_that_mean_nothing", names: "title year", rows: 4, delimiter: '\t', quote: None, ..PLAIN },
    File { name: "one_broken_quote", names: "id name", rows: 3, faults: 1, ..PLAIN },
    File { name: "text_behind_a_quote", names: "id name", rows: 3, faults: 1, ..PLAIN },
    File { name: "broken_quote_in_the_header", names: "id name born", rows: 3, ..PLAIN },
    File { name: "quoted_line_ends", names: "id text", rows: 3, ..PLAIN },
    File { name: "crlf", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "carriage_returns_alone", names: "id name born pay", rows: 3, newline: Newline::Cr, ..PLAIN },
    File { name: "line_feeds_in_fields_carriage_returns_between_records", names: "id text n", rows: 3, newline: Newline::Cr, ..PLAIN },
    File { name: "one_line_ends_otherwise", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "no_last_line_end", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "blank_lines_at_the_end", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "blank_lines_at_the_top", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "blank_lines_between", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "byte_order_mark", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "utf_16_with_a_mark", names: "id name born pay", rows: 3, ..PLAIN },
    File { name: "excel_says_the_separator", names: "id name born pay", rows: 3, delimiter: ';', skip_lines: 1, ..PLAIN },
    File { name: "no_header", names: "column_1 column_2 column_3 column_4", rows: 3, header_rows: 0, ..PLAIN },
    File { name: "no_header_and_one_row", names: "column_1 column_2 column_3", rows: 1, header_rows: 0, ..PLAIN },
    File { name: "header_only", names: "id name born", rows: 0, ..PLAIN },
    File { name: "one_row", names: "id name born", rows: 1, ..PLAIN },
    File { name: "text_only", names: "country capital", rows: 3, ..PLAIN },
    File { name: "years_as_names", names: "country 2018 2019 2020", rows: 3, ..PLAIN },
    File { name: "header_of_two_rows", names: "time_s speed_km_h place_text", rows: 3, header_rows: 2, ..PLAIN },
    File { name: "header_of_merged_cells", names: "id 2019_low 2019_high 2020_low 2020_high", rows: 3, header_rows: 2, ..PLAIN },
    File { name: "header_twice", names: "id name pay", rows: 3, header_rows: 2, ..PLAIN },
    File { name: "header_with_empty_cells", names: "id column_2 pay column_4", rows: 2, ..PLAIN },
    File { name: "title_above", names: "id name born pay", rows: 3, skip_lines: 1, ..PLAIN },
    File { name: "title_and_a_blank_line", names: "id name born pay", rows: 3, skip_lines: 2, ..PLAIN },
    File { name: "title_with_broken_quotes", names: "id name born pay", rows: 3, skip_lines: 2, ..PLAIN },
    File { name: "preamble_of_prose", names: "id name born pay", rows: 3, skip_lines: 3, ..PLAIN },
    File { name: "preamble_of_keys_and_values", names: "id name born pay", rows: 3, skip_lines: 4, ..PLAIN },
    File { name: "preamble_padded_to_the_width", names: "id name born pay", rows: 3, skip_lines: 2, ..PLAIN },
    File { name: "preamble_of_comments", names: "id name born pay", rows: 3, skip_lines: 2, ..PLAIN },
    File { name: "header_behind_a_hash", names: "chrom start end", rows: 2, delimiter: '\t', ..PLAIN },
    File { name: "preamble_without_a_header", names: "column_1 column_2 column_3", rows: 4, skip_lines: 2, header_rows: 0, ..PLAIN },
    File { name: "footer", names: "id name born pay", rows: 5, ..PLAIN },
    File { name: "footer_padded", names: "id name born pay", rows: 4, ..PLAIN },
    File { name: "second_table_below", names: "id name born pay", rows: 6, ..PLAIN },
    File { name: "second_table_of_the_same_width", names: "id name born pay", rows: 5, ..PLAIN },
    File { name: "small_table_above_a_wider_one", names: "place temp hum", rows: 9, ..PLAIN },
    File { name: "rows_too_long_and_too_short", names: "id name born pay", rows: 6, ..PLAIN },
    File { name: "width_changes_after_the_header", names: "a b c", rows: 21, ..PLAIN },
    File { name: "one_row_with_another_delimiter", names: "id name born pay", rows: 5, ..PLAIN },
    File { name: "trailing_delimiters", names: "id name column_3", rows: 2, ..PLAIN },
    File { name: "decimal_commas", names: "id low high", rows: 3, delimiter: ';', ..PLAIN },
    File { name: "commas_in_prose", names: "id text", rows: 3, delimiter: ';', ..PLAIN },
    File { name: "bars_in_text", names: "id expr", rows: 3, ..PLAIN },
    File { name: "json_in_cells", names: "id doc", rows: 2, ..PLAIN },
    File { name: "dates_and_money", names: "date time price", rows: 3, ..PLAIN },
    File { name: "one_column_of_numbers", names: "n", rows: 3, ..PLAIN },
    File { name: "one_column_of_times", names: "at", rows: 4, ..PLAIN },
    File { name: "one_column_of_full_names", names: "who", rows: 3, ..PLAIN },
    File { name: "one_column_of_hosts", names: "host", rows: 4, ..PLAIN },
    File { name: "one_column_of_prose", names: "comment", rows: 4, delimiter: ';', ..PLAIN },
    File { name: "null_words_below_the_header", names: "id name age born", rows: 3, ..PLAIN },
    File { name: "a_word_among_numbers", names: "code name age", rows: 4, ..PLAIN },
    File { name: "commas_with_a_space", names: "id name born", rows: 2, ..PLAIN },
    File { name: "empty", names: "", rows: 0, ..PLAIN },
    File { name: "blank_lines_only", names: "", rows: 0, ..PLAIN },
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/csv"))
}

#[test]
fn each_file_is_read_as_it_is_written_and_none_of_its_rows_is_lost() {
    let mut wrong = Vec::new();
    for file in FILES {
        let bytes = fs::read(folder().join(format!("{}.csv", file.name))).unwrap();
        let source = Memory::new(bytes);
        let progress = Progress::new();
        let limits = Limits::of_group(u64::MAX);
        let opened = match Opened::open(&source, &CsvOptions::default(), None, &[], limits, &progress) {
            Ok(opened) => opened,
            Err(error) => {
                wrong.push(format!("{}: {error}", file.name));
                continue;
            }
        };
        let Some(mut reading) = opened else {
            assert!(file.names.is_empty(), "{} has records", file.name);
            continue;
        };
        let (mut rows, mut faults) = (0, 0);
        let width = Width { fields: reading.names.len(), pads: false };
        let mut grid = Grid::default();
        while let Some(block) = reading.next().unwrap() {
            let mut slabs = Rows::new(&block, reading.marks(), width);
            while slabs.next(&mut grid, Room { rows: usize::MAX, bytes: usize::MAX }) {
                rows += grid.rows() + grid.ragged().len();
            }
            faults += block.faults.len();
        }
        let Dialect { delimiter, quote, escape, newline, skip_lines, header_rows, .. } = reading.dialect;
        let expected = (
            (file.delimiter, file.quote, file.escape, file.newline, file.skip_lines, file.header_rows),
            (file.names.to_owned(), file.rows, file.faults),
        );
        let found =
            ((delimiter, quote, escape, newline, skip_lines, header_rows), (reading.names.join(" "), rows, faults));
        if found != expected {
            wrong.push(format!("{}:\n  found    {found:?}\n  expected {expected:?}", file.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_folder_is_looked_at() {
    let there: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
    assert_eq!(there, expected);
}
