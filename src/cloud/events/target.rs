//! Targets of rules. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html>

use std::collections::BTreeSet;

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    model::{
        InputTransformer, Paging, RULES, RetryPolicy, RuleName, Scope, TARGETS, Target, bus_key, bus_of_arn, changed,
        check_length, check_name, constraint_error, existing_bus, invalid, limit_exceeded, rule_name, without_nulls,
    },
    transform::{Input, TemplateError},
};
use crate::cloud::{error::ApiError, json::must_not_be_null, service::ACCOUNT_ID};

/// Targets a rule; AWS's quota. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>
pub(super) const TARGETS_PER_RULE: usize = 5;
/// Entries of one call.
const ENTRIES_PER_CALL: usize = 100;
/// Longest constant input and template, in letters.
const INPUT_LETTERS: usize = 8192;
/// Longest path, in letters.
const PATH_LETTERS: usize = 256;
/// Variables of a transformer.
const VARIABLES: usize = 100;
/// Longest message group id, in letters.
const GROUP_LETTERS: usize = 100;
/// Retries of a delivery that a policy may ask for.
const RETRIES: std::ops::RangeInclusive<i64> = 0..=185;
/// Ages of an event, in seconds, that a policy may ask for.
const AGES: std::ops::RangeInclusive<i64> = 60..=86_400;
/// Services whose resources can be targets.
const SERVICES: [&str; 4] = ["lambda", "sqs", "sns", "events"];
/// Parameters of targets that are not here.
const UNSUPPORTED: [&str; 8] = [
    "KinesisParameters",
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "HttpParameters",
    "RedshiftDataParameters",
    "SageMakerPipelineParameters",
    "AppSyncParameters",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    rule: String,
    event_bus_name: Option<String>,
    targets: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Remove {
    rule: String,
    event_bus_name: Option<String>,
    ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListByRule {
    rule: String,
    event_bus_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRules {
    target_arn: String,
    event_bus_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// Adds targets, or replaces those with the same id.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html>
pub(super) fn put(tx: &WriteTransaction, scope: &Scope, input: Put) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.rule)?;
    name.existing(tx)?;
    check_count("targets", input.targets.len())?;
    let targets: Vec<Target> =
        input.targets.into_iter().map(|members| parse(&name, members)).collect::<Result<_, _>>()?;
    let there = TARGETS.scan(tx, &name.targets(), None, TARGETS_PER_RULE)?;
    let ids: BTreeSet<&str> = there.iter().map(|(_, target)| target).chain(&targets).map(|it| it.id.as_str()).collect();
    if ids.len() > TARGETS_PER_RULE {
        return Err(limit_exceeded());
    }
    for target in &targets {
        TARGETS.put(tx, &format!("{}{}", name.targets(), target.id), target)?;
    }
    changed(tx, &name.region, &name.bus)?;
    Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
}

pub(super) fn remove(tx: &WriteTransaction, scope: &Scope, input: Remove) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.rule)?;
    name.existing(tx)?;
    check_count("ids", input.ids.len())?;
    for id in &input.ids {
        check_name("ids", id, 64)?;
        TARGETS.delete(tx, &format!("{}{id}", name.targets()))?;
    }
    changed(tx, &name.region, &name.bus)?;
    Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
}

pub(super) fn list(tx: &ReadTransaction, scope: &Scope, input: ListByRule) -> Result<Value, ApiError> {
    let name = rule_name(tx, scope, input.event_bus_name.as_deref(), input.rule)?;
    name.existing(tx)?;
    let (targets, token) = input.paging.page(tx, &TARGETS, &name.targets(), |_, _| true)?;
    let targets: Vec<Target> = targets.into_iter().map(|(_, target)| target).collect();
    Ok(without_nulls(json!({ "Targets": targets, "NextToken": token })))
}

