//! Many partitions in one call: what fails is told entry by entry, the rest is done.

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Scope, at_most, detail, model::PartitionInput, partition, table};
use crate::cloud::error::ApiError;

/// Partitions that one call creates.
const CREATED: usize = 100;
/// Partitions that one call deletes.
const DELETED: usize = 25;
/// Partitions that one call reads.
const READ: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchCreate {
    database_name: String,
    table_name: String,
    partition_input_list: Vec<PartitionInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Values {
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchGet {
    database_name: String,
    table_name: String,
    partitions_to_get: Vec<Values>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchDelete {
    database_name: String,
    table_name: String,
    partitions_to_delete: Vec<Values>,
}

pub(super) fn create(tx: &WriteTransaction, scope: &Scope, input: BatchCreate) -> Result<Value, ApiError> {
    at_most(input.partition_input_list.len(), CREATED, "partitionInputList")?;
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let (mut errors, mut created) = (Vec::new(), Vec::new());
    for entry in input.partition_input_list {
        let values = entry.values.clone();
        if note(&mut errors, &values, partition::insert(tx, scope, &table, entry))? {
            created.push(values);
        }
    }
    scope.changed_partitions("BatchCreatePartition", &table.database_name, &table.input.name, created);
    Ok(json!({ "Errors": errors }))
}

/// Those that are there; a partition that is not is left out.
pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: BatchGet) -> Result<Value, ApiError> {
    at_most(input.partitions_to_get.len(), READ, "partitionsToGet")?;
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let mut found = Vec::new();
    for entry in &input.partitions_to_get {
        found.extend(partition::find(tx, scope, &table, &entry.values)?);
    }
    Ok(json!({ "Partitions": found, "UnprocessedKeys": [] }))
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: BatchDelete) -> Result<Value, ApiError> {
    at_most(input.partitions_to_delete.len(), DELETED, "partitionsToDelete")?;
    let table = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let (mut errors, mut deleted) = (Vec::new(), Vec::new());
    for entry in input.partitions_to_delete {
        if note(&mut errors, &entry.values, partition::remove(tx, scope, &table, &entry.values))? {
            deleted.push(entry.values);
        }
    }
    scope.changed_partitions("BatchDeletePartition", &table.database_name, &table.input.name, deleted);
    Ok(json!({ "Errors": errors }))
}

/// Whether it was done. What the caller can mend is told with the entry; what it cannot ends the call.
fn note(errors: &mut Vec<Value>, values: &[String], outcome: Result<(), ApiError>) -> Result<bool, ApiError> {
    match outcome {
        Err(error) if error.status.is_client_error() => {
            errors.push(json!({ "PartitionValues": values, "ErrorDetail": detail(&error) }));
            Ok(false)
        }
        outcome => outcome.map(|()| true),
    }
}
