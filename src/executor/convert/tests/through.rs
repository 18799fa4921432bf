//! Conversions through a guest whose rows say what is to become of them: `tests/guests/by_value.wat`.

use std::sync::LazyLock;

use super::*;
use crate::executor::{
    csv::{BATCH_ROWS_MAX, PLUGIN_CODE_PREFIX},
    local::FileSink,
    transform::{Host, Meter, tests::guests},
};

static BY_VALUE: LazyLock<Plugin> = LazyLock::new(|| {
    let component = guests::component(include_str!("../../../../tests/guests/by_value.wat"));
    Plugin::compile(&Host::new(Meter::Off).unwrap(), "by_value", &component).unwrap()
});

fn by_value() -> Option<Through<'static>> {
    Some(Through { plugin: &BY_VALUE, deadline: Deadline::NEVER })
}

fn dataset() -> Dataset {
    let transform = Transform {
        name: "by_value".into(),
        component: "0123456789abcdef".repeat(4),
        precompiled: None,
        config: BTreeMap::from([("key".into(), "a \"value\"".into())]),
        memory_mb: 16,
        call_seconds: 60,
    };
    Dataset { transform: Some(transform), ..Dataset::new("t", "t/") }
}

fn input(source: &dyn Source) -> Input<'_> {
    Input { source, origin: Origin::default(), dialect: None }
}

fn through(text: impl AsRef<[u8]>, table: &str) -> Result<Outcome, Error> {
    run_all(&[input(&Memory::new(text))], table, &dataset(), by_value())
}

#[test]
fn each_row_is_kept_filtered_or_rejected_and_counted_once() {
    let outcome = through("id,v\na,0\nb,1\nc,2\nd,3\ne,16\n", "id string, v int64").unwrap();
    assert_eq!(outcome.rows, ["a|0", "d|3", "d|3", "e|16"]);
    assert_eq!(outcome.rejects, ["memory.csv|4|13|v|no_twos|this row is a two|c,2|false"]);
    let Report { read, kept, filtered, exploded, rejected, .. } = outcome.report;
    assert_eq!((read, kept, filtered, exploded, rejected), (5, 3, 1, 1, 1));
    assert_eq!(outcome.report.rejects_by_code, BTreeMap::from([("no_twos".into(), 1)]));
}

#[test]
fn the_rows_that_a_plugin_gives_are_sorted() {
    let parquet = ParquetOptions { sort_by: vec!["v".into()], ..Default::default() };
    let dataset = Dataset { parquet, ..dataset() };
    let outcome = run_all(&[input(&Memory::new("id,v\na,24\nb,8\n"))], "id string, v int64", &dataset, by_value());
    assert_eq!(outcome.unwrap().rows, ["b|8", "a|24"]);
}

