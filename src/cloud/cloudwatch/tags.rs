//! Tags of alarms and dashboards, kept by ARN.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_TagResource.html>

use std::collections::BTreeMap;

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Done, Scope,
    alarm::{self, ALARMS},
    dashboard,
    fault::{Fault, invalid_value, nothing_to_tag},
    values::input,
};
use crate::cloud::{
    service::ACCOUNT_ID,
    store::{StoreError, Table, Transaction},
};

const TAGS: Table<BTreeMap<String, String>> = Table::new("cloudwatch.tags");

/// Tags of one resource; AWS's limit.
const TAGS_PER_RESOURCE: usize = 50;
/// Longest key and value, in letters.
const KEY_LETTERS: usize = 128;
const VALUE_LETTERS: usize = 256;

/// A tag of an input.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UntagResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
    #[serde(rename = "TagKeys")]
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListTagsForResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
}

/// Refuses an ARN of nothing that is there.
fn check(tx: &impl Transaction, scope: &Scope, arn: &str) -> Result<(), Fault> {
    let alarms = alarm::arn(&scope.region, "");
    let dashboards = dashboard::arn("");
    let is_there = if let Some(name) = arn.strip_prefix(&alarms) {
        ALARMS.get(tx, &alarm::key(&scope.region, name))?.is_some()
    } else if let Some(name) = arn.strip_prefix(&dashboards) {
        dashboard::exists(tx, name)?
    } else {
        return Err(invalid_value(format!(
            "The value {arn} for parameter ResourceARN is invalid: it is neither an alarm nor a dashboard of account \
             {ACCOUNT_ID} in {}.",
            scope.region
        )));
    };
    if is_there { Ok(()) } else { Err(nothing_to_tag(arn)) }
}

/// Adds `given` to the tags of the resource at `arn`.
pub(super) fn set(tx: &WriteTransaction, arn: &str, given: &[Tag]) -> Result<(), Fault> {
    if given.is_empty() {
        return Ok(());
    }
    let mut tags = TAGS.get(tx, arn)?.unwrap_or_default();
    for Tag { key, value } in given {
        if !(1..=KEY_LETTERS).contains(&key.chars().count()) || value.chars().count() > VALUE_LETTERS {
            return Err(invalid_value(format!(
                "The tag {key:?} is invalid: a key has 1 to {KEY_LETTERS} and a value 0 to {VALUE_LETTERS} letters."
            )));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(invalid_value(format!(
                "The tag {key:?} is invalid: AWS keeps keys that begin with aws: for itself."
            )));
        }
        tags.insert(key.clone(), value.clone());
    }
    if tags.len() > TAGS_PER_RESOURCE {
        return Err(invalid_value(format!("{arn} would have {} tags; the limit is {TAGS_PER_RESOURCE}.", tags.len())));
    }
    Ok(TAGS.put(tx, arn, &tags)?)
}

/// Removes the tags of a resource that is no more.
pub(super) fn forget(tx: &WriteTransaction, arn: &str) -> Result<(), StoreError> {
    TAGS.delete(tx, arn).map(drop)
}

/// The tags of the resource at `arn`.
pub(super) fn of(tx: &impl Transaction, arn: &str) -> Result<BTreeMap<String, String>, StoreError> {
    Ok(TAGS.get(tx, arn)?.unwrap_or_default())
}

/// `TagResource`
pub(super) fn tag(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let TagResource { arn, tags } = input(value)?;
    check(tx, scope, &arn)?;
    set(tx, &arn, &tags)?;
    Ok(Done::with(json!({})))
}

/// `UntagResource`
pub(super) fn untag(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let UntagResource { arn, keys } = input(value)?;
    check(tx, scope, &arn)?;
    let mut tags = of(tx, &arn)?;
    tags.retain(|key, _| !keys.contains(key));
    TAGS.put(tx, &arn, &tags)?;
    Ok(Done::with(json!({})))
}

/// `ListTagsForResource`
pub(super) fn list(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let ListTagsForResource { arn } = input(value)?;
    check(tx, scope, &arn)?;
    let tags = of(tx, &arn)?;
    let tags: Vec<_> = tags.into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
