//! What a caller has to be allowed.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html>

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    model::{PRINCIPAL, RuleName, bus_arn, bus_name},
    put::PutEvents,
};
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    json,
    service::{ACCOUNT_ID, Call},
};

/// What all operations on rules, buses and tags name their resources by.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    rule: Option<String>,
    event_bus_name: Option<String>,
    role_arn: Option<String>,
    tags: Option<Vec<Value>>,
    targets: Option<Vec<Map<String, Value>>>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
}

/// The needs of a call.
pub(super) fn needs(call: &Call) -> Result<Vec<Need>, ApiError> {
    let operation = json::operation(call)?;
    let action = format!("events:{operation}");
    match operation {
        "PutEvents" => return put_events(call),
        "ListRules" | "ListEventBuses" | "ListRuleNamesByTarget" | "TestEventPattern" => {
            return Ok(vec![Need::new(action, "*")]);
        }
        _ => (),
    }
    let input: Input = json::input(call)?;
    let bus = |name: Option<&str>| bus_arn(&call.region, &bus_name(&call.region, name));
    let rule = |name: &Option<String>| {
        let bus = bus_name(&call.region, input.event_bus_name.as_deref());
        RuleName { region: call.region.clone(), bus, name: name.clone().unwrap_or_default() }.arn()
    };
    let passed = |role: &str| Need::new("iam:PassRole", role).with("iam:PassedToService", PRINCIPAL);
    Ok(match operation {
        "DescribeRule" | "DeleteRule" | "EnableRule" | "DisableRule" => vec![of_rule(action, rule(&input.name))],
        "ListTargetsByRule" | "RemoveTargets" => vec![of_rule(action, rule(&input.rule))],
        "PutRule" => {
            let mut needs = vec![of_rule(action, rule(&input.name))];
            if input.tags.is_some_and(|tags| !tags.is_empty()) {
                needs.push(of_rule("events:TagResource".into(), rule(&input.name)));
            }
            needs.extend(input.role_arn.as_deref().map(passed));
            needs
        }
        "PutTargets" => {
            let text =
                |target: &Map<String, Value>, name: &str| target.get(name).and_then(Value::as_str).map(str::to_owned);
            let targets = input.targets.as_deref().unwrap_or_default();
            let mut needs: Vec<Need> = targets
                .iter()
                .filter_map(|target| text(target, "Arn"))
                .map(|arn| of_rule(action.clone(), rule(&input.rule)).with("events:TargetArn", arn))
                .collect();
            if needs.is_empty() {
                needs.push(of_rule(action, rule(&input.rule)));
            }
            let roles: BTreeSet<String> = targets.iter().filter_map(|target| text(target, "RoleArn")).collect();
            needs.extend(roles.iter().map(|role| passed(role)));
            needs
        }
        "DescribeEventBus" | "CreateEventBus" | "DeleteEventBus" => {
            let mut needs = vec![Need::new(action, bus(input.name.as_deref()))];
            if operation == "CreateEventBus" && input.tags.is_some_and(|tags| !tags.is_empty()) {
                needs.push(Need::new("events:TagResource", bus(input.name.as_deref())));
            }
            needs
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => {
            vec![Need::new(action, input.resource_arn.unwrap_or_default())]
        }
        // Refused when it is called.
        _ => Vec::new(),
    })
}

fn of_rule(action: String, arn: String) -> Need {
    Need::new(action, arn).with("events:creatorAccount", ACCOUNT_ID)
}

/// One need for every bus, source and detail type in the call.
fn put_events(call: &Call) -> Result<Vec<Need>, ApiError> {
    let input: PutEvents = json::input(call)?;
    let of = |entry: &super::put::Entry| {
        let bus = bus_arn(&call.region, &bus_name(&call.region, entry.event_bus_name.as_deref()));
        (bus, entry.source.clone().unwrap_or_default(), entry.detail_type.clone().unwrap_or_default())
    };
    let distinct: BTreeSet<_> = input.entries.iter().map(of).collect();
    let need = |(bus, source, detail_type): (String, String, String)| {
        Need::new("events:PutEvents", bus).with("events:source", source).with("events:detail-type", detail_type)
    };
    Ok(distinct.into_iter().map(need).collect())
}
