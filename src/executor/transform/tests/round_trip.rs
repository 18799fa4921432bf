//! Every type crosses the border and comes back.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
        StringArray, TimestampMicrosecondArray,
    },
    compute::cast,
};
use proptest::{collection::vec, option, prelude::*};

use super::{guests::echo, *};
use crate::executor::{parquet, parquet::TIMESTAMP_ZONE};

const DECIMAL: ColumnType = ColumnType::Decimal { precision: 38, scale: 10 };

const COLUMNS: [(&str, ColumnType); 8] = [
    ("boolean", ColumnType::Boolean),
    ("int32", ColumnType::Int32),
    ("int64", ColumnType::Int64),
    ("double", ColumnType::Double),
    ("decimal", DECIMAL),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("string", ColumnType::String),
];

static ECHO: LazyLock<Plugin> = LazyLock::new(|| compile(&echo(&COLUMNS).build()));

fn input() -> Vec<Column> {
    COLUMNS.iter().map(|(name, ty)| column(name, *ty)).collect()
}

/// A row of all types.
type Row =
    (Option<bool>, Option<i32>, Option<i64>, Option<f64>, Option<i128>, (Option<i32>, Option<i64>, Option<String>));

fn batch(rows: &[Row]) -> RecordBatch {
    let numbers = |number: i128| number % 10_i128.pow(38);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>()),
        Arc::new(
            rows.iter()
                .map(|row| row.4.map(numbers))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(38, 10)
                .unwrap(),
        ),
        Arc::new(rows.iter().map(|row| row.5.0).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|row| row.5.1).collect::<TimestampMicrosecondArray>().with_timezone(TIMESTAMP_ZONE)),
        Arc::new(rows.iter().map(|row| row.5.2.clone()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(parquet::schema(&input()), columns).unwrap()
}

fn instance() -> Instance {
    ECHO.open(&BTreeMap::new(), &input(), &Limits::default(), Deadline::NEVER).unwrap()
}

/// Bit by bit, so that a NaN is itself.
fn bits(batch: &RecordBatch) -> Vec<ArrayRef> {
    let as_bits = |array: &ArrayRef| match array.as_any().downcast_ref::<Float64Array>() {
        Some(array) => {
            Arc::new(array.iter().map(|value| value.map(|value| value.to_bits() as i64)).collect::<Int64Array>())
        }
        None => Arc::clone(array),
    };
    batch.columns().iter().map(as_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_type_comes_back_as_it_went_whatever_is_cut_off(
        rows in vec(
            (
                any::<Option<bool>>(),
                any::<Option<i32>>(),
                any::<Option<i64>>(),
                option::of(proptest::num::f64::ANY),
                any::<Option<i128>>(),
                (any::<Option<i32>>(), any::<Option<i64>>(), option::of("\\PC{0,12}")),
            ),
            1..80,
        ),
        from in 0..20_usize,
        less in 0..20_usize,
    ) {
        let whole = batch(&rows);
        let from = from.min(rows.len() - 1);
        let length = (rows.len() - from).saturating_sub(less).max(1);
        let slice = whole.slice(from, length);
        let back = instance().transform(&slice).unwrap().batch.unwrap();
        prop_assert_eq!(bits(&back), bits(&slice));
        for column in back.columns() {
            column.to_data().validate_full().unwrap();
        }
    }
}

#[test]
fn rows_of_nothing_but_nulls_come_back() {
    let nothing = batch(&vec![(None, None, None, None, None, (None, None, None)); 9]);
    assert_eq!(instance().transform(&nothing).unwrap().batch.unwrap(), nothing);
}

#[test]
fn a_column_without_nulls_has_no_validity() {
    let rows: Vec<Row> = (0..9).map(|n| (None, Some(n), Some(1), None, None, (None, None, None))).collect();
    let back = instance().transform(&batch(&rows)).unwrap().batch.unwrap();
    assert!(back.column(1).nulls().is_none() && back.column(0).nulls().is_some());
    assert_eq!(cast(back.column(1), &arrow::datatypes::DataType::Int64).unwrap().len(), 9);
}
