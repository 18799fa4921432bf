//! Databases.

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Empty, Paging, Scope, already_exists, folded, invalid,
    model::{Database, DatabaseInput, Map, catalog_id},
    not_found,
    notice::Changed,
    page, table, tags,
};
use crate::cloud::{
    error::ApiError,
    store::{Table, Transaction},
};

const DATABASES: Table<Database> = Table::new("glue.databases");

/// Most databases of a page.
const PAGE_ENTRIES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateDatabase {
    database_input: DatabaseInput,
    tags: Option<Map>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedDatabase {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateDatabase {
    name: String,
    database_input: DatabaseInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetDatabases {
    #[serde(flatten)]
    paging: Paging,
    attributes_to_get: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DatabaseList {
    database_list: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The database's name as it is kept, if it is there.
pub(super) fn existing(tx: &impl Transaction, scope: &Scope, name: &str) -> Result<Database, ApiError> {
    let name = folded(name, "DatabaseName")?;
    let database = DATABASES.get(tx, &scope.key(&[&name]))?;
    database.ok_or_else(|| not_found(format!("Database {name} not found.")))
}

pub(super) fn create(tx: &WriteTransaction, scope: &Scope, input: CreateDatabase) -> Result<Empty, ApiError> {
    let mut database = input.database_input;
    database.name = folded(&database.name, "Name")?;
    let key = scope.key(&[&database.name]);
    if DATABASES.get(tx, &key)?.is_some() {
        return Err(already_exists("Database already exists."));
    }
    if let Some(given) = input.tags {
        tags::set(tx, &tags::database_arn(scope, &database.name), given)?;
    }
    scope.changed("CreateDatabase", &database.name, Changed::Database);
    DATABASES.put(tx, &key, &Database { input: database, create_time: scope.now, catalog_id: catalog_id() })?;
    Ok(Empty {})
}

pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedDatabase) -> Result<Value, ApiError> {
    Ok(json!({ "Database": existing(tx, scope, &input.name)? }))
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: GetDatabases) -> Result<DatabaseList, ApiError> {
    let (databases, next_token) = page(tx, &DATABASES, &scope.inside(&[]), &input.paging, PAGE_ENTRIES, |_, _| true)?;
    let names_only = input.attributes_to_get.is_some_and(|wanted| wanted == ["NAME"]);
    let told = |database: Database| if names_only { json!({ "Name": database.input.name }) } else { json!(database) };
    Ok(DatabaseList { database_list: databases.into_iter().map(told).collect(), next_token })
}

pub(super) fn update(tx: &WriteTransaction, scope: &Scope, input: UpdateDatabase) -> Result<Empty, ApiError> {
    let old = existing(tx, scope, &input.name)?;
    let mut database = input.database_input;
    database.name = folded(&database.name, "Name")?;
    if database.name != old.input.name {
        return Err(invalid(format!(
            "a database keeps its name: {} cannot become {}; create that one instead",
            old.input.name, database.name
        )));
    }
    let key = scope.key(&[&database.name]);
    DATABASES.put(tx, &key, &Database { input: database, ..old })?;
    Ok(Empty {})
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: NamedDatabase) -> Result<Empty, ApiError> {
    let name = existing(tx, scope, &input.name)?.input.name;
    DATABASES.delete(tx, &scope.key(&[&name]))?;
    table::remove_all_of(tx, scope, &name)?;
    tags::forget(tx, &tags::database_arn(scope, &name))?;
    scope.changed("DeleteDatabase", &name, Changed::Database);
    Ok(Empty {})
}
