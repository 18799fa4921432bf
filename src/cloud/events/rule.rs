//! Rules. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    model::{
        DEFAULT_BUS, Paging, RULES, Rule, RuleName, SCHEDULED, Scope, TARGETS, Tag, bus_key, changed, check_length,
        constraint_error, existing_bus, invalid, limit_exceeded, rule_name, without_nulls,
    },
    pattern::Pattern,
    schedule::Schedule,
    tags,
};
use crate::cloud::{error::ApiError, service::ACCOUNT_ID};

/// Rules a bus; AWS's quota. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>
pub(super) const RULES_PER_BUS: usize = 300;
/// Longest pattern, in letters.
const PATTERN_LETTERS: usize = 4096;
/// Longest schedule expression, in letters.
const SCHEDULE_LETTERS: usize = 256;
/// Longest description, in letters.
const DESCRIPTION_LETTERS: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    name: String,
    schedule_expression: Option<String>,
    event_pattern: Option<String>,
    state: Option<String>,
    description: Option<String>,
    role_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    name: String,
    event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    name_prefix: Option<String>,
    event_bus_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// Makes a rule or replaces it; what is left out of the call is left out of the rule. Its targets stay.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>
pub(super) fn put(tx: &WriteTransaction, scope: &Scope, input: Put) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.name)?;
    let pattern = input.event_pattern.filter(|pattern| !pattern.is_empty());
    let schedule = input.schedule_expression.filter(|schedule| !schedule.is_empty());
    check(&name, pattern.as_deref(), schedule.as_deref())?;
    check_length("description", input.description.as_deref(), DESCRIPTION_LETTERS)?;
    let enabled = match input.state.as_deref() {
        None | Some("ENABLED") => true,
        Some("DISABLED") => false,
        Some("ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS") => {
            return Err(invalid("Parameter State is not valid. Reason: the embedded cloud has no CloudTrail events."));
        }
        Some(other) => {
            let states = "[ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]";
            return Err(constraint_error("state", other, &format!("Member must satisfy enum value set: {states}")));
        }
    };
    let key = name.key();
    let before = RULES.get(tx, &key)?;
    if before.is_none() {
        let bus = format!("{}/", bus_key(&name.region, &name.bus));
        if RULES.scan(tx, &bus, None, RULES_PER_BUS)?.len() == RULES_PER_BUS {
            return Err(limit_exceeded());
        }
        // "If you are updating an existing rule, any tags you specify in the PutRule operation are ignored."
        tags::set(tx, &name.arn(), input.tags.unwrap_or_default())?;
    }
    let same = before.filter(|before| before.schedule == schedule && before.enabled == enabled);
    let scheduled = same.map_or(scope.now, |before| before.scheduled);
    let (description, role_arn) = (input.description, input.role_arn);
    save(tx, &name, &Rule { pattern, schedule, enabled, description, role_arn, scheduled })?;
    Ok(json!({ "RuleArn": name.arn() }))
}

fn check(name: &RuleName, pattern: Option<&str>, schedule: Option<&str>) -> Result<(), ApiError> {
    if pattern.is_none() && schedule.is_none() {
        return Err(invalid("Parameter(s) EventPattern or ScheduleExpression must be specified."));
    }
    check_length("eventPattern", pattern, PATTERN_LETTERS)?;
    check_length("scheduleExpression", schedule, SCHEDULE_LETTERS)?;
    if let Some(pattern) = pattern {
        Pattern::parse(pattern).map_err(|error| ApiError::client("InvalidEventPatternException", error.to_string()))?;
    }
    let Some(schedule) = schedule else { return Ok(()) };
    if name.bus != DEFAULT_BUS {
        return Err(invalid("ScheduleExpression is supported only on the default event bus."));
    }
    if Schedule::parse(schedule).is_none() {
        return Err(invalid("Parameter ScheduleExpression is not valid."));
    }
    Ok(())
}

fn save(tx: &WriteTransaction, name: &RuleName, rule: &Rule) -> Result<(), ApiError> {
    let key = name.key();
    RULES.put(tx, &key, rule)?;
    match rule.schedule {
        Some(_) => SCHEDULED.put(tx, &key, &())?,
        None => drop(SCHEDULED.delete(tx, &key)?),
    }
    changed(tx, &name.region, &name.bus)
}

/// "Before you can delete the rule, you must remove all targets." Deleting what is not there succeeds.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteRule.html>
pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.name)?;
    if !TARGETS.scan(tx, &name.targets(), None, 1)?.is_empty() {
        return Err(invalid("Rule can't be deleted since it has targets."));
    }
    RULES.delete(tx, &name.key())?;
    SCHEDULED.delete(tx, &name.key())?;
    tags::forget(tx, &name.arn())?;
    changed(tx, &name.region, &name.bus)?;
    Ok(json!({}))
}

pub(super) fn enable(tx: &WriteTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    switch(tx, scope, input, true)
}

pub(super) fn disable(tx: &WriteTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    switch(tx, scope, input, false)
}

fn switch(tx: &WriteTransaction, scope: &Scope, input: Named, enabled: bool) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.name)?;
    let mut rule = name.existing(tx)?;
    if rule.enabled != enabled {
        rule.enabled = enabled;
        rule.scheduled = scope.now;
        save(tx, &name, &rule)?;
    }
    Ok(json!({}))
}

pub(super) fn describe(tx: &ReadTransaction, scope: &Scope, input: Named) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.name)?;
    let mut shown = shown(&name, name.existing(tx)?);
    shown["CreatedBy"] = ACCOUNT_ID.into();
    Ok(shown)
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: List) -> Result<Value, ApiError> {
    let bus = existing_bus(tx, scope, input.event_bus_name.as_deref())?;
    let (region, prefix) = (&scope.region, input.name_prefix.unwrap_or_default());
    let of_bus = format!("{}/", bus_key(region, &bus));
    let (rules, token) = input.paging.page(tx, &RULES, &of_bus, |name, _| name.starts_with(&prefix))?;
    let named = |name| RuleName { region: region.clone(), bus: bus.clone(), name };
    let rules: Vec<Value> = rules.into_iter().map(|(name, rule)| shown(&named(name), rule)).collect();
    Ok(without_nulls(json!({ "Rules": rules, "NextToken": token })))
}

fn shown(name: &RuleName, rule: Rule) -> Value {
    without_nulls(json!({
        "Name": name.name,
        "Arn": name.arn(),
        "EventPattern": rule.pattern,
        "ScheduleExpression": rule.schedule,
        "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
        "Description": rule.description,
        "RoleArn": rule.role_arn,
        "EventBusName": name.bus,
    }))
}
