use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use ::parquet::{
    basic::{LogicalType, TimeUnit, Type},
    file::{metadata::PageIndexPolicy, metadata::ParquetMetaData, metadata::ParquetMetaDataReader},
};
use arrow::{array::RecordBatch, util::display::array_value_to_string};
use bytes::Bytes;
use proptest::prelude::*;

mod partitions;
mod proofs;
mod through;

use super::*;
use crate::{
    dataset::{ColumnType, CsvOptions},
    executor::tests::{Memory, MemorySink},
};

/// What a conversion did, as the tests look at it.
struct Outcome {
    report: Report,
    /// Cells joined by `|`, null as `∅`.
    rows: Vec<String>,
    rejects: Vec<String>,
    data: Option<Bytes>,
    opened: Vec<&'static str>,
}

/// `a int64, b string` as columns.
fn columns(text: &str) -> Vec<Column> {
    let column = |column: &str| {
        let (name, ty) = column.split_once(' ').unwrap();
        Column { name: name.to_owned(), ty: ty.parse().unwrap() }
    };
    text.split(", ").map(column).collect()
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let cell = |batch: &RecordBatch, column: usize, row: usize| match batch.column(column).is_null(row) {
        true => "∅".to_owned(),
        false => array_value_to_string(batch.column(column), row).unwrap(),
    };
    let line = |batch: &RecordBatch, row| {
        (0..batch.num_columns()).map(|column| cell(batch, column, row)).collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| line(batch, row)).collect::<Vec<_>>()).collect()
}

fn read_back(bytes: &Option<Bytes>) -> Vec<String> {
    bytes.as_ref().map(|bytes| lines(&parquet::rows(bytes.clone(), usize::MAX).unwrap())).unwrap_or_default()
}

fn run_dataset(source: &dyn Source, table: &str, dataset: &Dataset) -> Result<Outcome, Error> {
    run_as(source, table, dataset, None)
}

fn run_as(source: &dyn Source, table: &str, dataset: &Dataset, dialect: Option<Dialect>) -> Result<Outcome, Error> {
    let origin = Origin { uri: "s3://raw/t/1.csv".into(), etag: Some("\"abc\"".into()) };
    run_all(&[Input { source, origin, dialect }], table, dataset, None)
}

