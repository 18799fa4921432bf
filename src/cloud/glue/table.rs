//! Tables, as they are now. What they were is in `version`.

use redb::{ReadTransaction, WriteTransaction};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    CHUNK_ENTRIES, Empty, Paging, Scope, already_exists, at_most, database, detail, folded, invalid,
    model::{self, Column, TableInput, catalog_id},
    not_found,
    notice::Changed,
    page, partition, remove_all, tags, version,
};
use crate::cloud::{
    error::ApiError,
    store::{Table, Transaction},
};

const TABLES: Table<model::Table> = Table::new("glue.tables");

/// Most tables of a page, and of a batch.
const PAGE_ENTRIES: usize = 100;
/// Longest name pattern, in bytes.
const EXPRESSION_BYTES: usize = 2048;
/// Memory of a compiled name pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateTable {
    database_name: String,
    table_input: TableInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedTable {
    database_name: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateTable {
    database_name: String,
    table_input: TableInput,
    skip_archive: Option<bool>,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchDeleteTable {
    database_name: String,
    tables_to_delete: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetTables {
    database_name: String,
    expression: Option<String>,
    #[serde(flatten)]
    paging: Paging,
    attributes_to_get: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableList {
    table_list: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The table, if it and its database are there.
pub(super) fn existing(
    tx: &impl Transaction,
    scope: &Scope,
    database: &str,
    name: &str,
) -> Result<model::Table, ApiError> {
    let database = database::existing(tx, scope, database)?.input.name;
    let name = folded(name, "TableName")?;
    let table = TABLES.get(tx, &scope.key(&[&database, &name]))?;
    table.ok_or_else(|| not_found(format!("Table {name} not found.")))
}

pub(super) fn create(tx: &WriteTransaction, scope: &Scope, input: CreateTable) -> Result<Empty, ApiError> {
    let table = insert(tx, scope, &input.database_name, input.table_input)?;
    scope.changed("CreateTable", &table.database_name, Changed::Tables(vec![table.input.name]));
    Ok(Empty {})
}

/// Adds a table that is not there yet.
pub(super) fn insert(
    tx: &WriteTransaction,
    scope: &Scope,
    database: &str,
    input: TableInput,
) -> Result<model::Table, ApiError> {
    let database = database::existing(tx, scope, database)?.input.name;
    let table = model::Table {
        input: checked(input)?,
        database_name: database,
        create_time: scope.now,
        update_time: scope.now,
        created_by: scope.caller.clone(),
        version_id: "0".into(),
        is_registered_with_lake_formation: false,
        is_multi_dialect_view: false,
        catalog_id: catalog_id(),
    };
    let key = scope.key(&[&table.database_name, &table.input.name]);
    if TABLES.get(tx, &key)?.is_some() {
        return Err(already_exists("Table already exists."));
    }
    TABLES.put(tx, &key, &table)?;
    Ok(table)
}

/// Visits every table of a database.
pub(super) fn each(
    tx: &impl Transaction,
    scope: &Scope,
    database: &str,
    mut visit: impl FnMut(model::Table),
) -> Result<(), ApiError> {
    let inside = scope.inside(&[database]);
    let mut after = None;
    loop {
        let chunk = TABLES.scan(tx, &inside, after.as_deref(), CHUNK_ENTRIES)?;
        let last = chunk.len() < CHUNK_ENTRIES;
        for (key, table) in chunk {
            after = Some(key);
            visit(table);
        }
        if last {
            return Ok(());
        }
    }
}

pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedTable) -> Result<Value, ApiError> {
    let database = database::existing(tx, scope, &input.database_name)?.input.name;
    let name = folded(&input.name, "Name")?;
    let table = TABLES.get(tx, &scope.key(&[&database, &name]))?;
    Ok(json!({ "Table": table.ok_or_else(|| not_found("Entity Not Found"))? }))
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: GetTables) -> Result<TableList, ApiError> {
    let database = database::existing(tx, scope, &input.database_name)?.input.name;
    let pattern = input.expression.as_deref().filter(|text| !text.is_empty()).map(name_pattern).transpose()?;
    let matches = |table: &model::Table| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&table.input.name));
    let (tables, next_token) =
        page(tx, &TABLES, &scope.inside(&[&database]), &input.paging, PAGE_ENTRIES, |_, table| matches(table))?;
    let wanted = input.attributes_to_get.unwrap_or_default();
    Ok(TableList { table_list: tables.into_iter().map(|table| told(table, &wanted)).collect(), next_token })
}

/// The whole table, or what `AttributesToGet` wants of it.
fn told(table: model::Table, wanted: &[String]) -> Value {
    if wanted.is_empty() {
        return json!(table);
    }
    let mut some = json!({ "Name": table.input.name });
    if wanted.iter().any(|attribute| attribute == "TABLE_TYPE") {
        some["TableType"] = json!(table.input.table_type);
    }
    some
}

/// A regular expression over the whole name. As in Hive, a `*` that has nothing to repeat stands for any letters
/// (`*orders`, `orders_*`), which is how clients ask for prefixes and suffixes.
fn name_pattern(expression: &str) -> Result<Regex, ApiError> {
    at_most(expression.len(), EXPRESSION_BYTES, "expression")?;
    let mut pattern = String::from("^(?:");
    let mut before = None;
    for letter in expression.chars() {
        if letter == '*' && !matches!(before, Some('.' | ']' | ')' | '}' | '\\')) {
            pattern.push('.');
        }
        pattern.push(letter);
        before = Some(letter);
    }
    pattern.push_str(")$");
    let compiled = RegexBuilder::new(&pattern).case_insensitive(true).size_limit(PATTERN_BYTES).build();
    compiled.map_err(|error| invalid(format!("Expression `{expression}` is not a regular expression: {error}")))
}

pub(super) fn update(tx: &WriteTransaction, scope: &Scope, input: UpdateTable) -> Result<Empty, ApiError> {
    let old = existing(tx, scope, &input.database_name, &input.table_input.name)?;
    if input.version_id.is_some_and(|version| version != old.version_id) {
        return Err(ApiError::client(
            "ConcurrentModificationException",
            "Update table failed due to concurrent modifications.",
        ));
    }
    let new = replace(tx, scope, old, input.table_input, !input.skip_archive.unwrap_or_default())?;
    scope.changed_table("UpdateTable", &new.database_name, &new.input.name);
    Ok(Empty {})
}

/// Makes `old`, which may be kept as a version, into what `input` says.
pub(super) fn replace(
    tx: &WriteTransaction,
    scope: &Scope,
    old: model::Table,
    input: TableInput,
    archive: bool,
) -> Result<model::Table, ApiError> {
    if archive {
        version::archive(tx, scope, &old)?;
    }
    let version_id = (version::number(&old.version_id)? + 1).to_string();
    let new = model::Table { input: checked(input)?, update_time: scope.now, version_id, ..old };
    TABLES.put(tx, &scope.key(&[&new.database_name, &new.input.name]), &new)?;
    Ok(new)
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: NamedTable) -> Result<Empty, ApiError> {
    let (database, name) = remove(tx, scope, &input.database_name, &input.name)?;
    scope.changed("DeleteTable", &database, Changed::Tables(vec![name]));
    Ok(Empty {})
}

pub(super) fn batch_delete(tx: &WriteTransaction, scope: &Scope, input: BatchDeleteTable) -> Result<Value, ApiError> {
    at_most(input.tables_to_delete.len(), PAGE_ENTRIES, "tablesToDelete")?;
    let database = database::existing(tx, scope, &input.database_name)?.input.name;
    let (mut errors, mut removed) = (Vec::new(), Vec::new());
    for name in &input.tables_to_delete {
        match remove(tx, scope, &database, name) {
            Ok((_, name)) => removed.push(name),
            Err(error) if error.status.is_client_error() => {
                errors.push(json!({ "TableName": name, "ErrorDetail": detail(&error) }));
            }
            Err(error) => return Err(error),
        }
    }
    if !removed.is_empty() {
        scope.changed("BatchDeleteTable", &database, Changed::Tables(removed));
    }
    Ok(json!({ "Errors": errors }))
}

/// Removes a table with its versions, partitions and tags; tells the names that it was kept under.
pub(super) fn remove(
    tx: &WriteTransaction,
    scope: &Scope,
    database: &str,
    name: &str,
) -> Result<(String, String), ApiError> {
    let table = existing(tx, scope, database, name)?;
    let (database, name) = (table.database_name, table.input.name);
    TABLES.delete(tx, &scope.key(&[&database, &name]))?;
    version::remove_all_inside(tx, &scope.inside(&[&database, &name]))?;
    partition::remove_all_inside(tx, &scope.inside(&[&database, &name]))?;
    tags::forget(tx, &tags::table_arn(scope, &database, &name))?;
    Ok((database, name))
}

/// Removes all tables of a database.
pub(super) fn remove_all_of(tx: &WriteTransaction, scope: &Scope, database: &str) -> Result<(), ApiError> {
    let inside = scope.inside(&[database]);
    remove_all(tx, &TABLES, &inside)?;
    version::remove_all_inside(tx, &inside)?;
    partition::remove_all_inside(tx, &inside)?;
    tags::forget_all(tx, &tags::table_arn(scope, database, ""))
}

fn checked(mut table: TableInput) -> Result<TableInput, ApiError> {
    table.name = folded(&table.name, "Name")?;
    let columns = table.storage_descriptor.iter().filter_map(|storage| storage.columns.as_ref()).flatten();
    for column in columns.chain(table.partition_keys.iter().flatten()) {
        check_column(column)?;
    }
    Ok(table)
}

pub(super) fn check_column(column: &Column) -> Result<(), ApiError> {
    folded(&column.name, "Column.Name")?;
    column.r#type.as_deref().map_or(Ok(()), |kind| super::single_line(kind, "Column.Type"))
}
