//! Tags of databases, tables and crawlers, kept by ARN.

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Empty, Scope, crawler, database, folded, invalid, model::Map, not_found, remove_all, table};
use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{Table, Transaction},
};

const TAGS: Table<Map> = Table::new("glue.tags");

/// Tags of one resource; AWS's limit.
const TAGS_PER_RESOURCE: usize = 50;
/// Longest key, in letters.
const KEY_LETTERS: usize = 128;
/// Longest value, in letters.
const VALUE_LETTERS: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResource {
    resource_arn: String,
    tags_to_add: Map,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResource {
    resource_arn: String,
    tags_to_remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetTags {
    resource_arn: String,
}

pub(super) fn database_arn(scope: &Scope, database: &str) -> String {
    format!("arn:aws:glue:{}:{ACCOUNT_ID}:database/{database}", scope.region)
}

pub(super) fn table_arn(scope: &Scope, database: &str, table: &str) -> String {
    format!("arn:aws:glue:{}:{ACCOUNT_ID}:table/{database}/{table}", scope.region)
}

pub(super) fn crawler_arn(scope: &Scope, crawler: &str) -> String {
    format!("arn:aws:glue:{}:{ACCOUNT_ID}:crawler/{crawler}", scope.region)
}

/// The tags of the resource at `arn`.
pub(super) fn of(tx: &impl Transaction, arn: &str) -> Result<Map, ApiError> {
    Ok(TAGS.get(tx, arn)?.unwrap_or_default())
}

/// The ARN as tags are kept under it, if what it names is there.
fn existing(tx: &impl Transaction, scope: &Scope, arn: &str) -> Result<String, ApiError> {
    let prefix = format!("arn:aws:glue:{}:{ACCOUNT_ID}:", scope.region);
    let path = arn.strip_prefix(&prefix).and_then(|resource| resource.split_once('/'));
    match path {
        Some(("database", name)) => {
            database::existing(tx, scope, name)?;
            Ok(database_arn(scope, &folded(name, "ResourceArn")?))
        }
        Some(("table", path)) => {
            let Some((database, name)) = path.split_once('/') else {
                return Err(invalid(format!("{arn} is not table/DATABASE/TABLE")));
            };
            table::existing(tx, scope, database, name)?;
            Ok(table_arn(scope, &folded(database, "ResourceArn")?, &folded(name, "ResourceArn")?))
        }
        Some(("crawler", name)) => {
            crawler::check_exists(tx, scope, name)?;
            Ok(crawler_arn(scope, name))
        }
        Some((kind, _)) => Err(not_found(format!("{arn}: the embedded cloud's Glue has no {kind}"))),
        None => Err(invalid(format!("{arn} is not an ARN of Glue in {}, account {ACCOUNT_ID}", scope.region))),
    }
}

/// Adds `given` to the tags of the resource at `arn`.
pub(super) fn set(tx: &WriteTransaction, arn: &str, given: Map) -> Result<(), ApiError> {
    for (key, value) in &given {
        let key_letters = key.chars().count();
        if !(1..=KEY_LETTERS).contains(&key_letters) || value.chars().count() > VALUE_LETTERS {
            return Err(invalid(format!(
                "the tag `{key}` must have a key of 1 to {KEY_LETTERS} and a value of 0 to {VALUE_LETTERS} letters"
            )));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(invalid(format!("the tag `{key}` begins with aws:, which AWS keeps for itself")));
        }
    }
    let mut tags = TAGS.get(tx, arn)?.unwrap_or_default();
    tags.extend(given);
    if tags.len() > TAGS_PER_RESOURCE {
        return Err(invalid(format!("{arn} would have {} tags; the limit is {TAGS_PER_RESOURCE}", tags.len())));
    }
    Ok(TAGS.put(tx, arn, &tags)?)
}

/// Removes the tags of a resource that is no more.
pub(super) fn forget(tx: &WriteTransaction, arn: &str) -> Result<(), ApiError> {
    TAGS.delete(tx, arn)?;
    Ok(())
}

/// Removes the tags of all resources whose ARN begins with `prefix`.
pub(super) fn forget_all(tx: &WriteTransaction, prefix: &str) -> Result<(), ApiError> {
    remove_all(tx, &TAGS, prefix)
}

pub(super) fn tag(tx: &WriteTransaction, scope: &Scope, input: TagResource) -> Result<Empty, ApiError> {
    let arn = existing(tx, scope, &input.resource_arn)?;
    set(tx, &arn, input.tags_to_add)?;
    Ok(Empty {})
}

pub(super) fn untag(tx: &WriteTransaction, scope: &Scope, input: UntagResource) -> Result<Empty, ApiError> {
    let arn = existing(tx, scope, &input.resource_arn)?;
    let mut tags = TAGS.get(tx, &arn)?.unwrap_or_default();
    tags.retain(|key, _| !input.tags_to_remove.contains(key));
    TAGS.put(tx, &arn, &tags)?;
    Ok(Empty {})
}

pub(super) fn get(tx: &ReadTransaction, scope: &Scope, input: GetTags) -> Result<Value, ApiError> {
    let arn = existing(tx, scope, &input.resource_arn)?;
    Ok(json!({ "Tags": TAGS.get(tx, &arn)?.unwrap_or_default() }))
}
