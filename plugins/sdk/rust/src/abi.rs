//! The border: bindings of `plugins/wit`, and the way from their types to this crate's and back. Buffers move, they
//! are not copied.

#![allow(missing_docs, reason = "for `export!` alone")]

use std::cell::RefCell;

use crate::{BatchTransform, Config, Opened, RowError as Rejected, Transformed, column, log::Level, types};

pub mod bindings {
    #![allow(unsafe_code, clippy::all, missing_docs, unused_qualifications, reason = "wit-bindgen writes it")]
    wit_bindgen::generate!({
        world: "transform",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "__export_world",
        default_bindings_module: "lake_transform::abi::bindings",
    });
}

use bindings::lake::transform::{
    log,
    types::{Column, DataType, DecimalType, RowError, Text, Values},
};

pub use bindings::{Batch, Contract, Description, Field, Guest, Output};

pub fn describe(name: &str, version: &str) -> Description {
    Description { name: name.to_owned(), version: version.to_owned() }
}

pub fn open<T: BatchTransform>(
    opened: &RefCell<Option<Opened<T>>>,
    config: Vec<(String, String)>,
    input: Vec<Field>,
) -> Result<Contract, String> {
    crate::log::tell_panics();
    let schema = types::Schema(input.into_iter().map(field_in).collect());
    let (transform, contract) = Opened::open(&Config::from(config), schema)?;
    *opened.borrow_mut() = Some(transform);
    Ok(Contract {
        reads: contract.reads,
        drops: contract.drops,
        output: contract.output.into_iter().map(field_out).collect(),
    })
}

pub fn transform<T: BatchTransform>(opened: &RefCell<Option<Opened<T>>>, input: Batch) -> Result<Output, String> {
    let mut opened = opened.borrow_mut();
    let Some(transform) = opened.as_mut() else { return Err("rows came before `open`".to_owned()) };
    let columns = input.columns.into_iter().map(column_in).collect();
    let Transformed { rows, columns, source_rows, errors } = transform.transform(input.rows, columns)?;
    let batch = Batch { rows, columns: columns.into_iter().map(column_out).collect() };
    Ok(Output { batch, source_rows, errors: errors.into_iter().map(error_out).collect() })
}

pub(crate) fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

fn field_in(field: Field) -> types::Field {
    let data_type = match field.data_type {
        DataType::Boolean => types::Type::Boolean,
        DataType::Int32 => types::Type::Int32,
        DataType::Int64 => types::Type::Int64,
        DataType::Float64 => types::Type::Double,
        DataType::Decimal(DecimalType { precision, scale }) => types::Type::Decimal { precision, scale },
        DataType::Date => types::Type::Date,
        DataType::Timestamp => types::Type::Timestamp,
        DataType::Utf8 => types::Type::String,
    };
    types::Field { name: field.name, data_type }
}

fn field_out(field: types::Field) -> Field {
    let data_type = match field.data_type {
        types::Type::Boolean => DataType::Boolean,
        types::Type::Int32 => DataType::Int32,
        types::Type::Int64 => DataType::Int64,
        types::Type::Double => DataType::Float64,
        types::Type::Decimal { precision, scale } => DataType::Decimal(DecimalType { precision, scale }),
        types::Type::Date => DataType::Date,
        types::Type::Timestamp => DataType::Timestamp,
        types::Type::String => DataType::Utf8,
    };
    Field { name: field.name, data_type }
}

fn column_in(column: Column) -> column::Column {
    let values = match column.values {
        Values::Boolean(bits) => column::Values::Boolean(bits),
        Values::Int32(values) => column::Values::Int32(values),
        Values::Int64(values) => column::Values::Int64(values),
        Values::Float64(values) => column::Values::Double(values),
        Values::Decimal128(halves) => column::Values::Decimal(halves),
        Values::Date32(values) => column::Values::Date(values),
        Values::Timestamp(values) => column::Values::Timestamp(values),
        Values::Utf8(Text { offsets, bytes }) => column::Values::String(column::Text { offsets, bytes }),
    };
    column::Column { validity: column.validity, values }
}

fn column_out(column: column::Column) -> Column {
    let values = match column.values {
        column::Values::Boolean(bits) => Values::Boolean(bits),
        column::Values::Int32(values) => Values::Int32(values),
        column::Values::Int64(values) => Values::Int64(values),
        column::Values::Double(values) => Values::Float64(values),
        column::Values::Decimal(halves) => Values::Decimal128(halves),
        column::Values::Date(values) => Values::Date32(values),
        column::Values::Timestamp(values) => Values::Timestamp(values),
        column::Values::String(column::Text { offsets, bytes }) => Values::Utf8(Text { offsets, bytes }),
    };
    Column { validity: column.validity, values }
}

fn error_out(error: Rejected) -> RowError {
    RowError { row: error.row, code: error.code, column: error.column, message: error.message }
}