pub(super) fn rules_of(tx: &ReadTransaction, scope: &Scope, input: ListRules) -> Result<Value, ApiError> {
    let bus = existing_bus(tx, scope, input.event_bus_name.as_deref())?;
    let of_bus = format!("{}/", bus_key(&scope.region, &bus));
    let mut named = BTreeSet::new();
    for (key, target) in TARGETS.scan(tx, &of_bus, None, usize::MAX)? {
        if target.arn == input.target_arn {
            named.extend(RuleName::of_key(&key).map(|name| name.name));
        }
    }
    let (rules, token) = input.paging.page(tx, &RULES, &of_bus, |name, _| named.contains(name))?;
    let names: Vec<String> = rules.into_iter().map(|(name, _)| name).collect();
    Ok(without_nulls(json!({ "RuleNames": names, "NextToken": token })))
}

fn check_count(member: &str, count: usize) -> Result<(), ApiError> {
    let constraint = match count {
        0 => "Member must have length greater than or equal to 1".to_owned(),
        count if count > ENTRIES_PER_CALL => {
            format!("Member must have length less than or equal to {ENTRIES_PER_CALL}")
        }
        _ => return Ok(()),
    };
    Err(constraint_error(member, &format!("[{count} entries]"), &constraint))
}

fn parse(rule: &RuleName, members: Map<String, Value>) -> Result<Target, ApiError> {
    for required in ["Id", "Arn"] {
        if members.get(required).is_none_or(Value::is_null) {
            let member = format!("targets.1.member.{}", required.to_lowercase());
            return Err(invalid(must_not_be_null(&member)));
        }
    }
    if let Some(name) = UNSUPPORTED.iter().find(|name| members.get(**name).is_some_and(|value| !value.is_null())) {
        return Err(invalid(format!("Parameter {name} is not valid. Reason: the embedded cloud has no such targets.")));
    }
    let target: Target = crate::cloud::json::decode(Value::Object(members))?;
    check_name("targets.1.member.id", &target.id, 64)?;
    check_arn(rule, &target)?;
    check_input(rule, &target)?;
    check_policies(&target)?;
    Ok(target)
}

fn check_arn(rule: &RuleName, target: &Target) -> Result<(), ApiError> {
    let refuse = |reason: &str| Err(invalid(format!("Parameter {} is not valid. Reason: {reason}", target.arn)));
    check_length("targets.1.member.arn", Some(&target.arn), 1600)?;
    let parts: Vec<&str> = target.arn.splitn(6, ':').collect();
    let [_, _, service, region, account, resource] = parts.as_slice() else {
        return refuse("Provided Arn is not in correct format.");
    };
    if !target.arn.starts_with("arn:aws:") || resource.is_empty() {
        return refuse("Provided Arn is not in correct format.");
    }
    if !SERVICES.contains(service) {
        return refuse(&format!("the embedded cloud has no targets of {service}."));
    }
    if *account != ACCOUNT_ID {
        return refuse(&format!("the embedded cloud has one account, {ACCOUNT_ID}."));
    }
    match (*service, bus_of_arn(&target.arn)) {
        // AWS passes events on between regions, too, but from bus to bus alone.
        ("events", Some((of, bus))) if (of, bus) == (rule.region.as_str(), rule.bus.as_str()) => {
            refuse("A rule's own event bus cannot be its target.")
        }
        ("events", None) => refuse("Provided Arn is not in correct format."),
        ("events", Some(_)) => Ok(()),
        (_, _) if *region != rule.region => refuse("The target is not in the region of the rule."),
        ("lambda", _) if !resource.starts_with("function:") => refuse("Provided Arn is not in correct format."),
        _ => Ok(()),
    }
}

