//! A dataset's table ↔ the Glue Data Catalog. Pure: who calls Glue, and when, is the pipeline's to decide.

use std::collections::BTreeMap;

use aws_sdk_glue::{
    error::BuildError,
    types::{self, SerDeInfo, StorageDescriptor, Table, TableInput},
};

use crate::dataset::{Column, ColumnType, Dataset};

/// How Hive, and with it Athena and Spark, name Parquet's reader and writer
/// (<https://docs.aws.amazon.com/athena/latest/ug/parquet-serde.html>).
const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// A table that lake cannot take for one of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A column has a type that lake does not write.
    #[error("column `{column}` of table `{table}` has type `{ty}`, which lake does not write")]
    Type {
        /// The table's name.
        table: String,
        /// The column's name.
        column: String,
        /// Its type in the catalog.
        ty: String,
    },
}

/// The table of a dataset: external, Parquet, at `location` (`s3://bucket/prefix/`). `parameters` are the caller's
/// own (whose table it is, for one); they go on top of `classification` and `EXTERNAL`.
///
/// # Errors
/// None in practice: the SDK's builders ask for names, and these are given.
pub fn table_input(
    dataset: &Dataset,
    columns: &[Column],
    location: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<TableInput, BuildError> {
    let columns: Vec<types::Column> = columns
        .iter()
        .map(|column| types::Column::builder().name(&column.name).r#type(column.ty.glue_name()).build())
        .collect::<Result<_, _>>()?;
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1").build();
    let storage = StorageDescriptor::builder()
        .set_columns(Some(columns))
        .location(location)
        .input_format(INPUT_FORMAT)
        .output_format(OUTPUT_FORMAT)
        .serde_info(serde)
        .compressed(false)
        .number_of_buckets(-1)
        .stored_as_sub_directories(false)
        .parameters("classification", "parquet")
        .build();
    let table = TableInput::builder()
        .name(&dataset.name)
        .table_type("EXTERNAL_TABLE")
        .storage_descriptor(storage)
        .parameters("classification", "parquet")
        .parameters("EXTERNAL", "TRUE");
    parameters.iter().fold(table, |table, (key, value)| table.parameters(key, value)).build()
}

/// The columns of a table in the catalog.
///
/// # Errors
/// A column type that lake does not write.
pub fn columns_of(table: &Table) -> Result<Vec<Column>, CatalogError> {
    let columns = table.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default();
    columns
        .iter()
        .map(|column| {
            let ty = column.r#type().unwrap_or_default();
            let known = ColumnType::from_glue_name(ty).ok_or_else(|| CatalogError::Type {
                table: table.name().to_owned(),
                column: column.name().to_owned(),
                ty: ty.to_owned(),
            })?;
            Ok(Column { name: column.name().to_owned(), ty: known })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back_with_the_columns_it_was_made_of() {
        let columns = vec![
            Column { name: "year".into(), ty: ColumnType::Int64 },
            Column { name: "fare".into(), ty: ColumnType::Decimal { precision: 9, scale: 2 } },
            Column { name: "time_hour".into(), ty: ColumnType::Timestamp },
        ];
        let owner = BTreeMap::from([("lake.stack".to_owned(), "local".to_owned())]);
        let input =
            table_input(&Dataset::new("flights", "flights/"), &columns, "s3://processed/flights/", &owner).unwrap();
        let parameters = input.parameters().unwrap();
        assert_eq!(parameters["classification"], "parquet");
        assert_eq!(parameters["lake.stack"], "local");
        assert_eq!(input.table_type(), Some("EXTERNAL_TABLE"));
        let table = Table::builder()
            .name(input.name())
            .storage_descriptor(input.storage_descriptor().unwrap().clone())
            .build()
            .unwrap();
        assert_eq!(columns_of(&table), Ok(columns));
    }

    #[test]
    fn a_column_type_that_lake_does_not_write_is_named() {
        let column = types::Column::builder().name("tags").r#type("array<string>").build().unwrap();
        let storage = StorageDescriptor::builder().columns(column).build();
        let table = Table::builder().name("t").storage_descriptor(storage).build().unwrap();
        let error = columns_of(&table).unwrap_err().to_string();
        assert!(error.contains("`tags`") && error.contains("array<string>"), "{error}");
    }
}
