//! The Glue Data Catalog.

use std::collections::BTreeMap;

use aws_sdk_glue::{
    error::{BuildError, ProvideErrorMetadata},
    operation::{create_table::CreateTableError, get_table::GetTableError},
    types::{self, PartitionValueList, StorageDescriptor, TableInput},
};

use super::{Aws, failed};
use crate::{
    dataset::{Column, ColumnType, Dataset, Partition},
    executor::catalog::{columns_of, glue_column, parted, partition_input, table_input},
    pipeline::ports::{Catalog, CloudError, CloudErrorKind, Shape, Table},
};

/// Parameter of a table: the columns of the CSV that a transform makes its own of, as JSON.
pub const SOURCE_COLUMNS: &str = "lake.source_columns";

impl Catalog for Aws {
    async fn table(&self, dataset: &Dataset) -> Result<Option<Table>, CloudError> {
        let Some(found) = self.found(&dataset.name).await? else { return Ok(None) };
        let columns = columns_of(&found).map_err(|error| damaged(&dataset.name, error.to_string()))?;
        let source_columns = source_columns_of(&found)?;
        let partition_by = found.partition_keys().iter().map(|key| key.name().to_owned()).collect();
        Ok(Some(Table { shape: Shape { columns, partition_by, source_columns }, version: found.version_id }))
    }

    async fn create_table(&self, dataset: &Dataset, shape: &Shape) -> Result<bool, CloudError> {
        let mut parameters = self.owner();
        parameters.extend(shape.source_columns.as_deref().map(remembered));
        let input =
            table_input(dataset, &shape.columns, &shape.partition_by, &self.location(&dataset.name), &parameters)
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

    async fn update_table(&self, dataset: &Dataset, table: &Table, shape: &Shape) -> Result<bool, CloudError> {
        let Some(found) = self.found(&dataset.name).await? else { return Ok(false) };
        if found.version_id != table.version {
            return Ok(false);
        }
        if table.shape.partition_by != shape.partition_by {
            // Before the table says so: whoever dies in between finds none, and does this again.
            self.forget_partitions(&dataset.name).await?;
        }
        let input = with_shape(found, shape).map_err(|error| unbuildable(&dataset.name, &error))?;
        let request = self.glue.update_table().database_name(&self.names.database).table_input(input);
        match request.set_version_id(table.version.clone()).send().await {
            Ok(_) => Ok(true),
            Err(error) if moved_on(error.code()) => Ok(false),
            Err(error) => Err(failed("UpdateTable", &dataset.name, &error)),
        }
    }

    async fn register_partitions(
        &self,
        dataset: &Dataset,
        shape: &Shape,
        partitions: &[Partition],
    ) -> Result<(), CloudError> {
        let (name, location) = (&dataset.name, self.location(&dataset.name));
        let table = table_input(dataset, &shape.columns, &shape.partition_by, &location, &BTreeMap::new())
            .map_err(|error| unbuildable(name, &error))?;
        let storage = table.storage_descriptor.unwrap_or_else(|| StorageDescriptor::builder().build());
        for partitions in partitions.chunks(PARTITIONS_CREATED_MAX) {
            let inputs = partitions.iter().map(|partition| partition_input(&storage, partition));
            let inputs: Vec<_> = inputs.collect::<Result<_, _>>().map_err(|error| damaged(name, error.to_string()))?;
            let request = self.glue.batch_create_partition().database_name(&self.names.database).table_name(name);
            let answer = request.set_partition_input_list(Some(inputs)).send().await;
            let answer = answer.map_err(|error| failed("BatchCreatePartition", name, &error))?;
            refuse_errors("BatchCreatePartition", name, answer.errors(), "AlreadyExistsException")?;
        }
        Ok(())
    }
}

/// Partitions that one call creates, and that one deletes
/// (<https://docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html>,
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_BatchDeletePartition.html>).
const PARTITIONS_CREATED_MAX: usize = 100;
const PARTITIONS_DELETED_MAX: usize = 25;

