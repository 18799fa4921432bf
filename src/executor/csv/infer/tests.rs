use super::*;
use crate::{dataset::ColumnType, executor::tests::Memory};

fn infer_with(text: &str, options: &CsvOptions) -> Result<Inference, Error> {
    infer(&Memory::new(text), options, false, &Progress::new())
}

/// `name type` for each column.
fn types(text: &str) -> Vec<String> {
    let inference = infer_with(text, &CsvOptions::default()).unwrap();
    inference.columns.iter().map(|column| format!("{} {}", column.name, column.ty)).collect()
}

#[test]
fn each_type_is_found_out() {
    let text =
        "i,d,b,day,at,s\n1,2.5,true,2013-01-01,2013-01-01T05:00:00Z,x\n-2,3,FALSE,2014-12-31,2013-01-01 06:00:00,1\n";
    assert_eq!(types(text), ["i int64", "d double", "b boolean", "day date", "at timestamp", "s string"]);
}

#[test]
fn one_value_at_the_end_makes_a_column_wider() {
    let mut text = "a,b,c\n".to_owned();
    text.push_str(&"1,2013-01-01,1\n".repeat(50_000));
    text.push_str("1.5,2013-01-01 10:00:00,x\n");
    assert_eq!(types(&text), ["a double", "b timestamp", "c string"]);
}

#[test]
fn leading_zeros_and_digits_beyond_64_bits_stay_text() {
    assert_eq!(types("zip,id,n\n007,1,1\n123,99999999999999999999,2\n"), ["zip string", "id string", "n int64"]);
}

#[test]
fn integers_that_a_double_cannot_hold_are_not_mixed_with_doubles() {
    assert_eq!(types("a,b\n9007199254740993,1\n1.5,1\n"), ["a decimal(17,1)", "b int64"]);
}

#[test]
fn nulls_have_no_say_and_a_column_of_nulls_is_text() {
    assert_eq!(types("a,b,c\n1,,NA\nNA,,\n\"\",N/A,\"NA\"\n"), ["a int64", "b string", "c string"]);
}

#[test]
fn nan_fits_a_double_and_makes_none() {
    assert_eq!(types("a,b\n1,NaN\nNaN,inf\n2,NaN\n"), ["a double", "b string"]);
}

#[test]
fn own_nulls_replace_the_usual_ones() {
    let options = CsvOptions { nulls: Some(vec!["-".into()]), ..CsvOptions::default() };
    let columns = infer_with("a,b\n-,NA\n1,2\n", &options).unwrap().columns;
    assert_eq!((columns[0].ty, columns[1].ty), (ColumnType::Int64, ColumnType::String));
}

#[test]
fn rows_that_would_be_rejected_have_no_say_but_are_counted() {
    let inference = infer_with("a,b\n1,2\nx\n3,4,5\n\"x\"y,1\n5,6\n", &CsvOptions::default()).unwrap();
    assert_eq!(inference.rows, 5);
    assert!(inference.columns.iter().all(|column| column.ty == ColumnType::Int64));
}

#[test]
fn an_unnamed_last_column_counts_only_when_something_stands_in_it() {
    assert_eq!(types("a,b,\n1,2,\n3,4,\n"), ["a int64", "b int64"]);
    assert_eq!(types("a,b,\n1,2,\n3,4,5\n"), ["a int64", "b int64", "column_3 int64"]);
}

#[test]
fn columns_without_a_header_are_numbered() {
    assert_eq!(types("1,x\n2,y\n"), ["column_1 int64", "column_2 string"]);
}

#[test]
fn text_leaves_every_column_a_string() {
    let inference = infer(&Memory::new("a,b\n1,2\n"), &CsvOptions::default(), true, &Progress::new()).unwrap();
    assert!(inference.columns.iter().all(|column| column.ty == ColumnType::String));
    assert_eq!(inference.rows, 1);
}

#[test]
fn an_empty_file_has_no_columns_and_a_header_alone_has() {
    for text in ["", "\n\r\n\n", "\u{feff}"] {
        assert!(matches!(infer_with(text, &CsvOptions::default()), Err(Error::Empty { .. })), "{text:?}");
    }
    let inference = infer_with("a,b", &CsvOptions::default()).unwrap();
    assert_eq!((inference.rows, inference.columns.len()), (0, 2));
    assert!(inference.columns.iter().all(|column| column.ty == ColumnType::String));
}

#[test]
fn several_files_make_one_table_with_types_that_fit_all() {
    let (one, two, none) = (Memory::new("a,b\n1,2\n"), Memory::new("b;c\n2.5;x\n"), Memory::new(""));
    let all = infer_all(&[&one, &none, &two], &CsvOptions::default(), false, &Progress::new()).unwrap();
    let types: Vec<String> = all.columns.iter().map(|column| format!("{} {}", column.name, column.ty)).collect();
    assert_eq!(types, ["a int64", "b double", "c string"]);
    assert!(all.dialects[1].is_none());
    assert_eq!((all.dialects[2].as_ref().unwrap().delimiter, all.rows), (';', 2));
}

#[test]
fn names_that_collide_are_an_error_that_names_both() {
    let error = infer_with("Total €,total $\n1,2\n", &CsvOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::Header { .. }) && error.to_string().contains("`Total €`"), "{error}");
}
