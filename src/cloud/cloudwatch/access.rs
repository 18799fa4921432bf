//! The permissions that operations take.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html>

use serde_json::Value;

use super::{alarm, dashboard, wire};
use crate::cloud::{authorise::Need, error::ApiError, service::Call};

/// What the caller must be allowed for `call`.
pub(super) fn needs(call: &Call) -> Result<Vec<Need>, ApiError> {
    let request = wire::read(call)?;
    let input = &request.input;
    let text = |name: &str| input[name].as_str().unwrap_or_default();
    let texts =
        |name: &str| -> Vec<&str> { input[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let alarm = |name: &str| alarm::arn(&call.region, name);
    let need = |resource: String| Need::new(format!("cloudwatch:{}", request.operation), resource);
    Ok(match request.operation.as_str() {
        "PutMetricData" => vec![need("*".into()).with("cloudwatch:namespace", text("Namespace"))],
        "PutMetricAlarm" => {
            let actions = ["AlarmActions", "OKActions", "InsufficientDataActions"];
            let mut put = need(alarm(text("AlarmName")));
            for action in actions.into_iter().flat_map(texts) {
                put = put.with("cloudwatch:AlarmActions", action);
            }
            with_tags(put, input, alarm(text("AlarmName")))
        }
        "PutDashboard" => {
            with_tags(need(dashboard::arn(text("DashboardName"))), input, dashboard::arn(text("DashboardName")))
        }
        "GetDashboard" => vec![need(dashboard::arn(text("DashboardName")))],
        "DeleteDashboards" => texts("DashboardNames").into_iter().map(|name| need(dashboard::arn(name))).collect(),
        "SetAlarmState" => vec![need(alarm(text("AlarmName")))],
        "DeleteAlarms" | "EnableAlarmActions" | "DisableAlarmActions" => {
            texts("AlarmNames").into_iter().map(|name| need(alarm(name))).collect()
        }
        "DescribeAlarms" => {
            let names = texts("AlarmNames");
            if names.is_empty() {
                vec![need(alarm("*"))]
            } else {
                names.into_iter().map(|name| need(alarm(name))).collect()
            }
        }
        "DescribeAlarmHistory" => {
            let name = text("AlarmName");
            vec![need(alarm(if name.is_empty() { "*" } else { name }))]
        }
        "ListTagsForResource" => vec![need(text("ResourceARN").to_owned())],
        "TagResource" => vec![tagging(need(text("ResourceARN").to_owned()), input)],
        "UntagResource" => {
            let untag = need(text("ResourceARN").to_owned());
            vec![texts("TagKeys").into_iter().fold(untag, |need, key| need.with("aws:TagKeys", key))]
        }
        // The others take no resource; one that is not there is refused when it is called.
        _ => vec![need("*".into())],
    })
}

/// The need of a call that also tags, where it does.
fn with_tags(need: Need, input: &Value, resource: String) -> Vec<Need> {
    if input["Tags"].as_array().is_none_or(Vec::is_empty) {
        return vec![need];
    }
    vec![tagging(need, input), tagging(Need::new("cloudwatch:TagResource", resource), input)]
}

fn tagging(mut need: Need, input: &Value) -> Need {
    for tag in input["Tags"].as_array().into_iter().flatten() {
        let (key, value) = (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default());
        need = need.with(format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key);
    }
    need
}
