use super::*;
use crate::dataset::{ColumnType, Mark};

mod files;
mod properties;

fn sniffed(text: &str) -> Dialect {
    sniff(text.as_bytes(), true, "UTF-8", &CsvOptions::default(), &[])
}

fn delimiter_and_header(text: &str) -> (char, bool) {
    let dialect = sniffed(text);
    (dialect.delimiter, dialect.has_header())
}

#[test]
fn each_usual_delimiter_is_found() {
    for delimiter in STRONG_DELIMITERS {
        let text = "id,name,amount\n1,Ann,2.5\n2,Bob,3.5\n".replace(',', &delimiter.to_string());
        assert_eq!(delimiter_and_header(&text), (delimiter, true), "{text:?}");
    }
}

#[test]
fn decimal_commas_and_commas_in_prose_do_not_hide_the_semicolon() {
    assert_eq!(delimiter_and_header("a;b;c\n1,5;2,25;x\n3,5;4,75;y\n"), (';', true));
    assert_eq!(delimiter_and_header("id;text\n1;Hello, world\n2;Well, well, well\n3;No\n"), (';', true));
}

#[test]
fn single_quotes_are_found_only_where_they_quote() {
    assert_eq!(sniffed("id,name\n1,'Smith, Ann'\n2,'Brown, Bob'\n").quote, Some('\''));
    assert_eq!(sniffed("id,name\n1,O'Brien\n2,'t Hooft\n3,\"x, y\"\n").quote, Some('"'));
}

#[test]
fn a_first_record_with_values_is_no_header() {
    assert_eq!(delimiter_and_header("1,Ann,2013-01-01\n2,Bob,2013-01-02\n"), (',', false));
    assert_eq!(delimiter_and_header("a,b\na,c\na,d\n"), (',', false), "half of the cells come again below");
    assert_eq!(delimiter_and_header("x,x\ny,z\n"), (',', false), "a header has no name twice");
}

#[test]
fn text_above_text_is_taken_for_a_header() {
    assert_eq!(delimiter_and_header("name,city\nAnn,Rome\nBob,Oslo\n"), (',', true));
    assert_eq!(delimiter_and_header("name\nAnn\nBob\n"), (',', true));
}

#[test]
fn a_header_that_names_the_tables_columns_is_one_whatever_it_looks_like() {
    let known =
        [Column { name: "2013".into(), ty: ColumnType::Int64 }, Column { name: "b".into(), ty: ColumnType::Int64 }];
    let dialect = sniff(b"2013,B\n1,2\n", true, "UTF-8", &CsvOptions::default(), &known);
    assert!(dialect.has_header());
    assert!(!sniffed("2013,B\n1,2\n").has_header());
}

#[test]
fn what_the_options_say_is_not_found_out() {
    let options = CsvOptions {
        delimiter: Some(';'),
        quote: Some('\''.into()),
        escape: Some('\\'.into()),
        newline: Some(Newline::Cr),
        skip_lines: Some(1),
        header_rows: Some(3),
        comment: Some('%'),
        encoding: Some("utf-8".into()),
        ..CsvOptions::default()
    };
    let dialect = sniff(b"a,b\n1,2\n", true, "UTF-8", &options, &[]);
    assert_eq!((dialect.delimiter, dialect.quote, dialect.escape), (';', Some('\''), Some('\\')));
    assert_eq!((dialect.newline, dialect.skip_lines, dialect.header_rows), (Newline::Cr, 1, 3));
    assert_eq!((dialect.comment, dialect.confidence), (Some('%'), 100));
    assert!(dialect.decided.iter().all(|decision| decision.given && decision.sure == 100));
}

#[test]
fn a_text_of_carriage_returns_only_is_told_apart() {
    assert_eq!(sniffed("a,b\r1,2\r3,4\r").newline, Newline::Cr);
    assert_eq!(sniffed("a,b\r\n1,2\r\n").newline, Newline::Lf);
}

#[test]
fn options_that_no_splitter_can_follow_are_refused() {
    let with = |delimiter, quote: Option<char>| {
        check(&CsvOptions { delimiter, quote: quote.map(Mark::from), ..CsvOptions::default() })
    };
    assert!(with(Some(';'), Some('\'')).is_ok());
    assert!(with(Some('§'), None).is_err());
    assert!(with(Some('\n'), None).is_err());
    let error = with(Some('|'), Some('|')).unwrap_err().to_string();
    assert!(error.starts_with("csv.quote"), "{error}");
}

#[test]
fn text_whose_quotes_never_balance_still_gets_an_answer() {
    let text = "\",x\",y,\"\n".repeat(20_000);
    assert_eq!(sniffed(&text).newline, Newline::Lf);
}

#[test]
fn empty_cells_are_no_names_of_numbered_columns() {
    let known = ["column_1", "column_2"].map(|name| Column { name: name.into(), ty: ColumnType::String });
    assert!(!sniff(b",\nx,y\n", true, "UTF-8", &CsvOptions::default(), &known).has_header());
}

#[test]
fn the_tables_names_decide_where_the_look_of_the_cells_would_not() {
    let known = ["a", "b"].map(|name| Column { name: name.into(), ty: ColumnType::String });
    let text = "a,b\n\"1\"x,2\n3\n4;5\n6;7\n";
    assert_eq!(sniff(text.as_bytes(), true, "UTF-8", &CsvOptions::default(), &known).delimiter, ',');
    assert_eq!(sniffed(text).delimiter, ';');
}

