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

/// Who may assume a function's role: Lambda.
pub(super) fn lambda_trust() -> Value {
    policy([json!({
        "Effect": "Allow",
        "Principal": { "Service": "lambda.amazonaws.com" },
        "Action": "sts:AssumeRole",
    })])
}

/// The ARN of what lies in `arn`: `inside(&bucket.arn(), "/flights/*")`.
pub(super) fn inside(arn: &Input<String>, path: &str) -> Value {
    concat([arn.into(), path.into()]).to_value()
}