/// The calls answer with 200, and say within what was not done of them.
fn refuse_errors(
    operation: &'static str,
    table: &str,
    errors: &[types::PartitionError],
    done: &str,
) -> Result<(), CloudError> {
    let details = errors.iter().map(|error| (error.partition_values(), error.error_detail()));
    let mut failed = details.filter(|(_, detail)| detail.and_then(types::ErrorDetail::error_code) != Some(done));
    let Some((values, detail)) = failed.next() else { return Ok(()) };
    let said = detail.map(|detail| {
        format!("{}: {}", detail.error_code().unwrap_or_default(), detail.error_message().unwrap_or_default())
    });
    Err(CloudError {
        operation,
        target: format!("{table} ({})", values.join(", ")),
        message: said.unwrap_or_default(),
        kind: CloudErrorKind::Retriable,
    })
}

/// What the table's parameters say that it was made of.
fn source_columns_of(table: &types::Table) -> Result<Option<Vec<Column>>, CloudError> {
    let Some(json) = table.parameters().and_then(|parameters| parameters.get(SOURCE_COLUMNS)) else { return Ok(None) };
    let columns = serde_json::from_str(json).map_err(|error| {
        let message = format!("its parameter {SOURCE_COLUMNS} is no list of columns ({error}); mend or remove it");
        damaged(table.name(), message)
    })?;
    Ok(Some(columns))
}

fn remembered(columns: &[Column]) -> (String, String) {
    let json = serde_json::to_string(columns).expect("columns are plain data and always serialise");
    (SOURCE_COLUMNS.to_owned(), json)
}

impl Aws {
    /// Where a dataset's files are.
    fn location(&self, dataset: &str) -> String {
        format!("s3://{}/{dataset}/", self.names.processed_bucket)
    }

    /// Takes all partitions of a table out of the catalog.
    async fn forget_partitions(&self, table: &str) -> Result<(), CloudError> {
        let request = self.glue.get_partitions().database_name(&self.names.database).table_name(table);
        let mut pages = request.exclude_column_schema(true).into_paginator().send();
        let mut there = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("GetPartitions", table, &error))?;
            there.extend(page.partitions.unwrap_or_default().into_iter().filter_map(|partition| partition.values));
        }
        for values in there.chunks(PARTITIONS_DELETED_MAX) {
            let list =
                values.iter().map(|values| PartitionValueList::builder().set_values(Some(values.clone())).build());
            let list = list.collect::<Result<Vec<_>, _>>().map_err(|error| unbuildable(table, &error))?;
            let request = self.glue.batch_delete_partition().database_name(&self.names.database).table_name(table);
            let answer = request.set_partitions_to_delete(Some(list)).send().await;
            let answer = answer.map_err(|error| failed("BatchDeletePartition", table, &error))?;
            refuse_errors("BatchDeletePartition", table, answer.errors(), "EntityNotFoundException")?;
        }
        Ok(())
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