#[test]
fn an_option_that_is_set_leaves_the_others_to_be_found_out() {
    let with = |text: &str, options: CsvOptions| sniff(text.as_bytes(), true, "UTF-8", &options, &[]);
    let text = "title\nid,name\n1,Ann\n2,Bob\n";
    let dialect = with(text, CsvOptions { header: Some(true), ..CsvOptions::default() });
    assert_eq!((dialect.skip_lines, dialect.header_rows), (1, 1));
    let dialect = with(text, CsvOptions { skip_lines: Some(2), header: Some(false), ..CsvOptions::default() });
    assert_eq!((dialect.skip_lines, dialect.header_rows), (2, 0));
    let dialect = with("a;b\n1;2\n", CsvOptions { quote: Some(Mark::NONE), ..CsvOptions::default() });
    assert_eq!((dialect.delimiter, dialect.quote, dialect.escape), (';', None, None));
    let dialect = with("sep=;\na,b\n1,2\n", CsvOptions { skip_lines: Some(0), ..CsvOptions::default() });
    assert_eq!((dialect.delimiter, dialect.skip_lines), (';', 0));
    let dialect = with("sep=;\na,b\n1,2\n", CsvOptions { delimiter: Some(','), ..CsvOptions::default() });
    assert_eq!((dialect.delimiter, dialect.skip_lines, dialect.header_rows), (',', 1, 1));
}

#[test]
fn the_usual_quote_stays_where_there_is_none_in_the_sample() {
    let dialect = sniffed("a,b\n1,x\n2,y\n");
    assert_eq!(dialect.quote, Some('"'));
    let why = dialect.decided.iter().find(|decision| decision.item == Item::Quote).unwrap();
    assert!(!why.given && why.why.contains("none in the sample"), "{why:?}");
}

#[test]
fn every_item_says_how_it_was_settled_and_the_least_sure_is_how_sure_all_is() {
    let dialect = sniffed("Report\n\nid,name\n1,Ann\n2,Bob\n");
    let items: Vec<Item> = dialect.decided.iter().map(|decision| decision.item).collect();
    use Item::{Delimiter, Encoding, Escape, HeaderRows, Newline, Quote, SkipLines};
    assert_eq!(items, [Encoding, Newline, Delimiter, Quote, Escape, SkipLines, HeaderRows]);
    let skip = &dialect.decided[5];
    assert_eq!(
        (dialect.skip_lines, skip.why.as_str()),
        (2, "2 lines above the header are not as the rows of the table are")
    );
    assert_eq!(Some(dialect.confidence), dialect.decided.iter().map(|decision| decision.sure).min());
}

#[test]
fn a_clear_file_is_surer_than_one_that_may_be_read_in_two_ways() {
    let clear = sniffed("id,born\n1,1990-05-01\n2,1985-11-30\n3,1979-02-14\n");
    let unclear = sniffed("a,b;c\nd,e;f\ng,h;i\n");
    assert!(clear.confidence >= 75, "{}", clear.confidence);
    assert!(unclear.confidence <= 65, "{}", unclear.confidence);
}

#[test]
fn reports_from_before_there_were_several_header_rows_are_read() {
    let old = r#"{"delimiter":";","quote":"'","newline":"lf","header":false,"encoding":"UTF-8"}"#;
    let dialect: Dialect = serde_json::from_str(old).unwrap();
    assert_eq!((dialect.delimiter, dialect.quote, dialect.header_rows), (';', Some('\''), 0));
    let new = serde_json::to_string(&dialect).unwrap();
    assert_eq!(serde_json::from_str::<Dialect>(&new).unwrap(), dialect);
    assert!(new.contains("\"header_rows\":0"), "{new}");
}

#[test]
fn what_stands_above_the_table_needs_a_sign_of_it() {
    let layout = |text: &str| {
        let dialect = sniffed(text);
        (dialect.skip_lines, dialect.header_rows)
    };
    assert_eq!(layout("a,b,c\n1,2,3\n1,2,3,4\n5,6,7,8\n9,1,2,3\n"), (0, 1), "narrower rows are rows");
    assert_eq!(layout("a,b\n1,2\n1,2,3,4\n5,6,7,8\n9,1,2,3\n"), (0, 1), "a header and a row are no preamble");
    assert_eq!(layout("name,,\nAnn,1,2\nBob,3,4\n"), (0, 0), "what no header follows is no preamble");
    assert_eq!(layout("#id,name\n1,Ann\n2,Bob\n"), (0, 1), "a header may begin as comments do");
}

#[test]
fn a_table_whose_names_are_known_begins_with_them() {
    let known = ["id", "name"].map(|name| Column { name: name.into(), ty: ColumnType::String });
    let text = "x,y\nz,w\nid,name\n1,Ann\n2,Bob\n";
    let dialect = sniff(text.as_bytes(), true, "UTF-8", &CsvOptions::default(), &known);
    assert_eq!((dialect.skip_lines, dialect.header_rows), (2, 1));
    assert_eq!(sniffed(text).skip_lines, 0);
}

#[test]
fn the_sample_s_last_line_has_no_say_when_it_may_be_cut_off() {
    let dialect = sniff(b"a;b\n1;2\n3;4\n5,6,7,8", false, "UTF-8", &CsvOptions::default(), &[]);
    assert_eq!(dialect.delimiter, ';');
}
