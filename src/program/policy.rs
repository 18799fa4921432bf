//! IAM documents. Every action is named, every resource is an ARN of the lake's own.

use serde_json::{Value, json};

use crate::resource::{Input, concat};

/// Version of the policy language.
const VERSION: &str = "2012-10-17";

/// A policy of these statements.
pub(super) fn policy(statements: impl IntoIterator<Item = Value>) -> Value {
    json!({ "Version": VERSION, "Statement": statements.into_iter().collect::<Vec<_>>() })
}

/// Lets `actions` be done on `resources`.
pub(super) fn allow(sid: &str, actions: &[&str], resources: impl IntoIterator<Item = Value>) -> Value {
    json!({
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources.into_iter().collect::<Vec<_>>(),
    })
}

/// The same under a condition: `operator` holds for `key` and `value`.
pub(super) fn allow_if(
    sid: &str,
    actions: &[&str],
    resources: impl IntoIterator<Item = Value>,
    (operator, key, value): (&str, &str, &str),
) -> Value {
    let mut statement = allow(sid, actions, resources);
    statement["Condition"] = json!({ operator: { key: value } });
    statement
}

/// Lets `service` do `action` on `resource`, for those of its resources whose ARN is like `source`.
pub(super) fn allow_service(sid: &str, service: &str, action: &str, resource: Value, source: &str) -> Value {
    json!({
        "Sid": sid,
        "Effect": "Allow",
        "Principal": { "Service": service },
        "Action": action,
        "Resource": resource,
        "Condition": { "ArnLike": { "aws:SourceArn": source } },
    })
}

/// Refuses everybody who comes to the bucket without TLS
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html>).
pub(super) fn tls_only(bucket: &Input<String>) -> Value {
    policy([json!({
        "Sid": "SecureTransportOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket.to_value(), inside(bucket, "/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    })])
}

/// Who may assume a role: `service`.
pub(super) fn trust(service: &str) -> Value {
    policy([json!({
        "Effect": "Allow",
        "Principal": { "Service": service },
        "Action": "sts:AssumeRole",
    })])
}

/// The ARN of what lies in `arn`: `inside(&bucket.arn(), "/flights/*")`.
pub(super) fn inside(arn: &Input<String>, path: &str) -> Value {
    concat([arn.into(), path.into()]).to_value()
}
