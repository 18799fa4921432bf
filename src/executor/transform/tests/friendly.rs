//! What plugins may do.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::Int64Type,
    util::pretty::pretty_format_batches,
};

use super::{
    guests::{Answer, Guest, Values, echo, numbers},
    *,
};
use crate::executor::parquet;

fn input() -> Vec<Column> {
    vec![column("a", ColumnType::String), column("n", ColumnType::Int64), column("z", ColumnType::Int64)]
}

fn batch(numbers: &[i64]) -> RecordBatch {
    let text = numbers.iter().map(|number| format!("row of {number}")).collect::<Vec<_>>();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(text)),
        Arc::new(Int64Array::from(numbers.to_vec())),
        Arc::new(Int64Array::from_iter_values(0..numbers.len() as i64)),
    ];
    RecordBatch::try_new(parquet::schema(&input()), columns).unwrap()
}

fn shown(transformed: &Transformed) -> String {
    pretty_format_batches(transformed.batch.as_slice()).unwrap().to_string()
}

fn names(instance: &Instance) -> Vec<&str> {
    instance.contract().columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn a_plugin_says_who_it_is() {
    let description = compile(&numbers("n")).describe(&Limits::default()).unwrap();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("guest", "1.2.3"));
}

#[test]
fn rows_are_kept_filtered_set_aside_and_multiplied_and_each_is_counted_once() {
    let transformed = transform(&numbers("n"), &input(), &batch(&[5, 0, -3, 2000, 7, -1])).unwrap();
    insta::assert_snapshot!(shown(&transformed), @r"
        +-------------+------+---+
        | a           | n    | z |
        +-------------+------+---+
        | row of 5    | 10   | 0 |
        | row of 2000 | 4000 | 3 |
        | row of 2000 | 4000 | 3 |
        | row of 7    | 14   | 4 |
        +-------------+------+---+
        ");
    assert_eq!((transformed.kept, transformed.filtered), (3, 1));
    let error =
        |row| RowError { row, code: "negative".into(), column: Some("n".into()), message: "it is below zero".into() };
    assert_eq!(transformed.errors, [error(2), error(5)]);
}

#[test]
fn rows_that_go_one_to_one_leave_untouched_columns_as_they_are() {
    let input = input();
    let batch = batch(&[1, 2, 3]);
    let transformed = transform(&echo(&[("n", ColumnType::Int64)]).build(), &input, &batch).unwrap();
    assert_eq!(transformed.batch.as_ref(), Some(&batch));
    assert!(Arc::ptr_eq(transformed.batch.unwrap().column(0), batch.column(0)));
    assert_eq!((transformed.kept, transformed.filtered, transformed.errors.len()), (3, 0, 0));
}

#[test]
fn source_rows_in_order_are_one_to_one() {
    let answer = Answer { rows: 2, source_rows: Some(vec![0, 1]), ..Answer::default() };
    let batch = batch(&[1, 2]);
    let transformed = transform(&Guest::new(&[], &[], &[]).answering(&answer).build(), &input(), &batch).unwrap();
    assert!(Arc::ptr_eq(transformed.batch.unwrap().column(0), batch.column(0)));
}

#[test]
fn rows_may_change_their_order() {
    let answer = Answer { rows: 2, source_rows: Some(vec![1, 0]), ..Answer::default() };
    let guest = Guest::new(&[], &["a", "z"], &[]).answering(&answer).build();
    let transformed = transform(&guest, &input(), &batch(&[1, 2])).unwrap();
    assert_eq!(transformed.batch.unwrap().column(0).as_primitive::<Int64Type>().values(), &[2, 1]);
}

#[test]
fn a_batch_without_a_row_left_is_none() {
    let transformed = transform(&numbers("n"), &input(), &batch(&[0, 0, -1])).unwrap();
    assert!(transformed.batch.is_none());
    assert_eq!((transformed.kept, transformed.filtered, transformed.errors.len()), (0, 2, 1));
}

#[test]
fn a_batch_without_rows_is_not_worth_a_call() {
    let component = Guest::new(&["n"], &[], &[]).transform("(unreachable)").build();
    let transformed = transform(&component, &input(), &batch(&[])).unwrap();
    assert!(transformed.batch.is_none());
}

#[test]
fn of_several_errors_of_a_row_the_first_counts() {
    let answer = Answer {
        source_rows: Some(vec![]),
        errors: vec![
            (1, "late", None, "second row"),
            (0, "early", None, "first row"),
            (1, "later", Some("n"), "again"),
        ],
        ..Answer::default()
    };
    let transformed =
        transform(&Guest::new(&[], &[], &[]).answering(&answer).build(), &input(), &batch(&[1, 2])).unwrap();
    let errors: Vec<_> = transformed.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    assert_eq!(errors, [(0, "early"), (1, "late")]);
}

#[test]
fn messages_of_errors_are_bounded_and_steer_no_terminal() {
    let long: &'static str = "x".repeat(5000).leak();
    let answer = Answer {
        source_rows: Some(vec![]),
        errors: vec![(0, "a", Some("\u{1b}[31mred"), "two\nlines and a bell \u{7}"), (1, "b", None, long)],
        ..Answer::default()
    };
    let transformed =
        transform(&Guest::new(&[], &[], &[]).answering(&answer).build(), &input(), &batch(&[1, 2])).unwrap();
    let [first, second] = transformed.errors.as_slice() else { panic!("two errors") };
    assert_eq!(first.column.as_deref(), Some("\\u{1b}[31mred"));
    assert_eq!(first.message, "two lines and a bell \\u{7}");
    assert_eq!(second.message.len(), 1024 + '…'.len_utf8());
}

#[test]
fn columns_are_replaced_in_place_dropped_and_added_behind() {
    let output = [("extra", ColumnType::String), ("n", ColumnType::Boolean)];
    let answer = Answer {
        rows: 1,
        columns: vec![(None, Values::Text(vec![0, 2], b"hi".to_vec())), (None, Values::Boolean(vec![1]))],
        ..Answer::default()
    };
    let component = Guest::new(&["n"], &["z"], &output).answering(&answer).build();
    let mut instance = open(&component, &input()).unwrap();
    assert_eq!(names(&instance), ["a", "n", "extra"]);
    assert_eq!(instance.contract().columns[1].ty, ColumnType::Boolean);
    assert_eq!(instance.contract().reads, [1]);
    insta::assert_snapshot!(shown(&instance.transform(&batch(&[1])).unwrap()), @r"
        +----------+------+-------+
        | a        | n    | extra |
        +----------+------+-------+
        | row of 1 | true | hi    |
        +----------+------+-------+
        ");
}

#[test]
fn a_column_that_is_read_and_not_given_back_leaves() {
    let component = Guest::new(&["z", "a"], &[], &[("b", ColumnType::Date)]).build();
    let instance = open(&component, &input()).unwrap();
    assert_eq!(names(&instance), ["n", "b"]);
    assert_eq!(instance.contract().reads, [2, 0]);
}

#[test]
fn large_batches_are_given_in_pieces_and_come_back_whole() {
    let values: Vec<i64> = (0..20_000).map(|row| if row % 1000 == 999 { -1 } else { row % 3 }).collect();
    let transformed = transform(&numbers("n"), &input(), &batch(&values)).unwrap();
    let kept: Vec<i64> = values.iter().filter(|value| **value > 0).map(|value| value * 2).collect();
    let batch = transformed.batch.unwrap();
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), kept.as_slice());
    let places = batch.column(2).as_primitive::<Int64Type>();
    assert!(places.values().iter().all(|place| values[*place as usize] > 0), "untouched columns follow their rows");
    assert_eq!(
        transformed.errors.iter().map(|error| error.row).collect::<Vec<_>>(),
        (999..20_000).step_by(1000).collect::<Vec<_>>()
    );
    assert_eq!(transformed.kept + transformed.filtered + 20, 20_000);
}

#[test]
fn fuel_is_the_same_in_every_run_and_grows_with_the_rows() {
    let host = Host::new(Meter::Fuel).unwrap();
    let plugin = Plugin::compile(&host, "clean", &numbers("n")).unwrap();
    let fuel = |rows: i64| {
        let mut instance = plugin.open(&BTreeMap::new(), &input(), &Limits::default(), Deadline::NEVER).unwrap();
        instance.transform(&batch(&(1..=rows).collect::<Vec<_>>())).unwrap();
        instance.fuel()
    };
    assert_eq!(fuel(100), fuel(100));
    assert!(fuel(1000) > 5 * fuel(100));
    assert_eq!(open(&numbers("n"), &input()).unwrap().fuel(), 0);
}

#[test]
fn an_instance_is_used_for_many_batches() {
    let mut instance = open(&numbers("n"), &input()).unwrap();
    for _ in 0..50 {
        assert_eq!(instance.transform(&batch(&(0..1000).collect::<Vec<_>>())).unwrap().kept, 999);
    }
}
