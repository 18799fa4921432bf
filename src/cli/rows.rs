//! Rows of Parquet files as people and as machines read them.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, new_null_array},
    compute::{cast, take},
    datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::{metadata::PageIndexPolicy, reader::ChunkReader},
};
use serde_json::{Map, Number, Value};

use crate::{
    dataset::{Column, Partition},
    executor::parquet::data_type,
};

use super::{
    console::Style,
    table::{Align, Cell, Table},
};

/// How nulls are shown.
const NULL: &str = "null";

/// The first `limit` rows of a Parquet file, and how many it has.
pub fn first_rows(file: impl ChunkReader + 'static, limit: usize) -> Result<(Vec<RecordBatch>, u64), ParquetError> {
    // With the page index, a page is read by its place, and not by what lies before it.
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let reader = builder.with_limit(limit).build()?;
    let batches: Result<Vec<_>, ArrowError> = reader.collect();
    Ok((batches?, total))
}

/// The rows of a file of `partition` as the table has them: its columns in its order, null where the file was made before
/// they were there. Without columns, the rows as they are.
pub fn as_table(batch: RecordBatch, partition: &Partition, columns: &[Column]) -> Result<RecordBatch, ArrowError> {
    if columns.is_empty() {
        return Ok(batch);
    }
    let array = |column: &Column| {
        let ty = data_type(column.ty);
        let part = partition.parts().iter().find(|part| part.name == column.name);
        match (batch.column_by_name(&column.name), part) {
            (Some(array), _) => Ok(Arc::clone(array)),
            (None, Some(part)) => {
                let value = StringArray::from(vec![part.value.as_deref()]);
                let places = UInt32Array::from_value(0, batch.num_rows());
                take(&cast(&value, &ty)?, &places, None)
            }
            (None, None) => Ok(new_null_array(&ty, batch.num_rows())),
        }
    };
    let arrays: Result<Vec<_>, ArrowError> = columns.iter().map(|it| Ok((&it.name, array(it)?))).collect();
    RecordBatch::try_from_iter(arrays?)
}

/// Arrow knows the zone `UTC` by that name only with a time zone database; as an offset it always does.
fn with_offset(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column: ArrayRef = match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                let column = column.as_primitive::<TimestampMicrosecondType>().clone();
                Arc::new(column.with_timezone("+00:00"))
            }
            _ => Arc::clone(column),
        };
        (field.name().clone(), column)
    });
    RecordBatch::try_from_iter(columns.collect::<Vec<_>>())
}

/// Rows as a table, a header for each column.
pub fn table(batches: &[RecordBatch]) -> Result<Table, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Table::new([])) };
    let schema = first.schema();
    let align = |data_type: &DataType| if data_type.is_numeric() { Align::Right } else { Align::Left };
    let mut table = Table::new(schema.fields().iter().map(|field| (field.name().as_str(), align(field.data_type()))));
    for batch in batches {
        let batch = &with_offset(batch)?;
        let formatters = formatters(batch)?;
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().zip(&formatters).map(|(column, formatter)| match column.is_null(row) {
                true => Cell::styled(NULL, Style::Faint),
                false => Cell::plain(formatter.value(row)),
            });
            table.row(cells.collect());
        }
    }
    Ok(table)
}

/// Rows as JSON objects. Decimals stay exact, as text; so do dates and timestamps (ISO 8601).
pub fn objects(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let batch = &with_offset(batch)?;
    let formatters = formatters(batch)?;
    let schema = batch.schema();
    let object = |row: usize| {
        let columns = batch.columns().iter().zip(&formatters).zip(schema.fields());
        columns.map(|((column, formatter), field)| (field.name().clone(), value(column, row, formatter))).collect()
    };
    Ok((0..batch.num_rows()).map(object).collect())
}

fn formatters(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, ArrowError> {
    let options = FormatOptions::new();
    batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect()
}

fn value(column: &dyn Array, row: usize, formatter: &ArrayFormatter<'_>) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        // JSON has no infinities.
        DataType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(row);
            Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        _ => formatter.value(row).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::dataset::ColumnType;

    #[test]
    fn a_file_that_lacks_columns_of_the_table_has_nulls_in_their_places() {
        let column = |name: &str, ty| Column { name: name.into(), ty };
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        let columns = [column("at", ColumnType::Timestamp), column("a", ColumnType::Int64)];
        let partition = Partition::default();
        let wide = as_table(batch.clone(), &partition, &columns).unwrap();
        let rows = objects(&wide).unwrap().into_iter().map(|row| Value::Object(row).to_string()).collect::<Vec<_>>();
        assert_eq!(rows, [r#"{"at":null,"a":1}"#, r#"{"at":null,"a":2}"#]);
        assert_eq!(as_table(batch.clone(), &partition, &[]).unwrap(), batch);
    }

    #[test]
    fn rows_of_a_partition_have_its_values_in_the_types_of_the_table() {
        let column = |name: &str, ty| Column { name: name.into(), ty };
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        let columns = [
            column("a", ColumnType::Int64),
            column("day", ColumnType::Date),
            column("year", ColumnType::Int64),
            column("carrier", ColumnType::String),
        ];
        let partition = Partition::of_key("t/day=2013-01-02/year=2013/carrier=__HIVE_DEFAULT_PARTITION__/x.parquet");
        let rows = objects(&as_table(batch, &partition, &columns).unwrap()).unwrap();
        let rows = rows.into_iter().map(|row| Value::Object(row).to_string()).collect::<Vec<_>>();
        let rest = r#""day":"2013-01-02","year":2013,"carrier":null}"#;
        assert_eq!(rows, [format!(r#"{{"a":1,{rest}"#), format!(r#"{{"a":2,{rest}"#)]);
    }

    #[test]
    fn rows_become_json_without_losing_a_digit() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
            ("fare", Arc::new(Decimal128Array::from(vec![123_456, -5]).with_precision_and_scale(9, 2).unwrap())),
            ("ratio", Arc::new(Float64Array::from(vec![0.5, f64::INFINITY]))),
            ("name", Arc::new(StringArray::from(vec!["a\"b", "N5\n83JB"]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ];
        let rows = objects(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let text: Vec<String> = rows.into_iter().map(|row| Value::Object(row).to_string()).collect();
        assert_eq!(
            text,
            [
                r#"{"id":9223372036854775807,"fare":"1234.56","ratio":0.5,"name":"a\"b","at":"1970-01-01T00:00:00Z"}"#,
                r#"{"id":null,"fare":"-0.05","ratio":"inf","name":"N5\n83JB","at":"1970-01-01T00:00:00.000001Z"}"#,
            ]
        );
    }
}
