//! Tags of rules and buses, kept by ARN.

use std::collections::BTreeMap;

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{RuleName, Scope, Tag, existing_bus, invalid, not_found, rule_name};
use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{Table, Transaction},
};

const TAGS: Table<BTreeMap<String, String>> = Table::new("events.tags");

/// Tags of one resource; AWS's limit.
const TAGS_PER_RESOURCE: usize = 50;
/// Longest key, in letters.
const KEY_LETTERS: usize = 128;
/// Longest value, in letters.
const VALUE_LETTERS: usize = 256;

#[derive(Deserialize)]
pub(super) struct TagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
pub(super) struct UntagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    #[serde(rename = "TagKeys")]
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ListTags {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
}

/// Adds `given` to the tags of the resource at `arn`.
pub(super) fn set(tx: &WriteTransaction, arn: &str, given: Vec<Tag>) -> Result<(), ApiError> {
    if given.is_empty() {
        return Ok(());
    }
    let mut tags = TAGS.get(tx, arn)?.unwrap_or_default();
    for Tag { key, value } in given {
        let fits = (1..=KEY_LETTERS).contains(&key.chars().count()) && value.chars().count() <= VALUE_LETTERS;
        if !fits || key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(invalid(format!(
                "The tag `{key}` is not valid: a key has 1 to {KEY_LETTERS} letters and does not begin with aws:, a \
                 value has at most {VALUE_LETTERS}."
            )));
        }
        tags.insert(key, value);
    }
    if tags.len() > TAGS_PER_RESOURCE {
        return Err(invalid(format!("A resource has at most {TAGS_PER_RESOURCE} tags.")));
    }
    Ok(TAGS.put(tx, arn, &tags)?)
}

/// Removes the tags of a resource that is no more.
pub(super) fn forget(tx: &WriteTransaction, arn: &str) -> Result<(), ApiError> {
    TAGS.delete(tx, arn)?;
    Ok(())
}

/// Refuses an ARN that names no rule and no bus.
fn existing(tx: &impl Transaction, scope: &Scope, arn: &str) -> Result<(), ApiError> {
    let prefix = format!("arn:aws:events:{}:{ACCOUNT_ID}:", scope.region);
    let path = arn.strip_prefix(&prefix).and_then(|resource| resource.split_once('/'));
    match path {
        Some(("rule", path)) => {
            let (bus, name) = path.split_once('/').map_or((None, path), |(bus, name)| (Some(bus), name));
            let name: RuleName = rule_name(tx, scope, bus, name.to_owned())?;
            name.existing(tx).map(drop)
        }
        Some(("event-bus", name)) => existing_bus(tx, scope, Some(name)).map(drop),
        _ => Err(not_found(format!("{arn} names no rule and no event bus of this account in {}.", scope.region))),
    }
}

pub(super) fn tag(tx: &WriteTransaction, scope: &Scope, input: TagResource) -> Result<Value, ApiError> {
    existing(tx, scope, &input.resource_arn)?;
    set(tx, &input.resource_arn, input.tags)?;
    Ok(json!({}))
}

pub(super) fn untag(tx: &WriteTransaction, scope: &Scope, input: UntagResource) -> Result<Value, ApiError> {
    existing(tx, scope, &input.resource_arn)?;
    let mut tags = TAGS.get(tx, &input.resource_arn)?.unwrap_or_default();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    TAGS.put(tx, &input.resource_arn, &tags)?;
    Ok(json!({}))
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: ListTags) -> Result<Value, ApiError> {
    existing(tx, scope, &input.resource_arn)?;
    let tags = TAGS.get(tx, &input.resource_arn)?.unwrap_or_default();
    let tags: Vec<Value> = tags.into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