fn run_all(
    inputs: &[Input<'_>],
    table: &str,
    dataset: &Dataset,
    transform: Option<Through<'_>>,
) -> Result<Outcome, Error> {
    let mut sink = MemorySink::default();
    let converted = convert(inputs, &Conversion::of(dataset, &columns(table), transform), &mut sink, &Progress::new())?;
    let data = converted.data.into_iter().next().map(|file| Bytes::from(file.output));
    let rejects = converted.rejects.map(Bytes::from);
    let (rows, rejects) = (read_back(&data), read_back(&rejects));
    let Report { read, kept, filtered, rejected, exploded, .. } = converted.report;
    assert_eq!(read, kept + filtered + rejected);
    assert_eq!((rows.len() as u64, rejects.len() as u64), (kept + exploded, rejected));
    Ok(Outcome { report: converted.report, rows, rejects, data, opened: sink.opened })
}

fn run_with(text: impl AsRef<[u8]>, table: &str, csv: CsvOptions) -> Result<Outcome, Error> {
    run_dataset(&Memory::new(text), table, &Dataset { csv, ..Dataset::new("t", "t/") })
}

fn run(text: impl AsRef<[u8]>, table: &str) -> Outcome {
    run_with(text, table, CsvOptions::default()).unwrap()
}

fn fails(text: impl AsRef<[u8]>, table: &str) -> Error {
    match run_with(text, table, CsvOptions::default()) {
        Ok(outcome) => panic!("converted to {:?}", outcome.rows),
        Err(error) => error,
    }
}

#[test]
fn each_type_arrives_with_its_value() {
    let outcome = run(
        "b,i,j,d,n,day,at,s\ntrue,1,2,2.5,12.3,2013-01-01,2013-01-01T05:00:00.5Z,\"a,\"\"b\"\"\"\nFALSE,-1,-2,1e3,-0.01,1969-12-31,2013-01-01,é\n",
        "b boolean, i int32, j int64, d double, n decimal(5,2), day date, at timestamp, s string",
    );
    assert_eq!(
        outcome.rows,
        [
            "true|1|2|2.5|12.30|2013-01-01|2013-01-01T05:00:00.500Z|a,\"b\"",
            "false|-1|-2|1000.0|-0.01|1969-12-31|2013-01-01T00:00:00Z|é",
        ]
    );
    assert_eq!(outcome.opened, ["data"], "no row was rejected, so that output is never opened");
}

fn metadata(bytes: &Bytes) -> ParquetMetaData {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.try_parse(bytes).unwrap();
    reader.finish().unwrap()
}

#[test]
fn the_file_has_types_statistics_and_facts_that_engines_read() {
    let outcome = run("at,n,s\n2013-01-01 05:00:00,1.5,x\nbad,1,y\n", "at timestamp, n decimal(9,2), s string");
    let metadata = metadata(&outcome.data.unwrap());
    let schema = metadata.file_metadata().schema_descr();
    assert_eq!(schema.column(0).physical_type(), Type::INT64);
    let Some(LogicalType::Timestamp(timestamp)) = schema.column(0).logical_type_ref().cloned() else {
        panic!("{:?}", schema.column(0))
    };
    assert!(timestamp.is_adjusted_to_u_t_c && timestamp.unit == TimeUnit::MICROS);
    let Some(LogicalType::Decimal(decimal)) = schema.column(1).logical_type_ref().cloned() else {
        panic!("{:?}", schema.column(1))
    };
    assert_eq!((decimal.precision, decimal.scale), (9, 2));
    assert_eq!(schema.column(2).logical_type_ref(), Some(&LogicalType::String));
    assert!(metadata.row_group(0).column(0).statistics().is_some());
    assert!(metadata.page_index().is_some());
    assert!(metadata.file_metadata().created_by().unwrap().starts_with("lake version"));
    let facts = metadata.file_metadata().key_value_metadata().unwrap();
    let fact = |key: &str| facts.iter().find(|fact| fact.key == key).and_then(|fact| fact.value.clone());
    assert_eq!(fact("lake.source").as_deref(), Some("s3://raw/t/1.csv"));
    assert_eq!(fact("lake.etag").as_deref(), Some("\"abc\""));
    assert_eq!(fact("lake.config_hash"), Some(Dataset::new("t", "t/").config_hash()));
    let counts = ["lake.rows_read", "lake.rows_kept", "lake.rows_rejected"].map(|key| fact(key).unwrap());
    assert_eq!(counts, ["2", "1", "1"]);
    assert_eq!(fact("lake.plugin"), None);
}

#[test]
fn a_quoted_cell_is_text_and_an_unquoted_empty_one_is_null() {
    let outcome = run("s,i\n\"\",\"\"\n,\nNA,NA\n\"NA\",\"NA\"\n", "s string, i int64");
    assert_eq!(outcome.rows, ["|∅", "∅|∅", "∅|∅", "NA|∅"]);
}

#[test]
fn spaces_count_in_text_and_nowhere_else() {
    let outcome = run("s,i,d\n a , 7 , 2013-01-01\n x,  ,\t\n", "s string, i int64, d date");
    assert_eq!(outcome.rows, [" a |7|2013-01-01", " x|∅|∅"]);
}

#[test]
fn columns_are_matched_by_name_whatever_their_order() {
    let outcome = run("B Name,a\nx,1\n", "a int64, b_name string");
    assert_eq!(outcome.rows, ["1|x"]);
}

#[test]
fn a_column_that_the_file_lacks_is_null_and_reported() {
    let outcome = run("a\n1\n", "a int64, added timestamp");
    assert_eq!(outcome.rows, ["1|∅"]);
    assert_eq!(outcome.report.missing_columns, ["added"]);
}

#[test]
fn a_column_that_the_table_lacks_stops_the_file() {
    let error = fails("a,new one,b,other\n1,2,3,4\n", "a int64, b int64");
    let Error::Schema { unknown, .. } = &error else { panic!("{error}") };
    assert_eq!(unknown, &["new_one", "other"]);
    assert!(error.to_string().contains("`new_one`, `other`") && error.is_permanent(), "{error}");
}

#[test]
fn a_row_too_short_or_too_long_is_set_aside_with_its_line_and_text() {
    let outcome = run("a,b\n1,2\n3\n4,5,6\n7,8\n", "a int64, b int64");
    assert_eq!(outcome.rows, ["1|2", "7|8"]);
    assert_eq!(
        outcome.rejects,
        [
            "memory.csv|3|8|∅|too_few_fields|1 fields, but the file has 2 columns|3|false",
            "memory.csv|4|10|∅|too_many_fields|3 fields, but the file has 2 columns|4,5,6|false",
        ]
    );
    assert_eq!(outcome.report.rejects_by_code.values().copied().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_delimiter_at_the_end_of_every_line_is_no_column() {
    let outcome = run("a,b,\n1,2,\n3,4\n5,6,7\n", "a int64, b int64");
    assert_eq!(outcome.rows, ["1|2", "3|4"]);
    assert!(outcome.rejects[0].contains("too_many_fields"));
}

#[test]
fn a_value_that_does_not_fit_takes_its_whole_row_out_and_is_named() {
    let outcome = run("a,b,c\n1,x,2\n1,2,y\n3,4,5\n99999999999999999999,5,no\n", "a int64, b int64, c int64");
    assert_eq!(outcome.rows, ["3|4|5"]);
    assert_eq!(
        outcome.rejects,
        [
            "memory.csv|2|6|b|type_mismatch|`x` does not fit type int64|1,x,2|false",
            "memory.csv|3|12|c|type_mismatch|`y` does not fit type int64|1,2,y|false",
            "memory.csv|5|24|a|type_mismatch|`99999999999999999999` does not fit type int64 (and 1 more in this row)|99999999999999999999,5,no|false",
        ]
    );
}

#[test]
fn a_row_that_is_no_utf8_is_set_aside_and_the_file_goes_on() {
    let outcome = run(b"a,b\nok \xc3\xa9,1\ncaf\xe9,2\nend,3\n", "a string, b int64");
    assert_eq!(outcome.rows, ["ok é|1", "end|3"]);
    assert!(outcome.rejects[0].contains("|3|12|∅|invalid_utf8|"), "{:?}", outcome.rejects);
    assert!(outcome.rejects[0].contains("caf\\xE9,2"));
}

#[test]
fn broken_quotes_and_misfits_are_reported_in_file_order() {
    let outcome = run("a,b\n1,x\n\"2\"z,2\n3\n4,\"5\n6,7\n", "a int64, b int64");
    assert_eq!(outcome.rows, ["6|7"]);
    let codes: Vec<&str> = outcome.rejects.iter().map(|reject| reject.split('|').nth(4).unwrap()).collect();
    assert_eq!(codes, ["type_mismatch", "stray_quote", "too_few_fields", "unterminated_quote"]);
}

#[test]
fn a_file_without_rows_opens_no_output() {
    for text in ["", "\n\n", "a,b\n", "a,b"] {
        let outcome = run(text, "a int64, b int64");
        assert_eq!((outcome.report.read, outcome.opened.len()), (0, 0), "{text:?}");
    }
}

#[test]
fn a_file_of_rejects_alone_opens_no_data_file() {
    let outcome = run("a,b\nx,1\n", "a int64, b int64");
    assert_eq!((outcome.opened, outcome.report.rejected), (vec!["rejects"], 1));
}

#[test]
fn what_is_no_csv_is_told_by_what_it_looks_like() {
    let zeros = [b"a,b\n".as_slice(), &[0; 64]].concat();
    let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    let cases: [(&[u8], &str); 5] = [
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xfd7zXZ\0", "xz"),
        (b"<?xml version=\"1.0\"?><Error/>", "XML"),
        (&zeros, "NUL"),
        (&noise, "csv.encoding"),
    ];
    for (bytes, hint) in cases {
        let error = fails(bytes, "a int64, b int64");
        assert!(matches!(error, Error::NotCsv { .. }) && error.to_string().contains(hint), "{hint}: {error}");
    }
}

#[test]
fn byte_order_marks_and_utf16_are_read() {
    let outcome = run("\u{feff}a,b\n1,é\nx\n", "a int64, b string");
    assert_eq!(outcome.rows, ["1|é"]);
    assert!(outcome.rejects[0].starts_with("memory.csv|3|12|"), "offsets count the mark: {:?}", outcome.rejects);
    for big in [false, true] {
        let to_bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        let bytes: Vec<u8> = "\u{feff}a,b\n1,é€𝄞\n".encode_utf16().flat_map(to_bytes).collect();
        assert_eq!(run(bytes, "a int64, b string").rows, ["1|é€𝄞"]);
    }
}

#[test]
fn another_encoding_is_decoded_when_it_is_named() {
    let with = |label: &str| CsvOptions { encoding: Some(label.to_owned()), ..CsvOptions::default() };
    let outcome = run_with(b"a,b\n1,caf\xe9 \x80\n", "a int64, b string", with("windows-1252")).unwrap();
    assert_eq!(outcome.rows, ["1|café €"]);
    let mut utf16: Vec<u8> = "a,b\n1,x\n2,".encode_utf16().flat_map(u16::to_le_bytes).collect();
    utf16.extend_from_slice(&[0x00, 0xd8, b'\n', 0, b'3', 0, b',', 0, b'z', 0]);
    let outcome = run_with(&utf16, "a int64, b string", with("utf-16le")).unwrap();
    assert_eq!(outcome.rows, ["1|x", "3|z"]);
    assert!(outcome.rejects[0].contains("invalid_utf8"), "a lone surrogate is not replaced silently");
    let error = run_with("a\n1\n", "a int64", with("klingon")).err().unwrap().to_string();
    assert!(error.starts_with("csv.encoding: `klingon`"), "{error}");
}

#[test]
fn without_a_header_columns_go_by_position_when_the_dataset_says_so() {
    let options = CsvOptions { header: Some(false), ..CsvOptions::default() };
    assert_eq!(run_with("1,x\n2,y\n", "a int64, b string", options.clone()).unwrap().rows, ["1|x", "2|y"]);
    assert_eq!(run_with("1\n", "a int64, b string", options.clone()).unwrap().rows, ["1|∅"]);
    assert!(matches!(run_with("1,2,3\n", "a int64, b string", options), Err(Error::Schema { .. })));
    let error = fails("1,x\n2,y\n", "a int64, b string");
    assert!(error.to_string().contains("csv.header = false"), "{error}");
    assert_eq!(run("1,x\n2,y\n", "column_1 int64, column_2 string").rows, ["1|x", "2|y"]);
}

#[test]
fn row_groups_are_closed_by_their_encoded_size() {
    let mut text = "a,b\n".to_owned();
    for row in 0u64..60_000 {
        let noise = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        text.push_str(&format!("{row},{noise:016x}{:016x}\n", noise.rotate_left(29).wrapping_mul(noise)));
    }
    let mut dataset = Dataset::new("t", "t/");
    dataset.parquet.row_group_bytes = 300_000;
    let outcome = run_dataset(&Memory::new(&text), "a int64, b string", &dataset).unwrap();
    assert_eq!(outcome.report.kept, 60_000);
    assert!(outcome.report.row_groups >= 4, "{}", outcome.report.row_groups);
    assert!(outcome.rows[59_999].starts_with("59999|"));
}

#[test]
fn several_files_become_one() {
    let (one, none, two) = (Memory::new("a,b\n1,x\n"), Memory::new(""), Memory::new("b;a\ny;2\nz\n"));
    let inputs = [&one, &none, &two].map(|source| Input { source, origin: Origin::default(), dialect: None });
    let mut sink = MemorySink::default();
    let table = columns("a int64, b string");
    let dataset = Dataset::new("t", "t/");
    let converted = convert(&inputs, &Conversion::of(&dataset, &table, None), &mut sink, &Progress::new()).unwrap();
    assert_eq!(read_back(&converted.data.into_iter().next().map(|file| file.output.into())), ["1|x", "2|y"]);
    assert_eq!((converted.report.read, converted.report.rejected), (3, 1));
}

#[test]
fn a_cancelled_run_stops_and_hands_nothing_back() {
    let (table, dataset, progress) = (columns("a int64"), Dataset::new("t", "t/"), Progress::new());
    progress.cancel();
    let input = Input { source: &Memory::new("a\n1\n"), origin: Origin::default(), dialect: None };
    let conversion = Conversion::of(&dataset, &table, None);
    let result = convert(&[input], &conversion, &mut MemorySink::default(), &progress);
    assert!(matches!(result, Err(Error::Cancelled)));
}

/// Gives a header and a row, then fails.
struct Broken;

impl Source for Broken {
    fn name(&self) -> &str {
        "broken.csv"
    }
    fn len(&self) -> Option<u64> {
        None
    }
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new("a\n1\n").chain(Failing)))
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the line went dead"))
    }
}

