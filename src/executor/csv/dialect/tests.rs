use super::*;
use crate::dataset::ColumnType;

fn sniffed(text: &str) -> Dialect {
    sniff(text.as_bytes(), true, "UTF-8", &CsvOptions::default(), &[])
}

fn delimiter_and_header(text: &str) -> (char, bool) {
    let dialect = sniffed(text);
    (dialect.delimiter, dialect.header)
}

#[test]
fn each_usual_delimiter_is_found() {
    for delimiter in DELIMITERS {
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
    assert_eq!(sniffed("id,name\n1,'Smith, Ann'\n2,'Brown, Bob'\n").quote, '\'');
    assert_eq!(sniffed("id,name\n1,O'Brien\n2,'t Hooft\n3,\"x, y\"\n").quote, '"');
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
    assert!(dialect.header);
    assert!(!sniffed("2013,B\n1,2\n").header);
}

#[test]
fn what_the_options_say_is_not_found_out() {
    let options = CsvOptions { delimiter: Some(';'), quote: Some('\''), header: Some(false), ..CsvOptions::default() };
    let dialect = sniff(b"a,b\n1,2\n", true, "UTF-8", &options, &[]);
    assert_eq!((dialect.delimiter, dialect.quote, dialect.header), (';', '\'', false));
}

#[test]
fn a_text_of_carriage_returns_only_is_told_apart() {
    assert_eq!(sniffed("a,b\r1,2\r3,4\r").newline, Newline::Cr);
    assert_eq!(sniffed("a,b\r\n1,2\r\n").newline, Newline::Lf);
}

#[test]
fn options_that_no_splitter_can_follow_are_refused() {
    let with = |delimiter, quote| check(&CsvOptions { delimiter, quote, ..CsvOptions::default() });
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
    assert!(!sniff(b",\nx,y\n", true, "UTF-8", &CsvOptions::default(), &known).header);
}

#[test]
fn the_tables_names_decide_where_the_look_of_the_cells_would_not() {
    let known = ["a", "b"].map(|name| Column { name: name.into(), ty: ColumnType::String });
    let text = "a,b\n\"1\"x,2\n3\n4;5\n6;7\n";
    assert_eq!(sniff(text.as_bytes(), true, "UTF-8", &CsvOptions::default(), &known).delimiter, ',');
    assert_eq!(sniffed(text).delimiter, ';');
}
