//! What tables were before they were updated.

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Empty, Paging, Scope, at_most, detail, invalid, model, not_found, page, remove_all, table};
use crate::cloud::{
    error::ApiError,
    store::{Table, Transaction},
};

/// Archived versions; the current one is in the table itself.
const VERSIONS: Table<model::Table> = Table::new("glue.table_versions");

/// Most versions of a page, and of a batch.
const PAGE_ENTRIES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedVersion {
    database_name: String,
    table_name: String,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetTableVersions {
    database_name: String,
    table_name: String,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchDeleteTableVersion {
    database_name: String,
    table_name: String,
    version_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableVersions {
    table_versions: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) fn number(version: &str) -> Result<u64, ApiError> {
    version.parse().map_err(|_| invalid(format!("VersionId `{version}` is not a whole number")))
}

/// Versions are kept newest first.
fn key(scope: &Scope, database: &str, table: &str, version: u64) -> String {
    scope.key(&[database, table, &format!("{:020}", u64::MAX - version)])
}

pub(super) fn archive(tx: &WriteTransaction, scope: &Scope, old: &model::Table) -> Result<(), ApiError> {
    let key = key(scope, &old.database_name, &old.input.name, number(&old.version_id)?);
    Ok(VERSIONS.put(tx, &key, old)?)
}

pub(super) fn remove_all_inside(tx: &WriteTransaction, prefix: &str) -> Result<(), ApiError> {
    remove_all(tx, &VERSIONS, prefix)
}

fn told(version: &model::Table) -> Value {
    json!({ "Table": version, "VersionId": version.version_id })
}

pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedVersion) -> Result<Value, ApiError> {
    let current = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let version = match input.version_id {
        Some(wanted) if wanted != current.version_id => archived(tx, scope, &current, &wanted)?,
        _ => current,
    };
    Ok(json!({ "TableVersion": told(&version) }))
}

fn archived(
    tx: &impl Transaction,
    scope: &Scope,
    current: &model::Table,
    wanted: &str,
) -> Result<model::Table, ApiError> {
    let key = key(scope, &current.database_name, &current.input.name, number(wanted)?);
    VERSIONS
        .get(tx, &key)?
        .ok_or_else(|| not_found(format!("Version {wanted} of table {} not found.", current.input.name)))
}

/// The current version first, then the archived ones from new to old.
pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: GetTableVersions) -> Result<TableVersions, ApiError> {
    let current = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let inside = scope.inside(&[&current.database_name, &current.input.name]);
    let first = input.paging.next_token.is_none();
    let limit = input.paging.limit(PAGE_ENTRIES)?;
    let mut versions = if first { vec![told(&current)] } else { Vec::new() };
    if versions.len() == limit {
        // The empty key stands before all others, so that the next page begins with the first archived version.
        let more = !VERSIONS.scan(tx, &inside, None, 1)?.is_empty();
        return Ok(TableVersions { table_versions: versions, next_token: more.then(|| hex::encode(" ")) });
    }
    let rest = Paging { max_results: i64::try_from(limit - versions.len()).ok(), ..input.paging };
    let (archived, next_token) = page(tx, &VERSIONS, &inside, &rest, PAGE_ENTRIES, |_, _| true)?;
    versions.extend(archived.iter().map(told));
    Ok(TableVersions { table_versions: versions, next_token })
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: NamedVersion) -> Result<Empty, ApiError> {
    let current = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let Some(version) = input.version_id else {
        return Err(ApiError::client("ValidationException", crate::cloud::json::must_not_be_null("versionId")));
    };
    remove(tx, scope, &current, &version)?;
    Ok(Empty {})
}

pub(super) fn batch_delete(
    tx: &WriteTransaction,
    scope: &Scope,
    input: BatchDeleteTableVersion,
) -> Result<Value, ApiError> {
    at_most(input.version_ids.len(), PAGE_ENTRIES, "versionIds")?;
    let current = table::existing(tx, scope, &input.database_name, &input.table_name)?;
    let mut errors = Vec::new();
    for version in &input.version_ids {
        match remove(tx, scope, &current, version) {
            Ok(()) => (),
            Err(error) if error.status.is_client_error() => errors.push(json!({
                "TableName": current.input.name,
                "VersionId": version,
                "ErrorDetail": detail(&error),
            })),
            Err(error) => return Err(error),
        }
    }
    Ok(json!({ "Errors": errors }))
}

fn remove(tx: &WriteTransaction, scope: &Scope, current: &model::Table, version: &str) -> Result<(), ApiError> {
    if version == current.version_id {
        return Err(invalid(format!("version {version} is the table's current one; it goes with the table")));
    }
    archived(tx, scope, current, version)?;
    VERSIONS.delete(tx, &key(scope, &current.database_name, &current.input.name, number(version)?))?;
    Ok(())
}