#[test]
fn a_source_that_breaks_off_is_an_error_and_not_the_end() {
    let error = run_dataset(&Broken, "a int64", &Dataset::new("t", "t/")).err().unwrap();
    assert!(matches!(&error, Error::Read { name, .. } if name == "broken.csv") && !error.is_permanent(), "{error}");
}

#[test]
fn rows_that_went_missing_would_be_an_error() {
    let dataset = Dataset::new("t", "t/");
    let mut sink = MemorySink::default();
    let table = Table::new(&parquet::schema(&columns("a int64")), &dataset).unwrap();
    let resources = Resources::of(1, 0);
    let run = Run { inputs: &[], dataset: &dataset, columns: &[], guess: None, transform: None, resources };
    let mut run = Outputs::new(run, table, &mut sink);
    run.report = Report { read: 6, kept: 2, filtered: 3, rejected: 1, exploded: 4, ..Report::default() };
    run.report.rejects_by_code.insert("type_mismatch".into(), 1);
    assert!(run.check_conservation(6).is_ok());
    assert!(matches!(run.check_conservation(5), Err(Error::Conservation { written: 5, .. })));
    run.report.filtered = 2;
    let Err(error) = run.check_conservation(6) else { panic!("a row went missing") };
    assert!(matches!(error, Error::Conservation { read: 6, filtered: 2, .. }) && error.is_permanent(), "{error}");
}

