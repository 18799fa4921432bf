use proptest::prelude::*;

use super::*;
use crate::executor::csv::Newline;

fn dialect() -> Dialect {
    Dialect { header_rows: 0, ..Dialect::default() }
}

/// A record as the tests see it: line, offset, fields.
type Record = (u64, u64, Vec<String>);

struct Split {
    records: Vec<Record>,
    faults: Vec<Fault>,
    /// Offset and bytes of each record's and each fault's text.
    pieces: Vec<(u64, Vec<u8>)>,
}

fn split_with(text: &[u8], limits: Limits, dialect: &Dialect) -> Result<Split, SplitError> {
    let mut splitter = Splitter::new(text, dialect, 0, limits);
    let mut split = Split { records: Vec::new(), faults: Vec::new(), pieces: Vec::new() };
    let mut scratch = Vec::new();
    while splitter.advance()? {
        let batch = splitter.batch();
        assert!(batch.rows.len() <= limits.rows);
        for row in batch.rows {
            let cell = |field: &Field| {
                let text = field.text(batch.bytes, Quoting::new(dialect), &mut scratch);
                String::from_utf8_lossy(text).into_owned()
            };
            split.records.push((row.line, row.offset, batch.fields(row).iter().map(cell).collect()));
            split.pieces.push((row.offset, batch.raw(row).to_vec()));
        }
        split.faults.extend_from_slice(batch.faults);
    }
    split.pieces.extend(split.faults.iter().map(|fault| (fault.offset, fault.raw.clone())));
    split.pieces.sort();
    Ok(split)
}

fn split(text: &str) -> Split {
    split_with(text.as_bytes(), Limits::default(), &dialect()).unwrap()
}

fn fields(text: &str) -> Vec<Vec<String>> {
    split(text).records.into_iter().map(|(_, _, fields)| fields).collect()
}

fn faults(text: &str) -> Vec<(u64, &'static str, String)> {
    let faults = split(text).faults.into_iter();
    faults.map(|fault| (fault.line, fault.code.as_str(), String::from_utf8(fault.raw).unwrap())).collect()
}

#[test]
fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
    assert_eq!(fields("a,\"b,c\"\n\"x\ny\",\"say \"\"hi\"\"\"\n"), [["a", "b,c"], ["x\ny", "say \"hi\""]]);
}

#[test]
fn crlf_lf_and_a_missing_last_line_end_are_all_fine() {
    assert_eq!(fields("a,b\r\nc,\"d\"\r\ne,f"), [["a", "b"], ["c", "d"], ["e", "f"]]);
    assert_eq!(fields("a,b\nc,"), [["a", "b"], ["c", ""]]);
}

