//! What must be so of any table, any dialect, any number of workers, and any source.

use std::sync::Arc;

use super::*;
use crate::{
    dataset::{Mark, Newline, ParquetOptions},
    executor::{MEMORY_BYTES, csv::infer_all, local::FileSink},
};

fn found_out(
    inputs: &[Input<'_>],
    dataset: &Dataset,
    columns: Columns<'_>,
    workers: usize,
) -> Result<Converted<Vec<u8>>, Error> {
    let resources = Resources { workers, ..Resources::of(1, 0) };
    let conversion = Conversion { dataset, columns, transform: None, resources };
    let converted = convert(inputs, &conversion, &mut MemorySink::default(), &Progress::new())?;
    let Report { read, kept, filtered, rejected, .. } = converted.report;
    assert_eq!(read, kept + filtered + rejected);
    Ok(converted)
}

fn input<'a>(source: &'a dyn Source) -> Input<'a> {
    Input { source, origin: Origin::default(), dialect: None }
}

/// How a table is written.
#[derive(Debug, Clone)]
struct Writing {
    delimiter: char,
    quote: char,
    escape: bool,
    newline: Newline,
    end: &'static str,
    header: bool,
    preamble: Vec<String>,
    trailing: bool,
    mark: bool,
    last_end: bool,
}

fn writing() -> impl Strategy<Value = Writing> {
    let delimiter = prop::sample::select(vec![',', ';', '\t', '|', '~', '\x01']);
    let quote = prop::sample::select(vec!['"', '\'']);
    let ends = vec![(Newline::Lf, "\n"), (Newline::Lf, "\r\n"), (Newline::Cr, "\r")];
    let preamble = prop::collection::vec("[a-z \",;']{0,20}", 0..3);
    let flags = any::<[bool; 5]>();
    (delimiter, quote, prop::sample::select(ends), preamble, flags).prop_map(
        |(delimiter, quote, (newline, end), preamble, [escape, header, trailing, mark, last_end])| Writing {
            delimiter,
            quote,
            escape,
            newline,
            end,
            header,
            preamble,
            trailing,
            mark,
            last_end,
        },
    )
}

/// A value: as it comes back, and as text; `None` is null. The flag: it may do without quotes.
type Cell = (Option<(String, String)>, bool);

const TABLE: &[&str] = &["string", "int64", "double", "decimal(12,3)", "date", "timestamp", "boolean"];

fn any_cell(ty: &str) -> BoxedStrategy<Cell> {
    let day = || (-30_000i64..60_000).prop_map(|day| jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day));
    let same = |text: String| (text.clone(), text);
    let value = match ty {
        "string" => {
            prop::string::string_regex("([a-zß€🦀 ,;|~'\"\\\\\t\r\n\x01]|NA|#){0,12}").unwrap().prop_map(same).boxed()
        }
        "int64" => any::<i64>().prop_map(move |value| same(value.to_string())).boxed(),
        "double" => any::<i32>().prop_map(move |value| same(format!("{:?}", f64::from(value) / 8.0))).boxed(),
        "decimal(12,3)" => (-999_999_999_999i64..=999_999_999_999)
            .prop_map(move |value| {
                let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
                same(format!("{sign}{}.{:03}", value / 1000, value % 1000))
            })
            .boxed(),
        "date" => day().prop_map(move |day| same(day.to_string())).boxed(),
        "timestamp" => (day(), 0..24, 0..60, any::<bool>())
            .prop_map(|(day, hour, minute, fraction)| {
                let (long, short) = if fraction { (".123456", ".123456") } else { ("", ".000") };
                let time = format!("{hour:02}:{minute:02}:07");
                (format!("{day}T{time}{long}Z"), format!("{day} {time}{short}"))
            })
            .boxed(),
        _ => any::<bool>().prop_map(move |value| same(value.to_string())).boxed(),
    };
    (prop::option::weighted(0.85, value), any::<bool>()).boxed()
}

fn any_table() -> impl Strategy<Value = Vec<Vec<Cell>>> {
    let row: Vec<_> = TABLE.iter().map(|ty| any_cell(ty)).collect();
    prop::collection::vec(row, 1..12)
}

impl Writing {
    fn cell(&self, (value, plain): &Cell) -> String {
        let Some((_, text)) = value else { return String::new() };
        let special = [self.delimiter, self.quote, '\r', '\n'];
        let is_null = crate::dataset::DEFAULT_NULLS.contains(&text.as_str());
        if *plain && !is_null && !text.contains(special) {
            return text.clone();
        }
        let escape = if self.escape { '\\' } else { self.quote };
        let mut quoted = String::from(self.quote);
        for character in text.chars() {
            if character == self.quote || character == escape {
                quoted.push(escape);
            }
            quoted.push(character);
        }
        quoted.push(self.quote);
        quoted
    }

