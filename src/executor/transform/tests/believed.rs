//! Whatever comes back: it is refused, or it is sound.

use arrow::array::Array;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::executor::transform::{
    abi, rows,
    wit::{self, ColumnOut, TextOut, ValuesOut},
};

/// Lists that are about as long as they should be.
fn values() -> impl Strategy<Value = ValuesOut> {
    let offsets = prop_oneof![
        vec(-2..12_i32, 0..8),
        vec(0..3_i32, 0..8).prop_map(|lengths| {
            let sums = lengths.iter().scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            });
            std::iter::once(0).chain(sums).collect()
        }),
    ];
    let bytes = prop_oneof!["[aß∂]{0,6}".prop_map(String::into_bytes), vec(any::<u8>(), 0..12)];
    prop_oneof![
        vec(any::<u8>(), 0..3).prop_map(ValuesOut::Boolean),
        vec(any::<i32>(), 0..8).prop_map(ValuesOut::Int32),
        vec(any::<i64>(), 0..8).prop_map(ValuesOut::Int64),
        vec(any::<f64>(), 0..8).prop_map(ValuesOut::Float64),
        vec(prop_oneof![0..2000_u64, any::<u64>(), Just(u64::MAX)], 0..16).prop_map(ValuesOut::Decimal128),
        vec(any::<i32>(), 0..8).prop_map(ValuesOut::Date32),
        vec(any::<i64>(), 0..8).prop_map(ValuesOut::Timestamp),
        (offsets, bytes).prop_map(|(offsets, bytes)| ValuesOut::Utf8(TextOut { offsets, bytes })),
    ]
}

fn type_of(values: &ValuesOut) -> ColumnType {
    match values {
        ValuesOut::Boolean(_) => ColumnType::Boolean,
        ValuesOut::Int32(_) => ColumnType::Int32,
        ValuesOut::Int64(_) => ColumnType::Int64,
        ValuesOut::Float64(_) => ColumnType::Double,
        ValuesOut::Decimal128(_) => ColumnType::Decimal { precision: 4, scale: 2 },
        ValuesOut::Date32(_) => ColumnType::Date,
        ValuesOut::Timestamp(_) => ColumnType::Timestamp,
        ValuesOut::Utf8(_) => ColumnType::String,
    }
}

proptest! {
    #[test]
    fn columns_are_refused_or_sound(
        values in values(),
        validity in option::of(vec(any::<u8>(), 0..3)),
        rows in 0..8_usize,
    ) {
        let column = column("c", type_of(&values));
        if let Ok(array) = abi::lift(&column, ColumnOut { validity, values }, rows) {
            prop_assert_eq!(array.len(), rows);
            array.to_data().validate_full().unwrap();
        }
    }

    #[test]
    fn each_row_is_kept_filtered_or_set_aside_or_all_are_refused(
        rows in 0..6_usize,
        given in 0..6_usize,
        source_rows in option::of(vec(0..7_u32, 0..6)),
        errors in vec((0..7_u32, "[a-z]{1,3}"), 0..4),
    ) {
        let said: Vec<u32> = errors.iter().map(|(row, _)| *row).collect();
        let errors = errors
            .into_iter()
            .map(|(row, code)| wit::RowError { row, code, column: None, message: String::new() })
            .collect();
        if let Ok(fate) = rows::settle(rows, given, source_rows.clone(), errors) {
            prop_assert_eq!(fate.kept + fate.filtered + fate.errors.len() as u64, rows as u64);
            prop_assert!(fate.errors.is_sorted_by(|one, next| one.row < next.row));
            prop_assert!(said.iter().all(|row| fate.errors.iter().any(|error| error.row == *row)));
            let written = fate.source_rows.unwrap_or_else(|| (0..rows as u32).collect());
            prop_assert_eq!(written.len(), given);
            prop_assert!(written.iter().all(|row| (*row as usize) < rows && !said.contains(row)));
        }
    }
}

#[test]
fn a_plugin_is_shared_by_threads_and_an_instance_moves_between_them() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send>() {}
    shared::<Host>();
    shared::<Plugin>();
    moved::<Instance>();
}