#[test]
fn blank_lines_are_no_records_but_lines_nonetheless() {
    let split = split("a,b\n\n\r\nc,d\n\n");
    assert_eq!(split.records.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn a_quoted_empty_field_alone_on_a_line_is_a_record() {
    assert_eq!(fields("\"\"\n\nx\n"), [[""], ["x"]]);
}

#[test]
fn a_record_knows_its_line_and_offset_after_quoted_line_ends() {
    let split = split("h\n\"1\n2\n3\"\nx\n");
    assert_eq!(split.records[1].0, 2);
    assert_eq!((split.records[2].0, split.records[2].1), (5, 10));
}

#[test]
fn a_quote_inside_an_unquoted_field_is_an_ordinary_character() {
    assert_eq!(fields("5\" screen,it\"s\n"), [["5\" screen", "it\"s"]]);
}

#[test]
fn spaces_after_a_closing_quote_do_not_count() {
    assert_eq!(fields("\"a\" ,b\n\"c\"  \r\n"), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn a_quote_that_never_closes_costs_its_line_and_not_the_rest() {
    let text = "a,b\n1,\"open\n2,x\n3,y";
    assert_eq!(fields(text), [["a", "b"], ["2", "x"], ["3", "y"]]);
    assert_eq!(faults(text), [(2, "unterminated_quote", "1,\"open".to_owned())]);
    assert_eq!(faults("1,2\n3,\"4"), [(2, "unterminated_quote", "3,\"4".to_owned())]);
}

#[test]
fn text_after_a_closing_quote_costs_its_line_and_not_the_rest() {
    let text = "1,\"a\"b\n2,\"x\ny\"z\n3,c\n";
    assert_eq!(fields(text), [vec!["y\"z"], vec!["3", "c"]]);
    assert_eq!(faults(text), [(1, "stray_quote", "1,\"a\"b".to_owned()), (2, "stray_quote", "2,\"x".to_owned())]);
}

#[test]
fn a_record_longer_than_the_limit_is_set_aside_up_to_its_line_end() {
    let limits = Limits { record: 10, block: 4, ..Limits::default() };
    let split = split_with(b"a,b\n0123456789x,1\nc,d\n", limits, &dialect()).unwrap();
    assert_eq!(split.records.len(), 2);
    assert_eq!(split.faults[0].code, Code::RecordTooLarge);
    assert_eq!((split.faults[0].line, split.faults[0].raw.as_slice()), (2, &b"0123456789"[..]));
    assert!(split.faults[0].truncated);
    assert_eq!(split.records[1].0, 3);
}

#[test]
fn a_quoted_field_that_outgrows_the_limit_gives_its_lines_back() {
    let limits = Limits { record: 10, block: 4, ..Limits::default() };
    let split = split_with(b"1,\"a\n2,b\n3,c\n4,d\n5,e\n", limits, &dialect()).unwrap();
    assert_eq!(split.faults.len(), 1);
    assert_eq!(split.faults[0].code, Code::UnterminatedQuote);
    assert_eq!(split.records.len(), 4);
}

#[test]
fn quotes_that_never_balance_are_given_up_instead_of_read_again_and_again() {
    let text = "\",x\",y,\"\n".repeat(4000);
    let limits = Limits { record: 4096, rescan: 64 * 1024, ..Limits::default() };
    assert!(matches!(split_with(text.as_bytes(), limits, &dialect()), Err(SplitError::Quotes { .. })));
}

#[test]
fn a_file_of_carriage_returns_alone_has_lines_too() {
    let dialect = Dialect { newline: Newline::Cr, ..dialect() };
    let split = split_with(b"a,b\rc,\"d\re\"\r\rf,g", Limits::default(), &dialect).unwrap();
    assert_eq!(split.records.len(), 3);
    assert_eq!(split.records[1].2, ["c", "d\re"]);
    assert_eq!(split.records[2].0, 5);
}

#[test]
fn a_line_of_delimiters_takes_no_more_memory_than_a_record_may() {
    let text = format!("a,b\n{}\nc,d\n", ",".repeat(RECORD_FIELDS_MAX));
    assert_eq!(fields(&text), [["a", "b"], ["c", "d"]]);
    assert_eq!((faults(&text)[0].0, faults(&text)[0].1), (2, "too_many_fields"));
    assert_eq!(fields(&",".repeat(RECORD_FIELDS_MAX - 1))[0].len(), RECORD_FIELDS_MAX);
}

#[test]
fn a_long_rejected_line_is_kept_up_to_the_limit_and_flagged() {
    let text = format!("\"{}", "x".repeat(RAW_BYTES_MAX + 10));
    let fault = &split(&text).faults[0];
    assert_eq!(fault.raw.len(), RAW_BYTES_MAX);
    assert!(fault.truncated);
}

fn fields_in(text: &str, dialect: &Dialect) -> Vec<Vec<String>> {
    let split = split_with(text.as_bytes(), Limits::default(), dialect).unwrap();
    assert!(split.faults.is_empty(), "{:?}", split.faults);
    split.records.into_iter().map(|(_, _, fields)| fields).collect()
}

fn escaping() -> Dialect {
    Dialect { escape: Some('\\'), ..dialect() }
}

#[test]
fn an_escape_stands_before_a_quote_or_itself_and_is_a_character_elsewhere() {
    let text = "\"say \\\"hi\\\"\",\"a\\\\b\"\n\"C:\\dir\",x\\y\n";
    assert_eq!(fields_in(text, &escaping()), [["say \"hi\"", "a\\b"], ["C:\\dir", "x\\y"]]);
}

#[test]
fn where_there_is_an_escape_a_doubled_quote_closes_and_is_text_behind_it() {
    let split = split_with(b"\"a\"\"b\",1\nc,2\n", Limits::default(), &escaping()).unwrap();
    assert_eq!((split.faults[0].code, split.records.len()), (Code::StrayQuote, 1));
}

#[test]
fn an_escape_at_the_end_of_the_text_escapes_nothing() {
    let split = split_with(b"1,\"a\\", Limits::default(), &escaping()).unwrap();
    assert_eq!(split.faults[0].code, Code::UnterminatedQuote);
}

#[test]
fn without_a_quote_character_quotes_are_ordinary() {
    let plain = Dialect { quote: None, ..dialect() };
    assert_eq!(fields_in("\"a,b\"\n\"\",x\"y\n", &plain), [["\"a", "b\""], ["\"\"", "x\"y"]]);
}

#[test]
fn a_record_that_begins_with_the_comment_character_is_blank() {
    let comments = Dialect { comment: Some('#'), ..dialect() };
    let split = split_with(b"#x,\"y\na,b\n\"#c\n#d\",e\n#", Limits::default(), &comments).unwrap();
    assert_eq!(split.records.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(split.records[1].2, ["#c\n#d", "e"]);
    assert!(split.faults.is_empty());
}

/// Text in which everything that can go wrong does, often.
fn wild_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        3 => Just("a"), 1 => Just("bc "), 3 => Just(","), 3 => Just("\""), 1 => Just("\"\""), 1 => Just(",\""),
        1 => Just("\","), 2 => Just("\n"), 1 => Just("\r\n"), 1 => Just("é"), 1 => Just("\r"),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn what_the_csv_crate_writes_is_read_as_it_was(
        table in prop::collection::vec(prop::collection::vec("[a-c,\"\n\r é]{0,6}", 2..5), 0..12),
        crlf: bool,
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().flexible(true).terminator(terminator).from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(fields(&text), table);
        prop_assert!(faults(&text).is_empty());
    }

    #[test]
    fn what_the_csv_crate_writes_with_escapes_is_read_as_it_was(
        table in prop::collection::vec(prop::collection::vec("[a-c,\"\n\r\\\\ é]{0,6}", 2..5), 0..12),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .flexible(true)
            .double_quote(false)
            .escape(b'\\')
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(Vec::new());
        for row in &table {
            // The crate's writer leaves escapes as they are; its reader, as ours, takes one before an escape.
            writer.write_record(row.iter().map(|cell| cell.replace('\\', "\\\\"))).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let fields = fields_in(&text, &escaping());
        prop_assert_eq!(&fields, &table);
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .double_quote(false)
            .escape(Some(b'\\'))
            .from_reader(text.as_bytes());
        let theirs: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(fields, theirs);
    }

    #[test]
    fn how_the_text_arrives_makes_no_difference(
        text in wild_text(), block in 1usize..40, record in 4usize..40, escapes: bool, comments: bool,
    ) {
        let limits = Limits { record, ..Limits::default() };
        let dialect = Dialect { escape: escapes.then_some('b'), comment: comments.then_some('a'), ..dialect() };
        let whole = split_with(text.as_bytes(), limits, &dialect).unwrap();
        let parts = split_with(text.as_bytes(), Limits { block, rows: 3, ..limits }, &dialect).unwrap();
        prop_assert_eq!(whole.records, parts.records);
        prop_assert_eq!(whole.faults, parts.faults);
    }

    #[test]
    fn no_byte_vanishes_but_line_ends(text in wild_text()) {
        let mut at = 0;
        for (offset, piece) in split(&text).pieces {
            let offset = offset as usize;
            prop_assert!(offset >= at);
            prop_assert!(text.as_bytes()[at..offset].iter().all(|byte| b"\r\n".contains(byte)));
            prop_assert_eq!(&text.as_bytes()[offset..offset + piece.len()], piece.as_slice());
            at = offset + piece.len();
        }
        prop_assert!(text.as_bytes()[at..].iter().all(|byte| b"\r\n".contains(byte)));
    }
}