    fn text(&self, table: &[Vec<Cell>]) -> String {
        let mut lines = self.preamble.clone();
        let line = |cells: Vec<String>| {
            cells.join(&self.delimiter.to_string())
                + &if self.trailing { self.delimiter.to_string() } else { String::new() }
        };
        if self.header {
            lines.push(line((1..=TABLE.len()).map(|place| format!("column_{place}")).collect()));
        }
        lines.extend(table.iter().map(|row| line(row.iter().map(|cell| self.cell(cell)).collect())));
        let (mark, last) = (if self.mark { "\u{feff}" } else { "" }, if self.last_end { self.end } else { "" });
        format!("{mark}{}{last}", lines.join(self.end))
    }

    fn options(&self) -> CsvOptions {
        CsvOptions {
            delimiter: Some(self.delimiter),
            quote: Some(self.quote.into()),
            escape: Some(if self.escape { Mark(Some('\\')) } else { Mark::NONE }),
            newline: Some(self.newline),
            header_rows: Some(u32::from(self.header)),
            skip_lines: Some(self.preamble.len() as u64),
            encoding: Some("utf-8".into()),
            ..CsvOptions::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_table_written_in_any_dialect_comes_back_the_same(table in any_table(), writing in writing()) {
        let spec: Vec<String> =
            TABLE.iter().enumerate().map(|(place, ty)| format!("column_{} {ty}", place + 1)).collect();
        let dataset = Dataset { csv: writing.options(), ..Dataset::new("t", "t/") };
        let text = writing.text(&table);
        let outcome = run_dataset(&Memory::new(&text), &spec.join(", "), &dataset);
        let outcome = outcome.map_err(|error| TestCaseError::fail(format!("{text:?}: {error}")))?;
        let value = |(value, _): &Cell| value.as_ref().map_or("∅".to_owned(), |(value, _)| value.clone());
        let expected: Vec<String> =
            table.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join("|")).collect();
        prop_assert_eq!(outcome.rows, expected, "{:?}, {:?}", text, outcome.rejects);
    }
}

/// Rows of which some do not fit, in many ways.
fn rows_with_faults(rows: usize, seed: usize) -> Vec<u8> {
    let mut text = b"id,word,amount,day\n".to_vec();
    for row in 0..rows {
        let line = match (row * 7919 + seed) % 97 {
            0 => format!("{row},short\n"),
            1 => format!("{row},\"open,1,2013-01-01\n"),
            2 => format!("{row},\"shut\"x,1,2013-01-01\n"),
            3 => format!("{row},word,no number,2013-01-01\n"),
            4 => format!("{row},word,1,2013-02-30\n"),
            5 => format!("{row},a,b,c,d,e\n"),
            6 => "\r\n\n".to_owned(),
            7..20 => format!("{row},\"two\nlines, \"\"{seed}\"\"\",,2013-01-01\r\n"),
            word => format!("{row},word {},{}.25,2013-01-{:02}\n", word % 11, row % 100, 1 + row % 28),
        };
        text.extend(line.bytes());
        if row % 101 == 50 {
            text.extend(b"1,caf\xe9,1,2013-01-01\n");
        }
    }
    text
}

const SPEC: &str = "id int64, word string, amount double, day date";

/// The same bytes come out, whoever does the work and however the text arrives.
fn same_bytes(text: &[u8], row_group_bytes: u64, steps: &[usize]) -> Converted<Vec<u8>> {
    let csv = CsvOptions { delimiter: Some(','), quote: Some('"'.into()), header: Some(true), ..CsvOptions::default() };
    let parquet = ParquetOptions { row_group_bytes, ..ParquetOptions::default() };
    let dataset = Dataset { csv, parquet, ..Dataset::new("t", "t/") };
    let columns = columns(SPEC);
    let run = |source: &Memory, workers| {
        found_out(&[input(source), input(source)], &dataset, Columns::Known(&columns), workers).unwrap()
    };
    let first = run(&Memory::new(text), 1);
    for workers in [2, 5] {
        for &step in steps {
            let other = run(&Memory::in_steps(text, step), workers);
            assert!(other.data == first.data, "{workers} workers, {step} bytes at a time: other data");
            assert!(other.rejects == first.rejects, "{workers} workers, {step} bytes at a time: other rejects");
        }
    }
    first
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_same_bytes_come_out_whoever_does_the_work(
        rows in 1usize..800, seed in 0usize..97, group in 1u64..20_000, step in 1usize..3_000,
    ) {
        same_bytes(&rows_with_faults(rows, seed), group, &[step]);
    }
}

#[test]
fn the_same_bytes_come_out_of_many_blocks_and_row_groups() {
    let converted = same_bytes(&rows_with_faults(60_000, 3), 100_000, &[usize::MAX, 100_003]);
    assert!(converted.report.row_groups > 10, "{} row groups", converted.report.row_groups);
    assert!(converted.report.rejected > 4_000, "{:?}", converted.report.rejects_by_code);
}

/// A table of which the first rows are of one kind, and the last one lies behind all that a guess is made by.
fn late(header: &str, early: &[&str], late: &str) -> Vec<u8> {
    let filler = format!("#{}\n", "-".repeat(64 * 1024));
    let early = early.iter().cycle().take(30).map(|row| format!("{row}\n")).collect::<String>();
    let text = format!("{header}\n{early}{}{late}\n{early}", filler.repeat(GUESS_BYTES as usize / filler.len() + 17));
    text.into_bytes()
}

#[test]
fn a_guess_that_a_late_value_refutes_leaves_no_trace() {
    let cases: &[(&str, &[&str], &str, &str)] = &[
        ("k,v", &["a,1"], "b,2.5", "double"),
        ("k,v", &["a,1"], "b,007", "string"),
        ("k,v", &["a,1"], "b,+4", "string"),
        ("k,v", &["a,1"], "b,x", "string"),
        ("k,v", &["a,1"], "b,99999999999999999999", "string"),
        ("k,v", &["a,9007199254740993"], "b,1.5", "decimal(17,1)"),
        ("k,v", &["a,1"], "b,true", "string"),
        ("k,v", &["a,1.5", "a,NaN"], "b,9007199254740993", "string"),
        ("k,v", &["a,1.5"], "b,9007199254740993", "decimal(17,1)"),
        ("k,v", &["a,1.5"], "b,x", "string"),
        ("k,v", &["a,1.5"], "b,01.5", "string"),
        ("k,v", &["a,12345678901234567.5"], "b,123456789012345678.25", "decimal(20,2)"),
        ("k,v", &["a,2013-01-01"], "b,2013-01-01 10:00:00", "timestamp"),
        ("k,v", &["a,2013-01-01"], "b,2013-02-30", "string"),
        ("k,v", &["a,2013-01-01"], "b,12", "string"),
        ("k,v", &["a,2013-01-01T10:00:00Z"], "b,soon", "string"),
        ("k,v", &["a,true"], "b,maybe", "string"),
        ("k,v", &["a,true"], "b,1", "string"),
        ("k,v", &["a,", "a,NA"], "b,5", "int64"),
        ("k,v", &["a,", "a,NA"], "b,2013-01-01", "date"),
        ("k,v", &["a,", "a,NA"], "b,x", "string"),
        ("k,v", &["a,\"\""], "b,\"5\"", "int64"),
        ("k,v", &["a,\"\""], "b,\" \"", "string"),
        ("k,v", &["a,NaN"], "b,1.5", "double"),
        ("k,v", &["a,1"], "b,\" 2.5 \"", "double"),
        ("k,", &["a,"], "b,5", "int64"),
        ("k,", &["a,", "c"], "b,x", "string"),
        // What refutes nothing.
        ("k,v", &["a,1"], "b,2", "int64"),
        ("k,v", &["a,1"], "b", "int64"),
        ("k,v", &["a,1"], "b,NA", "int64"),
        ("k,v", &["a,x"], "b,1", "string"),
        ("k,v", &["a,"], "b,NULL", "string"),
    ];
    let csv = CsvOptions {
        delimiter: Some(','),
        quote: Some('"'.into()),
        header: Some(true),
        comment: Some('#'),
        ..CsvOptions::default()
    };
    let dataset = Dataset { csv, ..Dataset::new("t", "t/") };
    for (header, early, last, ty) in cases {
        let source = Memory::new(late(header, early, last));
        let found = found_out(&[input(&source)], &dataset, Columns::FoundOut { text: false }, 2).unwrap();
        let all = infer_all(&[&source], &dataset.csv, false, &Progress::new()).unwrap();
        let dialect = all.dialects[0].clone();
        let known = [Input { dialect, ..input(&source) }];
        let known = found_out(&known, &dataset, Columns::Known(&all.columns), 1).unwrap();
        let what = format!("{early:?}, then {last:?}");
        assert_eq!(found.columns, all.columns, "{what}");
        assert_eq!(found.columns[1].ty.to_string(), *ty, "{what}");
        assert_eq!(found.report.read, all.rows, "{what}");
        assert_eq!(found.report.rejects_by_code, known.report.rejects_by_code, "{what}");
        assert!(found.data == known.data && found.rejects == known.rejects, "{what}: other bytes");
    }
}

/// A source without an end. The run is cancelled once so many bytes were taken from it.
struct Endless {
    head: &'static str,
    pattern: &'static str,
    cancel_at: usize,
    progress: Arc<Progress>,
}

impl Source for Endless {
    fn name(&self) -> &str {
        "endless.csv"
    }

