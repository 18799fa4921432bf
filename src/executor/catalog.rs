//! A dataset's table ↔ the Glue Data Catalog. Pure: who calls Glue, and when, is the pipeline's to decide.

use std::collections::BTreeMap;

use aws_sdk_glue::{
    error::BuildError,
    types::{self, PartitionInput, SerDeInfo, StorageDescriptor, Table, TableInput},
};

use crate::dataset::{Column, ColumnType, Dataset, Partition};

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
    /// The table lies nowhere.
    #[error("the table has no location")]
    Location,
}

/// The table of a dataset: external, Parquet, at `location` (`s3://bucket/prefix/`). Of its columns, those that
/// `partition_by` names are its partition keys. `parameters` are the caller's own (whose table it is, for one); they go on
/// top of `classification` and `EXTERNAL`.
///
/// # Errors
/// None in practice: the SDK's builders ask for names, and these are given.
pub fn table_input(
    dataset: &Dataset,
    columns: &[Column],
    partition_by: &[String],
    location: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<TableInput, BuildError> {
    let (keys, columns) = parted(columns, partition_by);
    let of_glue = |columns: Vec<&Column>| columns.into_iter().map(glue_column).collect::<Result<Vec<_>, _>>();
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1").build();
    let storage = StorageDescriptor::builder()
        .set_columns(Some(of_glue(columns)?))
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
        .set_partition_keys(Some(of_glue(keys)?))
        .parameters("classification", "parquet")
        .parameters("EXTERNAL", "TRUE");
    parameters.iter().fold(table, |table, (key, value)| table.parameters(key, value)).build()
}

/// A column as Glue has it.
///
/// # Errors
/// None in practice: a name is given.
pub fn glue_column(column: &Column) -> Result<types::Column, BuildError> {
    types::Column::builder().name(&column.name).r#type(column.ty.glue_name()).build()
}

/// The columns that make partitions, in the order of `partition_by`, and those that are in the files.
pub fn parted<'a>(columns: &'a [Column], partition_by: &[String]) -> (Vec<&'a Column>, Vec<&'a Column>) {
    let named = |name: &String| columns.iter().find(|column| column.name == *name);
    let keys = partition_by.iter().filter_map(named).collect();
    (keys, columns.iter().filter(|column| !partition_by.contains(&column.name)).collect())
}

/// A partition of a table: the table's files, in a place of their own.
///
/// # Errors
/// The table has no location.
pub fn partition_input(table: &StorageDescriptor, partition: &Partition) -> Result<PartitionInput, CatalogError> {
    let location = table.location().ok_or(CatalogError::Location)?;
    let mut storage = table.clone();
    storage.location = Some(format!("{}/{}", location.trim_end_matches('/'), partition.path()));
    Ok(PartitionInput::builder()
        .set_values(Some(partition.values()))
        .storage_descriptor(storage)
        .parameters("classification", "parquet")
        .build())
}

/// The columns of a table in the catalog, those that make its partitions last.
///
/// # Errors
/// A column type that lake does not write.
pub fn columns_of(table: &Table) -> Result<Vec<Column>, CatalogError> {
    let columns = table.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default();
    columns
        .iter()
        .chain(table.partition_keys())
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
        let flights = Dataset::new("flights", "flights/");
        let input = table_input(&flights, &columns, &[], "s3://processed/flights/", &owner).unwrap();
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
    fn a_partitioned_table_has_its_partition_columns_apart_and_its_partitions_below_it() {
        let column = |name: &str, ty| Column { name: name.into(), ty };
        let columns = vec![column("year", ColumnType::Int64), column("a", ColumnType::String)];
        let by = ["year".to_owned()];
        let input = table_input(&Dataset::new("t", "t/"), &columns, &by, "s3://p/t/", &BTreeMap::new()).unwrap();
        let storage = input.storage_descriptor().unwrap();
        assert_eq!(storage.columns().iter().map(types::Column::name).collect::<Vec<_>>(), ["a"]);
        assert_eq!(input.partition_keys().iter().map(types::Column::name).collect::<Vec<_>>(), ["year"]);
        let year = Partition::new([("year".to_owned(), Some("2013".to_owned()))]);
        let partition = partition_input(storage, &year).unwrap();
        assert_eq!(partition.values(), ["2013"]);
        let there = partition.storage_descriptor().unwrap();
        assert_eq!((there.location(), there.columns()), (Some("s3://p/t/year=2013/"), storage.columns()));
        let table = Table::builder()
            .name("t")
            .storage_descriptor(storage.clone())
            .set_partition_keys(Some(input.partition_keys().to_vec()))
            .build()
            .unwrap();
        assert_eq!(columns_of(&table), Ok(vec![columns[1].clone(), columns[0].clone()]));
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
