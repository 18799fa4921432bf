//! Event buses. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{
    BUSES, Bus, DEFAULT_BUS, Paging, RULES, Scope, Tag, bus_arn, bus_key, check_length, check_name, existing_bus,
    invalid, limit_exceeded, not_found, without_nulls,
};
use super::tags;
use crate::cloud::{error::ApiError, store::Transaction};

/// Custom buses a region; AWS's quota.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>
const BUSES_PER_REGION: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Create {
    name: String,
    description: Option<String>,
    event_source_name: Option<String>,
    kms_key_identifier: Option<String>,
    dead_letter_config: Option<Value>,
    log_config: Option<Value>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    name_prefix: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

pub(super) fn create(tx: &WriteTransaction, scope: &Scope, input: Create) -> Result<Value, ApiError> {
    check_name("name", &input.name, 256)?;
    check_length("description", input.description.as_deref(), 512)?;
    let settings = [
        ("EventSourceName", input.event_source_name.is_some()),
        ("KmsKeyIdentifier", input.kms_key_identifier.is_some()),
        ("DeadLetterConfig", input.dead_letter_config.is_some()),
        ("LogConfig", input.log_config.is_some()),
    ];
    if let Some((name, _)) = settings.iter().find(|(_, given)| *given) {
        return Err(invalid(format!(
            "Parameter {name} is not valid. Reason: the embedded cloud's buses do not have it."
        )));
    }
    let key = bus_key(&scope.region, &input.name);
    if input.name == DEFAULT_BUS || BUSES.get(tx, &key)?.is_some() {
        return Err(ApiError::client(
            "ResourceAlreadyExistsException",
            format!("Event bus {} already exists.", input.name),
        ));
    }
    if BUSES.scan(tx, &bus_key(&scope.region, ""), None, BUSES_PER_REGION)?.len() == BUSES_PER_REGION {
        return Err(limit_exceeded());
    }
    let arn = bus_arn(&scope.region, &input.name);
    tags::set(tx, &arn, input.tags.unwrap_or_default())?;
    BUSES.put(tx, &key, &Bus { description: input.description.clone(), created: scope.now / 1000 })?;
    Ok(without_nulls(json!({ "EventBusArn": arn, "Description": input.description })))
}

pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    let name = input.name.unwrap_or_default();
    if name == DEFAULT_BUS {
        return Err(invalid(format!("Cannot delete event bus {name}.")));
    }
    check_name("name", &name, 256)?;
    let key = bus_key(&scope.region, &name);
    if !RULES.scan(tx, &format!("{key}/"), None, 1)?.is_empty() {
        return Err(invalid(format!("Cannot delete event bus {name} since it has rules.")));
    }
    // Deleting what is not there succeeds.
    BUSES.delete(tx, &key)?;
    tags::forget(tx, &bus_arn(&scope.region, &name))?;
    Ok(json!({}))
}

pub(super) fn describe(tx: &ReadTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    let name = existing_bus(tx, scope, input.name.as_deref())?;
    shown(tx, scope, &name)
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: List) -> Result<Value, ApiError> {
    let prefix = input.name_prefix.unwrap_or_default();
    let page = input.paging.page(tx, &BUSES, &bus_key(&scope.region, ""), |name, _| name.starts_with(&prefix))?;
    let (buses, token) = page;
    let mut shown_buses = Vec::new();
    if DEFAULT_BUS.starts_with(&prefix) && input.paging.is_first() {
        shown_buses.push(shown(tx, scope, DEFAULT_BUS)?);
    }
    for (name, _) in buses {
        shown_buses.push(shown(tx, scope, &name)?);
    }
    Ok(without_nulls(json!({ "EventBuses": shown_buses, "NextToken": token })))
}

fn shown(tx: &impl Transaction, scope: &Scope, name: &str) -> Result<Value, ApiError> {
    let arn = bus_arn(&scope.region, name);
    if name == DEFAULT_BUS {
        return Ok(json!({ "Name": name, "Arn": arn }));
    }
    let bus = BUSES.get(tx, &bus_key(&scope.region, name))?;
    let bus = bus.ok_or_else(|| not_found(format!("Event bus {name} does not exist.")))?;
    Ok(without_nulls(json!({
        "Name": name, "Arn": arn, "Description": bus.description,
        "CreationTime": bus.created, "LastModifiedTime": bus.created,
    })))
}