    fn len(&self) -> Option<u64> {
        None
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let endless = self.pattern.repeat(64 * 1024 / self.pattern.len());
        let reader = EndlessReader {
            text: io::Cursor::new([self.head, &endless].concat().into_bytes()),
            again: self.head.len() as u64,
            left: self.cancel_at,
            progress: Arc::clone(&self.progress),
        };
        Ok(Box::new(reader))
    }
}

struct EndlessReader {
    text: io::Cursor<Vec<u8>>,
    /// Where it goes on at its end.
    again: u64,
    left: usize,
    progress: Arc<Progress>,
}

impl Read for EndlessReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.text.position() == self.text.get_ref().len() as u64 {
            self.text.set_position(self.again);
        }
        let read = self.text.read(into)?;
        self.left = self.left.saturating_sub(read);
        if self.left == 0 {
            self.progress.cancel();
        }
        Ok(read)
    }
}

#[test]
fn a_run_over_an_endless_source_ends_when_it_is_cancelled_and_leaves_nothing() {
    let sources = [
        ("a,b\n", "1,x\n", 6 << 20),
        ("a,b\n", "1,\"x\ny\"\n", 6 << 20),
        ("a,b\n", "a line without an end ", 40 << 20),
        ("a,b\n1,\"", "quotes that do not close,\n", 40 << 20),
        ("a,b\n", ",", 6 << 20),
        ("a,b\n", "\n", 6 << 20),
        ("a,b\n1,x\n", "\"broken\"x\n", 6 << 20),
        ("", "\n", 2 << 20),
        ("a,b", "b", 2 << 20),
        ("a,\"", "\n", 2 << 20),
    ];
    let columns = columns("a int64, b string");
    let csv = CsvOptions { delimiter: Some(','), quote: Some('"'.into()), header: Some(true), ..CsvOptions::default() };
    let dataset = Dataset { csv, ..Dataset::new("t", "t/") };
    for (head, pattern, cancel_at) in sources {
        for columns in [Columns::Known(&columns), Columns::FoundOut { text: false }] {
            let folder = tempfile::tempdir().unwrap();
            let progress = Arc::new(Progress::new());
            let source = Endless { head, pattern, cancel_at, progress: Arc::clone(&progress) };
            let conversion =
                Conversion { dataset: &dataset, columns, transform: None, resources: Resources::of(2, MEMORY_BYTES) };
            let mut sink = FileSink::new(folder.path().join("a.parquet"), folder.path().join("b.parquet"));
            let error = convert(&[input(&source)], &conversion, &mut sink, &progress).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{head:?} {pattern:?} {columns:?}: {error}");
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{head:?} {pattern:?}");
        }
    }
}