fn check_input(rule: &RuleName, target: &Target) -> Result<(), ApiError> {
    let Target { id, input: constant, input_path: path, input_transformer: transformer, .. } = target;
    let given = [constant.is_some(), path.is_some(), transformer.is_some()].into_iter().filter(|it| *it).count();
    if given > 1 {
        return Err(invalid(format!(
            "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
        )));
    }
    if given > 0 && bus_of_arn(&target.arn).is_some() {
        return Err(invalid(format!(
            "Parameter Input is not valid for target {id}. Reason: an event bus takes the event as it is (rule {}).",
            rule.name
        )));
    }
    check_length("targets.1.member.input", constant.as_deref(), INPUT_LETTERS)?;
    check_length("targets.1.member.inputPath", path.as_deref(), PATH_LETTERS)?;
    if let Some(InputTransformer { input_paths_map, input_template }) = transformer {
        let member = "targets.1.member.inputTransformer";
        check_length(&format!("{member}.inputTemplate"), Some(input_template), INPUT_LETTERS)?;
        let paths = input_paths_map.iter().flatten();
        if paths.clone().count() > VARIABLES {
            let constraint = format!("Member must have length less than or equal to {VARIABLES}");
            return Err(constraint_error(&format!("{member}.inputPathsMap"), "{…}", &constraint));
        }
        for (name, path) in paths {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            if name.is_empty() || !name.chars().all(fits) {
                let constraint = r"Member must satisfy regular expression pattern: [A-Za-z0-9\_\-]+";
                return Err(constraint_error(&format!("{member}.inputPathsMap"), name, constraint));
            }
            check_length(&format!("{member}.inputPathsMap"), Some(path), PATH_LETTERS)?;
        }
    }
    input(target).map(drop)
}

/// How the target's input is made.
pub(super) fn input(target: &Target) -> Result<Input, ApiError> {
    let id = &target.id;
    if let Some(constant) = &target.input {
        return Input::constant(constant)
            .map_err(|error| invalid(format!("JSON syntax error in input for target {id} : {error}")));
    }
    if let Some(path) = &target.input_path {
        return Input::path(path).ok_or_else(|| invalid(format!("Invalid InputPath for target {id} : {path}")));
    }
    let Some(transformer) = &target.input_transformer else { return Ok(Input::Event) };
    let paths = transformer.input_paths_map.clone().unwrap_or_default();
    Input::template(&paths, &transformer.input_template).map_err(|error| {
        invalid(match error {
            TemplateError::Placeholder(name) => {
                format!("InputTemplate for target {id} contains invalid placeholder {name}.")
            }
            TemplateError::Path(path) => format!("Invalid InputPathsMap for target {id} : {path}"),
            TemplateError::Json(error) => format!("Invalid InputTemplate for target {id} : {error}"),
        })
    })
}

fn check_policies(target: &Target) -> Result<(), ApiError> {
    let id = &target.id;
    let fifo = target.arn.starts_with("arn:aws:sqs:") && target.arn.ends_with(".fifo");
    let group = target.sqs_parameters.as_ref().and_then(|parameters| parameters.message_group_id.as_deref());
    if fifo && group.is_none_or(str::is_empty) {
        return Err(invalid(format!("Parameter(s) SqsParameters must be specified for target: {id}.")));
    }
    check_length("targets.1.member.sqsParameters.messageGroupId", group, GROUP_LETTERS)?;
    if let Some(queue) = target.dead_letter_config.as_ref().and_then(|config| config.arn.as_deref()) {
        // "EventBridge DLQs are standard Amazon SQS queues."
        if !queue.starts_with("arn:aws:sqs:") || queue.ends_with(".fifo") {
            return Err(invalid(format!(
                "Parameter DeadLetterConfig.Arn is not valid for target {id}. Reason: it must be the ARN of a standard \
                 SQS queue."
            )));
        }
    }
    let RetryPolicy { maximum_retry_attempts, maximum_event_age_in_seconds } = target.retry_policy.unwrap_or_default();
    for (member, value, range) in [
        ("maximumRetryAttempts", maximum_retry_attempts, RETRIES),
        ("maximumEventAgeInSeconds", maximum_event_age_in_seconds, AGES),
    ] {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            let member = format!("targets.1.member.retryPolicy.{member}");
            let constraint = format!("Member must be between {} and {}", range.start(), range.end());
            return Err(constraint_error(&member, &value.to_string(), &constraint));
        }
    }
    Ok(())
}
