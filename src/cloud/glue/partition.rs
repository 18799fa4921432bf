//! Partitions of tables.

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    CHUNK_ENTRIES, Empty, Paging, Scope, already_exists,
    expression::Filter,
    invalid,
    model::{self, Partition, PartitionInput, catalog_id},
    not_found, page, remove_all, single_line, table,
};
use crate::cloud::{
    error::ApiError,
    store::{Table, Transaction},
};

const PARTITIONS: Table<Partition> = Table::new("glue.partitions");

/// Most partitions of a page.
const PAGE_ENTRIES: usize = 1000;
/// Most segments that a listing is shared out among.
const SEGMENTS: u32 = 10;
/// Longest value of a partition key, in bytes.
const VALUE_BYTES: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreatePartition {
    database_name: String,
    table_name: String,
    partition_input: PartitionInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedPartition {
    database_name: String,
    table_name: String,
    partition_values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdatePartition {
    database_name: String,
    table_name: String,
    partition_value_list: Vec<String>,
    partition_input: PartitionInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetPartitions {
    database_name: String,
    table_name: String,
    expression: Option<String>,
    segment: Option<Segment>,
    exclude_column_schema: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Segment {
    segment_number: u32,
    total_segments: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OfTable {
    database_name: String,
    table_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartitionList {
    partitions: Vec<Partition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The key of the partition with `values`, which are as many as the table has partition keys.
fn key(scope: &Scope, table: &model::Table, values: &[String]) -> Result<String, ApiError> {
    if values.is_empty() || values.len() != table.partition_keys().len() {
        return Err(invalid(format!(
            "The number of partition keys do not match the number of partition values: table {} has {}, the request {}",
            table.input.name,
            table.partition_keys().len(),
            values.len()
        )));
    }
    let mut names = vec![table.database_name.as_str(), table.input.name.as_str()];
    for value in values {
        single_line(value, "Values")?;
        if value.len() > VALUE_BYTES {
            return Err(invalid(format!("a partition value has {} bytes; the limit is {VALUE_BYTES}", value.len())));
        }
        names.push(value);
    }
    Ok(scope.key(&names))
}

pub(super) fn remove_all_inside(tx: &WriteTransaction, prefix: &str) -> Result<(), ApiError> {
    remove_all(tx, &PARTITIONS, prefix)
}

/// The partition with `values`, if it is there.
pub(super) fn find(
    tx: &impl Transaction,
    scope: &Scope,
    table: &model::Table,
    values: &[String],
) -> Result<Option<Partition>, ApiError> {
    Ok(PARTITIONS.get(tx, &key(scope, table, values)?)?)
}

pub(super) fn insert(
    tx: &WriteTransaction,
    scope: &Scope,
    table: &model::Table,
    input: PartitionInput,
) -> Result<(), ApiError> {
    let key = key(scope, table, &input.values)?;
    for column in input.storage_descriptor.iter().filter_map(|storage| storage.columns.as_ref()).flatten() {
        table::check_column(column)?;
    }
    if PARTITIONS.get(tx, &key)?.is_some() {
        return Err(already_exists("Partition already exists."));
    }
    let partition = Partition {
        input,
        database_name: table.database_name.clone(),
        table_name: table.input.name.clone(),
        creation_time: scope.now,
        catalog_id: catalog_id(),
    };
    Ok(PARTITIONS.put(tx, &key, &partition)?)
}

pub(super) fn remove(
    tx: &WriteTransaction,
    scope: &Scope,
    table: &model::Table,
    values: &[String],
) -> Result<(), ApiError> {
    if PARTITIONS.delete(tx, &key(scope, table, values)?)? {
        return Ok(());
    }
    Err(not_found("Partition not found."))
}

pub(super) fn create(tx: &WriteTransaction, scope: &Scope, input: CreatePartition) -> Result<Empty, ApiError> {
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let values = input.partition_input.values.clone();
    insert(tx, scope, &table, input.partition_input)?;
    scope.changed_partitions("CreatePartition", &table.database_name, &table.input.name, vec![values]);
    Ok(Empty {})
}

pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedPartition) -> Result<Value, ApiError> {
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let partition = find(tx, scope, &table, &input.partition_values)?;
    Ok(json!({ "Partition": partition.ok_or_else(|| not_found("Cannot find partition."))? }))
}

/// A number for a key that is the same in every call, for segments to share partitions out.
fn spread(key: &str) -> u32 {
    key.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: GetPartitions) -> Result<PartitionList, ApiError> {
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let expression = input.expression.as_deref().filter(|text| !text.trim().is_empty());
    let filter = expression.map(|text| Filter::parse(text, table.partition_keys())).transpose()?;
    if let Some(segment) = &input.segment
        && (!(1..=SEGMENTS).contains(&segment.total_segments) || segment.segment_number >= segment.total_segments)
    {
        return Err(invalid(format!("Segment {} of {} is not one", segment.segment_number, segment.total_segments)));
    }
    let in_segment = |key: &str| {
        input.segment.as_ref().is_none_or(|segment| spread(key) % segment.total_segments == segment.segment_number)
    };
    let inside = scope.inside(&[&table.database_name, &table.input.name]);
    let (mut partitions, next_token) = page(tx, &PARTITIONS, &inside, &input.paging, PAGE_ENTRIES, |key, found| {
        in_segment(key) && filter.as_ref().is_none_or(|filter| filter.matches(&found.input.values))
    })?;
    if input.exclude_column_schema.unwrap_or_default() {
        for storage in partitions.iter_mut().filter_map(|partition| partition.input.storage_descriptor.as_mut()) {
            storage.columns = None;
        }
    }
    Ok(PartitionList { partitions, next_token })
}

pub(super) fn update(tx: &WriteTransaction, scope: &Scope, input: UpdatePartition) -> Result<Empty, ApiError> {
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let old =
        find(tx, scope, &table, &input.partition_value_list)?.ok_or_else(|| not_found("Cannot find partition."))?;
    let mut new = input.partition_input;
    if new.values.is_empty() {
        new.values.clone_from(&old.input.values);
    }
    let values = old.input.values.clone();
    replace(tx, scope, &table, old, new)?;
    scope.changed_partitions("UpdatePartition", &table.database_name, &table.input.name, vec![values]);
    Ok(Empty {})
}

/// Makes `old` into what `input` says, which may have other values.
pub(super) fn replace(
    tx: &WriteTransaction,
    scope: &Scope,
    table: &model::Table,
    old: Partition,
    input: PartitionInput,
) -> Result<(), ApiError> {
    remove(tx, scope, table, &old.input.values)?;
    let values = input.values.clone();
    insert(tx, scope, table, input)?;
    if let Some(mut moved) = find(tx, scope, table, &values)? {
        moved.creation_time = old.creation_time;
        PARTITIONS.put(tx, &key(scope, table, &values)?, &moved)?;
    }
    Ok(())
}

/// Visits every partition of a table.
pub(super) fn each(
    tx: &impl Transaction,
    scope: &Scope,
    table: &model::Table,
    mut visit: impl FnMut(Partition),
) -> Result<(), ApiError> {
    let inside = scope.inside(&[&table.database_name, &table.input.name]);
    let mut after = None;
    loop {
        let chunk = PARTITIONS.scan(tx, &inside, after.as_deref(), CHUNK_ENTRIES)?;
        let last = chunk.len() < CHUNK_ENTRIES;
        for (key, partition) in chunk {
            after = Some(key);
            visit(partition);
        }
        if last {
            return Ok(());
        }
    }
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: NamedPartition) -> Result<Empty, ApiError> {
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    remove(tx, scope, &table, &input.partition_values)?;
    let values = vec![input.partition_values];
    scope.changed_partitions("DeletePartition", &table.database_name, &table.input.name, values);
    Ok(Empty {})
}

/// Partition indexes cannot be made here, so that a table has none; tools ask after each read of a table.
pub(super) fn indexes(tx: &ReadTransaction, scope: &Scope, input: OfTable) -> Result<Value, ApiError> {
    table::existing(tx, scope, &input.database_name, &input.table_name)?;
    Ok(json!({ "PartitionIndexDescriptorList": [] }))
}
