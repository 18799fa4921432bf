//! What a caller of CloudWatch Logs must be allowed.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html>

use serde_json::Value;

use super::model::group_of_identifier;
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    json,
    service::{ACCOUNT_ID, Call},
};

/// The need of one call. A policy names a group by its ARN with `:*` behind it, but for tags, where it is the ARN
/// alone: so a group is asked for as its streams are.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html>
pub(super) fn needs(call: &Call) -> Result<Vec<Need>, ApiError> {
    let operation = json::operation(call)?;
    let input: Value = json::input(call)?;
    let member = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let named = match member("logGroupName") {
        "" => group_of_identifier(member("logGroupIdentifier")).unwrap_or_default(),
        name => name,
    };
    let arn = |rest: String| format!("arn:aws:logs:{}:{ACCOUNT_ID}:log-group:{rest}", call.region);
    let resource = match operation {
        "TagResource" | "UntagResource" | "ListTagsForResource" => member("resourceArn").to_owned(),
        "CreateLogStream" | "DeleteLogStream" | "PutLogEvents" | "GetLogEvents" => {
            arn(format!("{named}:log-stream:{}", member("logStreamName")))
        }
        _ => arn(format!("{named}:log-stream:")),
    };
    let mut need = Need::new(format!("logs:{operation}"), resource);
    for (key, value) in input.get("tags").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        need = need.with(format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key);
    }
    Ok(vec![need])
}