/// UpdateTable replaces the whole table: everything else that is there is kept, and of columns that stay what others
/// have said of them.
fn with_shape(table: types::Table, shape: &Shape) -> Result<TableInput, BuildError> {
    let mut storage = table.storage_descriptor;
    let (keys, columns) = parted(&shape.columns, &shape.partition_by);
    let mut keys: Vec<types::Column> = keys.into_iter().map(glue_column).collect::<Result<_, _>>()?;
    for key in table.partition_keys.unwrap_or_default() {
        let same = keys.iter_mut().find(|it| it.name() == key.name() && it.r#type() == key.r#type());
        same.into_iter().for_each(|it| it.clone_from(&key));
    }
    if let Some(storage) = &mut storage {
        let there = storage.columns.take().unwrap_or_default();
        let stays = |column: &Column| {
            let is_it = |it: &&types::Column| {
                it.name() == column.name && it.r#type().and_then(ColumnType::from_glue_name) == Some(column.ty)
            };
            there.iter().find(is_it).cloned()
        };
        let made = |column: &Column| match stays(column) {
            Some(there) => Ok(there),
            None => glue_column(column),
        };
        storage.columns = Some(columns.into_iter().map(made).collect::<Result<_, _>>()?);
    }
    let mut parameters = table.parameters.unwrap_or_default();
    match &shape.source_columns {
        Some(columns) => parameters.extend([remembered(columns)]),
        None => drop(parameters.remove(SOURCE_COLUMNS)),
    }
    TableInput::builder()
        .name(table.name)
        .set_description(table.description)
        .set_owner(table.owner)
        .retention(table.retention)
        .set_storage_descriptor(storage)
        .set_partition_keys(Some(keys))
        .set_table_type(table.table_type)
        .set_parameters(Some(parameters))
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

    fn column(name: &str, ty: ColumnType) -> Column {
        Column { name: name.into(), ty }
    }

    fn table() -> types::Table {
        let glue = |name: &str| types::Column::builder().name(name).r#type("int").comment("theirs").build().unwrap();
        let storage = StorageDescriptor::builder().location("s3://p/t/").columns(glue("a")).columns(glue("b")).build();
        types::Table::builder()
            .name("t")
            .description("ours")
            .storage_descriptor(storage)
            .parameters("lake.stack", "local")
            .partition_keys(glue("day"))
            .build()
            .unwrap()
    }

    #[test]
    fn another_shape_keeps_everything_else_of_the_table() {
        let columns =
            vec![column("b", ColumnType::Int32), column("a", ColumnType::Int64), column("day", ColumnType::Int32)];
        let source_columns = Some(vec![column("raw", ColumnType::Decimal { precision: 9, scale: 2 })]);
        let shape = Shape { columns, partition_by: vec!["day".into()], source_columns: source_columns.clone() };
        let input = with_shape(table(), &shape).unwrap();
        let columns = input.storage_descriptor().unwrap().columns();
        let columns: Vec<_> = columns.iter().map(|it| (it.name(), it.r#type().unwrap(), it.comment())).collect();
        assert_eq!(columns, [("b", "int", Some("theirs")), ("a", "bigint", None)]);
        assert_eq!(input.description(), Some("ours"));
        assert_eq!(input.parameters().unwrap()["lake.stack"], "local");
        let keys: Vec<_> = input.partition_keys().iter().map(|key| (key.name(), key.comment())).collect();
        assert_eq!(keys, [("day", Some("theirs"))]);
        let parameters = input.parameters().cloned();
        let there = types::Table::builder().name("t").set_parameters(parameters).build().unwrap();
        assert_eq!(source_columns_of(&there), Ok(source_columns));
    }

    #[test]
    fn a_table_that_is_partitioned_otherwise_has_all_of_its_columns_still() {
        let columns =
            vec![column("a", ColumnType::Int32), column("b", ColumnType::Int32), column("day", ColumnType::Int32)];
        let shape = Shape { columns, partition_by: vec!["b".into(), "a".into()], source_columns: None };
        let input = with_shape(table(), &shape).unwrap();
        let names = |columns: &[types::Column]| columns.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(input.storage_descriptor().unwrap().columns()), ["day"]);
        assert_eq!(names(input.partition_keys()), ["b", "a"]);
    }

    #[test]
    fn a_table_remembers_what_it_is_made_of_until_it_is_made_of_its_own_columns() {
        assert_eq!(source_columns_of(&table()), Ok(None));
        let with_parameter = |(name, json): (String, String)| {
            let mut table = table();
            table.parameters = Some([(name, json)].into());
            table
        };
        let remembering = with_parameter(remembered(&[]));
        assert_eq!(source_columns_of(&remembering), Ok(Some(Vec::new())));
        let input = with_shape(remembering, &Shape::default()).unwrap();
        assert!(!input.parameters().unwrap().contains_key(SOURCE_COLUMNS));
        let error = source_columns_of(&with_parameter((SOURCE_COLUMNS.into(), "x".into()))).unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Damaged);
        assert!(error.message.contains(SOURCE_COLUMNS), "{error}");
    }
}