#[test]
fn five_thousand_columns_arrive() {
    const COLUMNS: usize = 5_000;
    let line = |cell: &dyn Fn(usize) -> String| (0..COLUMNS).map(cell).collect::<Vec<_>>().join(",") + "\n";
    let text = line(&|column| format!("c{column}")) + &line(&|column| column.to_string()).repeat(12);
    let source = Memory::new(text);
    let dataset = Dataset::new("t", "t/");
    let converted = found_out(&[input(&source)], &dataset, Columns::FoundOut { text: false }, 2).unwrap();
    assert_eq!((converted.report.kept, converted.columns.len()), (12, COLUMNS));
    assert!(converted.columns.iter().all(|column| column.ty == ColumnType::Int64));
}

#[test]
fn fields_of_ten_megabytes_arrive_and_longer_records_are_set_aside() {
    let long = "\"0123456789,\n".repeat(10 << 20 >> 4).replace('"', "\"\"");
    let text = format!("a,b\n1,\"{long}\"\n2,x\n3,\"{}\"\n4,\"{long}\"\n", "y".repeat(17 << 20));
    let outcome = run(text, "a int64, b string");
    let lengths: Vec<usize> = outcome.rows.iter().map(String::len).collect();
    let length = 2 + long.replace("\"\"", "\"").len();
    assert_eq!(lengths, [length, 3, length]);
    assert_eq!(outcome.report.rejects_by_code, BTreeMap::from([("record_too_large".into(), 1)]));
}
