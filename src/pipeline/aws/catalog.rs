//! The Glue Data Catalog.

use aws_sdk_glue::{
    error::{BuildError, ProvideErrorMetadata},
    operation::{create_table::CreateTableError, get_table::GetTableError},
    types::{self, StorageDescriptor, TableInput},
};

use super::{Aws, failed};
use crate::{
    dataset::{Column, Dataset},
    executor::catalog::{columns_of, table_input},
    pipeline::ports::{Catalog, CloudError, CloudErrorKind, Table},
};

impl Catalog for Aws {
    async fn table(&self, dataset: &Dataset) -> Result<Option<Table>, CloudError> {
        let Some(found) = self.found(&dataset.name).await? else { return Ok(None) };
        let columns = columns_of(&found).map_err(|error| damaged(&dataset.name, error.to_string()))?;
        Ok(Some(Table { columns, version: found.version_id }))
    }

    async fn create_table(&self, dataset: &Dataset, columns: &[Column]) -> Result<bool, CloudError> {
        let input = table_input(dataset, columns, &self.location(&dataset.name), &self.owner())
            .map_err(|error| unbuildable(&dataset.name, &error))?;
        let request = self.glue.create_table().database_name(&self.names.database).table_input(input);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(CreateTableError::is_already_exists_exception) => {
                Ok(false)
            }
            Err(error) => Err(failed("CreateTable", &dataset.name, &error)),
        }
    }

    async fn add_columns(&self, dataset: &Dataset, table: &Table, columns: &[Column]) -> Result<bool, CloudError> {
        let Some(found) = self.found(&dataset.name).await? else { return Ok(false) };
        if found.version_id != table.version {
            return Ok(false);
        }
        let input = with_columns(found, columns).map_err(|error| unbuildable(&dataset.name, &error))?;
        let request = self.glue.update_table().database_name(&self.names.database).table_input(input);
        match request.set_version_id(table.version.clone()).send().await {
            Ok(_) => Ok(true),
            Err(error) if moved_on(error.code()) => Ok(false),
            Err(error) => Err(failed("UpdateTable", &dataset.name, &error)),
        }
    }
}

impl Aws {
    /// Where a dataset's files are.
    fn location(&self, dataset: &str) -> String {
        format!("s3://{}/{dataset}/", self.names.processed_bucket)
    }

    /// The table, if it is there. One that lies elsewhere is somebody else's: what is written would not be in it.
    async fn found(&self, name: &str) -> Result<Option<types::Table>, CloudError> {
        let request = self.glue.get_table().database_name(&self.names.database).name(name);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetTableError::is_entity_not_found_exception) => {
                return Ok(None);
            }
            Err(error) => return Err(failed("GetTable", name, &error)),
        };
        let Some(table) = answer.table else { return Ok(None) };
        let there = table.storage_descriptor().and_then(StorageDescriptor::location).unwrap_or_default();
        let ours = self.location(name);
        if there.trim_end_matches('/') != ours.trim_end_matches('/') {
            let message = format!("the table is at {there:?} and not at {ours}; rename the dataset or drop the table");
            return Err(damaged(name, message));
        }
        Ok(Some(table))
    }
}

/// UpdateTable replaces the whole table: everything that is there is kept, and columns are added at the end.
fn with_columns(table: types::Table, columns: &[Column]) -> Result<TableInput, BuildError> {
    let mut storage = table.storage_descriptor;
    if let Some(storage) = &mut storage {
        let there = storage.columns.get_or_insert_default();
        for column in columns {
            there.push(types::Column::builder().name(&column.name).r#type(column.ty.glue_name()).build()?);
        }
    }
    TableInput::builder()
        .name(table.name)
        .set_description(table.description)
        .set_owner(table.owner)
        .retention(table.retention)
        .set_storage_descriptor(storage)
        .set_partition_keys(table.partition_keys)
        .set_table_type(table.table_type)
        .set_parameters(table.parameters)
        .set_target_table(table.target_table)
        .build()
}

/// Somebody else changed or dropped the table since it was read.
fn moved_on(code: Option<&str>) -> bool {
    matches!(code, Some("ConcurrentModificationException" | "VersionMismatchException" | "EntityNotFoundException"))
}

fn damaged(table: &str, message: String) -> CloudError {
    CloudError { operation: "GetTable", target: table.to_owned(), message, kind: CloudErrorKind::Damaged }
}

fn unbuildable(table: &str, error: &BuildError) -> CloudError {
    damaged(table, format!("the table cannot be described to Glue: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnType;

    #[test]
    fn adding_columns_keeps_everything_else_of_the_table() {
        let column = |name: &str| types::Column::builder().name(name).r#type("int").build().unwrap();
        let storage = StorageDescriptor::builder().location("s3://p/t/").columns(column("a")).build();
        let table = types::Table::builder()
            .name("t")
            .description("ours")
            .storage_descriptor(storage)
            .parameters("lake.stack", "local")
            .partition_keys(column("day"))
            .build()
            .unwrap();
        let added = [Column { name: "b".into(), ty: ColumnType::Int64 }];
        let input = with_columns(table, &added).unwrap();
        let columns = input.storage_descriptor().unwrap().columns();
        let columns: Vec<_> = columns.iter().map(|column| (column.name(), column.r#type().unwrap())).collect();
        assert_eq!(columns, [("a", "int"), ("b", "bigint")]);
        assert_eq!(input.description(), Some("ours"));
        assert_eq!(input.parameters().unwrap()["lake.stack"], "local");
        assert_eq!(input.partition_keys().len(), 1);
    }
}