#[test]
fn the_report_and_the_file_name_the_plugin_and_its_configuration() {
    let outcome = through("id,v\na,3\nb,1\n", "id string, v int64").unwrap();
    assert_eq!(outcome.report.plugin_hash.as_deref(), Some("0123456789abcdef"));
    assert_eq!(outcome.report.config_hash, dataset().config_hash());
    let metadata = metadata(&outcome.data.unwrap());
    let facts = metadata.file_metadata().key_value_metadata().unwrap();
    let fact = |key: &str| facts.iter().find(|fact| fact.key == key).and_then(|fact| fact.value.clone()).unwrap();
    assert_eq!((fact("lake.plugin"), fact("lake.plugin_hash")), ("by_value".into(), "0123456789abcdef".into()));
    assert_eq!(fact("lake.transform_config"), r#"{"key":"a \"value\""}"#);
    let counts = ["read", "kept", "filtered", "rejected", "exploded"].map(|name| fact(&format!("lake.rows_{name}")));
    assert_eq!(counts, ["2", "1", "1", "0", "1"]);
}

#[test]
fn rejects_of_lake_and_of_the_plugin_lie_in_file_order_each_with_its_own_lines_text() {
    let text = "id,v\n\"a\nb\",2\nx,bad\n\"c\r\nd\",0\nshort\n\"e\n\nf\",2\n\"g\"h,2\ni,4\n";
    let outcome = through(text, "id string, v int64").unwrap();
    assert_eq!(outcome.rows, ["c\r\nd|0"]);
    assert_eq!(
        outcome.rejects,
        [
            "memory.csv|2|5|v|no_twos|this row is a two|\"a\nb\",2|false",
            "memory.csv|4|13|v|type_mismatch|`bad` does not fit type int64|x,bad|false",
            "memory.csv|7|28|∅|too_few_fields|1 fields, but the file has 2 columns|short|false",
            "memory.csv|8|34|v|no_twos|this row is a two|\"e\n\nf\",2|false",
            "memory.csv|11|43|∅|stray_quote|text follows a closing quote; a quote inside a quoted field must be doubled|\"g\"h,2|false",
            "memory.csv|12|50|∅|plugin_type_mismatch|this row is a four|i,4|false",
        ]
    );
    let by_code: Vec<&str> = outcome.report.rejects_by_code.keys().map(String::as_str).collect();
    assert!(PLUGIN_CODE_PREFIX == "plugin_" && by_code.contains(&"type_mismatch"), "{by_code:?}");
    assert!(by_code.contains(&"plugin_type_mismatch"), "the two are told apart: {by_code:?}");
}

#[test]
fn a_file_of_which_everything_is_filtered_opens_no_output() {
    let outcome = through("id,v\na,1\nb,9\n", "id string, v int64").unwrap();
    assert_eq!((outcome.report.filtered, outcome.opened.len()), (2, 0));
    for empty in ["", "id,v\n"] {
        assert_eq!(through(empty, "id string, v int64").unwrap().report.read, 0);
    }
}

/// So many rows that there are several batches; the row on `line` has this value.
fn long(line: usize, value: i64) -> String {
    let row = |at: usize| if at == line { format!("r,{value}\n") } else { format!("r,{}\n", at % 8 * 8) };
    std::iter::once("id,v\n".to_owned()).chain((2..3 * BATCH_ROWS_MAX).map(row)).collect()
}

#[test]
fn a_plugin_that_stops_in_the_middle_is_named_with_the_lines_and_leaves_nothing() {
    // The header is on the first line.
    let lines = format!("in lines {} to {}", BATCH_ROWS_MAX + 2, 2 * BATCH_ROWS_MAX + 1);
    for (value, said) in [(-1, "it panicked"), (-2, "this batch must not be")] {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(folder.path().join("data"), folder.path().join("rejects"));
        let source = Memory::new(long(10_000, value));
        let table = columns("id string, v int64");
        let dataset = dataset();
        let conversion = Conversion::of(&dataset, &table, by_value());
        let error = convert(&[input(&source)], &conversion, &mut sink, &Progress::new()).unwrap_err();
        let Error::Plugin { name, source } = &error else { panic!("{error}") };
        let message = source.to_string();
        assert_eq!(name, "memory.csv");
        assert!(message.contains("by_value") && message.contains(&lines) && message.contains(said), "{message}");
        assert!(error.is_permanent(), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    assert_eq!(through(long(10_000, 0), "id string, v int64").unwrap().report.kept as usize, 3 * BATCH_ROWS_MAX - 2);
}

#[test]
fn columns_that_the_plugin_cannot_work_on_are_refused_before_a_row_is_read() {
    let error = through("id\na\n", "id string").err().unwrap();
    assert!(matches!(&error, Error::Plugin { name, .. } if name == "memory.csv") && error.is_permanent(), "{error}");
}

#[test]
fn a_plugin_without_a_transform_is_refused() {
    let source = Memory::new("id,v\na,0\n");
    let error = run_all(&[input(&source)], "id string, v int64", &Dataset::new("t", "t/"), by_value()).err().unwrap();
    assert!(error.to_string().contains("plugin `by_value`") && matches!(error, Error::Transform { .. }), "{error}");
}

#[test]
fn several_files_go_through_an_instance_each_into_one_file() {
    let sources = [Memory::new("id,v\na,3\nb,2\n"), Memory::new(""), Memory::new("v;id\n0;c\n1;d\n2;e\n")];
    let inputs = sources.each_ref().map(|source| input(source));
    let outcome = run_all(&inputs, "id string, v int64", &dataset(), by_value()).unwrap();
    assert_eq!(outcome.rows, ["a|3", "a|3", "c|0"]);
    assert_eq!(outcome.rejects.len(), 2);
    assert!(outcome.rejects[1].starts_with("memory.csv|4|13|v|no_twos|"), "{:?}", outcome.rejects);
    let Report { read, kept, filtered, exploded, rejected, .. } = outcome.report;
    assert_eq!((read, kept, filtered, exploded, rejected), (5, 2, 1, 1, 2));
}

/// A row of the property test: its cell, and what becomes of it.
fn row() -> impl Strategy<Value = (String, Fate)> {
    let fate = |value: i64| match value & 7 {
        1 => Fate::Filtered,
        2 => Fate::Rejected("no_twos"),
        3 => Fate::Twice,
        4 => Fate::Rejected("plugin_type_mismatch"),
        _ => Fate::Kept,
    };
    prop_oneof![
        9 => (0i64..1_000).prop_map(move |value| (value.to_string(), fate(value))),
        1 => Just(("many".to_owned(), Fate::Rejected("type_mismatch"))),
        1 => Just(("1,1,1".to_owned(), Fate::Rejected("too_many_fields"))),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Twice,
    Filtered,
    Rejected(&'static str),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_plugin_does_with_its_rows_none_is_lost_or_counted_twice(
        rows in prop::collection::vec((row(), "[a-z\n,]{0,6}"), 1..60),
        step in 1usize..200,
    ) {
        let mut text = "id,v\n".to_owned();
        let (mut kept, mut rejected) = (Vec::new(), Vec::new());
        for ((cell, fate), id) in &rows {
            match fate {
                Fate::Rejected(code) => {
                    let line = 1 + text.matches('\n').count();
                    rejected.push(format!("{line}|{}|{code}|\"{id}\",{cell}", text.len()));
                }
                Fate::Filtered => {}
                Fate::Kept => kept.push(format!("{id}|{cell}")),
                Fate::Twice => kept.extend([format!("{id}|{cell}"), format!("{id}|{cell}")]),
            }
            text.push_str(&format!("\"{id}\",{cell}\n"));
        }
        let csv = CsvOptions { delimiter: Some(','), quote: Some('"'.into()), header: Some(true), ..CsvOptions::default() };
        let dataset = Dataset { csv, ..dataset() };
        let source = Memory::in_steps(&text, step);
        let outcome = run_all(&[input(&source)], "id string, v int64", &dataset, by_value()).unwrap();
        prop_assert_eq!(outcome.rows, kept);
        // Raw text may hold the separator: only what comes before it is split.
        let seen: Vec<String> = outcome.rejects.iter().map(|reject| {
            let parts: Vec<&str> = reject.splitn(7, '|').collect();
            format!("{}|{}|{}|{}", parts[1], parts[2], parts[4], parts[6].trim_end_matches("|false"))
        }).collect();
        prop_assert_eq!(seen, rejected);
        prop_assert_eq!(outcome.report.read, rows.len() as u64);
        let filtered = rows.iter().filter(|((_, fate), _)| *fate == Fate::Filtered).count() as u64;
        prop_assert_eq!(outcome.report.filtered, filtered);
        let twice = rows.iter().filter(|((_, fate), _)| *fate == Fate::Twice).count() as u64;
        prop_assert_eq!(outcome.report.exploded, twice);
    }
}