#[test]
fn a_transform_without_its_plugin_is_refused() {
    let transform = Transform {
        name: "clean".into(),
        component: "0".repeat(64),
        precompiled: None,
        config: BTreeMap::new(),
        memory_mb: 16,
        call_seconds: 1,
    };
    let dataset = Dataset { transform: Some(transform), ..Dataset::new("t", "t/") };
    let error = run_dataset(&Memory::new("a\n1\n"), "a int64", &dataset).err().unwrap();
    assert!(error.to_string().contains("transform `clean`") && error.is_permanent(), "{error}");
}

#[test]
fn a_report_names_so_many_codes_of_a_plugin_and_each_of_lakes() {
    let mut report = Report::default();
    for code in 0..PLUGIN_CODES_MAX + 5 {
        outputs::count(&mut report, &format!("code_{code:03}"));
    }
    outputs::count(&mut report, "code_007");
    outputs::count(&mut report, "type_mismatch");
    let by_code = &report.rejects_by_code;
    assert_eq!((by_code["code_007"], by_code[OTHER_CODES], by_code["type_mismatch"]), (2, 5, 1));
    assert_eq!((by_code.len(), by_code.values().sum()), (PLUGIN_CODES_MAX + 2, report.rejected));
}

#[test]
fn a_report_reads_back_from_its_json() {
    let report = run("a,b\n1,2\nx,2\n", "a int64, b int64").report;
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert!(json.contains("\"type_mismatch\":1"), "{json}");
}

