//! Any table of values, written in any dialect of the candidates, is found out.

use proptest::prelude::*;

use super::*;

/// What a column holds. The first column of a table always holds values: nothing else tells names from text.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Integer,
    Decimal,
    Date,
    Text,
}

/// How a table is written.
#[derive(Debug, Clone, Copy)]
struct Written {
    delimiter: char,
    quote: char,
    escape: Option<char>,
    crlf: bool,
    header: bool,
    /// Every field is in quotes, else those that need it.
    all: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let quoting = prop_oneof![Just(('"', None)), Just(('\'', None)), Just(('"', Some(ESCAPE)))];
    (prop::sample::select(STRONG_DELIMITERS.to_vec()), quoting, any::<[bool; 3]>()).prop_map(
        |(delimiter, (quote, escape), [crlf, header, all])| Written { delimiter, quote, escape, crlf, header, all },
    )
}

/// Text with whatever needs quotes in it: `§` stands for the delimiter, `¶` for the quote.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![6 => "[a-z]{2,7}", 1 => Just("§".to_owned()), 1 => Just("¶x¶".to_owned()), 1 => Just("\n".to_owned())];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| format!("t{}", pieces.join(" ")))
}

fn cell(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Integer => (0..100_000_i32).prop_map(|number| number.to_string()).boxed(),
        Kind::Decimal => (0..100_000_i32).prop_map(|number| format!("{}.{}", number / 100, number % 100)).boxed(),
        Kind::Date => {
            (1990..2030, 1..13, 1..29).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}")).boxed()
        }
        Kind::Text => text().boxed(),
    }
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    let values = || prop_oneof![Just(Kind::Integer), Just(Kind::Decimal), Just(Kind::Date)];
    let any =
        prop_oneof![2 => Just(Kind::Text), 1 => Just(Kind::Integer), 1 => Just(Kind::Decimal), 1 => Just(Kind::Date)];
    (values(), prop::collection::vec(any, 1..5)).prop_flat_map(|(first, others)| {
        let row: Vec<BoxedStrategy<String>> = [first].into_iter().chain(others).map(cell).collect();
        prop::collection::vec(row, 3..12)
    })
}

fn write(rows: &[Vec<String>], how: Written) -> String {
    let mut text = String::new();
    let names: Vec<String> =
        (0..rows[0].len()).map(|column| format!("name {}", char::from(b'a' + column as u8))).collect();
    for row in how.header.then_some(&names).into_iter().chain(rows) {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push(how.delimiter);
            }
            let cell = cell.replace('§', &how.delimiter.to_string()).replace('¶', &how.quote.to_string());
            if how.all || cell.contains([how.delimiter, how.quote, '\n']) {
                let escaped: String = [how.escape.unwrap_or(how.quote), how.quote].iter().collect();
                text.push(how.quote);
                text.push_str(&cell.replace(how.quote, &escaped));
                text.push(how.quote);
            } else {
                text.push_str(&cell);
            }
        }
        text.push_str(if how.crlf { "\r\n" } else { "\n" });
    }
    text
}

proptest! {
    #[test]
    fn a_table_with_a_column_of_values_is_found_out_however_it_is_written(rows in table(), how in written()) {
        let text = write(&rows, how);
        let dialect = sniffed(&text);
        prop_assert_eq!(dialect.delimiter, how.delimiter, "{:?}", text);
        prop_assert_eq!((dialect.skip_lines, dialect.has_header()), (0, how.header), "{:?} {:?}", text, dialect.decided);
        // Quotes are found out where there are some, and escapes where quotes are within quotes.
        if text.contains(how.quote) {
            prop_assert_eq!(dialect.quote, Some(how.quote), "{:?}", text);
        }
        if text.contains(&format!("\\{}", how.quote)) {
            prop_assert_eq!(dialect.escape, how.escape, "{:?}", text);
        }
    }

    #[test]
    fn whatever_the_bytes_are_there_is_an_answer_and_it_is_the_same_again(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let once = sniff(&bytes, true, "UTF-8", &CsvOptions::default(), &[]);
        prop_assert_eq!(&once, &sniff(&bytes, true, "UTF-8", &CsvOptions::default(), &[]));
        prop_assert!(once.confidence <= 100 && once.header_rows <= crate::dataset::HEADER_ROWS_MAX);
    }
}