/// A cell: what it is, and how the CSV spells it.
fn cell(ty: ColumnType) -> BoxedStrategy<(String, String)> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    match ty {
        ColumnType::Int64 => any::<i64>().prop_map(|value| (value.to_string(), value.to_string())).boxed(),
        ColumnType::Boolean => any::<bool>().prop_map(|value| (value.to_string(), format!("\"{value}\""))).boxed(),
        ColumnType::Date => (0i32..9000)
            .prop_map(|day| {
                let epoch = jiff::civil::date(1970, 1, 1);
                let text = epoch.checked_add(jiff::Span::new().days(day)).unwrap().to_string();
                (text.clone(), text)
            })
            .boxed(),
        _ => "[a-zß €,\"\n\r;]{0,12}".prop_map(move |text| (text.clone(), quoted(&text))).boxed(),
    }
}

fn table() -> impl Strategy<Value = Vec<Vec<(String, String)>>> {
    let types = [ColumnType::Int64, ColumnType::String, ColumnType::Boolean, ColumnType::Date];
    let null = || Just(("∅".to_owned(), String::new()));
    let row: Vec<_> = types.into_iter().map(|ty| prop_oneof![5 => cell(ty), 1 => null()]).collect();
    prop::collection::vec(row, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_comes_back_as_it_was_however_it_arrives(table in table(), crlf: bool, step in 1usize..200) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("i,s,b,d{end}");
        for row in &table {
            let cells: Vec<&str> = row.iter().map(|(_, csv)| csv.as_str()).collect();
            text.push_str(&cells.join(","));
            text.push_str(end);
        }
        let expected: Vec<String> = table
            .iter()
            .map(|row| row.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>().join("|"))
            .collect();
        let spec = "i int64, s string, b boolean, d date";
        let csv = CsvOptions { delimiter: Some(','), quote: Some('"'.into()), header: Some(true), ..CsvOptions::default() };
        let dataset = Dataset { csv, ..Dataset::new("t", "t/") };
        let outcome = run_dataset(&Memory::in_steps(&text, step), spec, &dataset).unwrap();
        prop_assert_eq!(outcome.rows, expected);
    }

    #[test]
    fn any_bytes_are_converted_or_refused_and_rows_are_conserved(
        bytes in prop::collection::vec(prop_oneof![8 => prop::sample::select(b"a1,\"\n;\r'.-".to_vec()), 1 => any::<u8>()], 0..300),
    ) {
        // What is asserted lies in `run_dataset`; an error is an answer, a panic is none.
        let _ = run_with(&bytes, "a int64, b string", CsvOptions::default());
        let found = crate::executor::infer(&Memory::new(&bytes), &CsvOptions::default(), false, &Progress::new());
        if let Ok(found) = found {
            let spec: Vec<String> = found.columns.iter().map(|column| format!("{} {}", column.name, column.ty)).collect();
            let dataset = Dataset::new("t", "t/");
            let outcome = run_as(&Memory::new(&bytes), &spec.join(", "), &dataset, Some(found.dialect));
            let outcome = outcome.map_err(|error| TestCaseError::fail(format!("{spec:?}: {error}")))?;
            prop_assert_eq!(outcome.report.read, found.rows);
            prop_assert!(!outcome.report.rejects_by_code.contains_key("type_mismatch"), "{:?}", outcome.rejects);
        }
    }
}
