//! What a caller of Lambda must be allowed.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html>

use http::Method;
use serde_json::Value;

use super::{
    Lambda, body,
    model::Reference,
    policy::POLICIES,
    rest::{queries, segments},
    unknown,
};
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    s3::access::read_need,
    service::{ACCOUNT_ID, Call},
};

/// The principal that a function's role is passed to.
const PASSED_TO: &str = "lambda.amazonaws.com";

impl Lambda {
    pub(super) fn access(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        let segments = segments(call.uri.path())?;
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (&call.method, path.as_slice()) {
            (&Method::POST, ["2015-03-31", "functions"]) => self.needs_of_create(call),
            (&Method::GET, ["2015-03-31", "functions"]) => Ok(vec![Need::new("lambda:ListFunctions", "*")]),
            (_, ["2015-03-31", "functions", name, rest @ ..]) => self.needs_of_function(call, name, rest),
            (method, ["2019-09-25", "functions", name, rest @ ..]) => {
                let action = match (method, rest) {
                    (&Method::PUT, ["event-invoke-config"]) => "PutFunctionEventInvokeConfig",
                    (&Method::POST, ["event-invoke-config"]) => "UpdateFunctionEventInvokeConfig",
                    (&Method::GET, ["event-invoke-config"]) => "GetFunctionEventInvokeConfig",
                    (&Method::GET, ["event-invoke-config", "list"]) => "ListFunctionEventInvokeConfigs",
                    (&Method::DELETE, ["event-invoke-config"]) => "DeleteFunctionEventInvokeConfig",
                    _ => return Err(unknown(call)),
                };
                Ok(vec![self.need(call, action, name)?])
            }
            (method, ["2015-03-31", "event-source-mappings", rest @ ..]) => mapping(call, method, rest),
            (method, ["2017-03-31", "tags", arn]) => tagging(call, method, arn),
            (&Method::GET, ["2016-08-19", "account-settings"]) => Ok(vec![Need::new("lambda:GetAccountSettings", "*")]),
            _ => Err(unknown(call)),
        }
    }

    /// An action on a function, under the function's policy.
    fn need(&self, call: &Call, action: &str, name: &str) -> Result<Need, ApiError> {
        let arn = Reference::parse(&call.region, name)?.arn;
        let policy = self.store.read(|tx| POLICIES.get(tx, &arn))?.map(|policy| policy.text(&arn));
        Ok(Need::new(format!("lambda:{action}"), arn).under(policy))
    }

    fn needs_of_function(&self, call: &Call, name: &str, rest: &[&str]) -> Result<Vec<Need>, ApiError> {
        let action = match (&call.method, rest) {
            (&Method::GET, []) => "GetFunction",
            (&Method::DELETE, []) => "DeleteFunction",
            (&Method::GET, ["configuration"]) => "GetFunctionConfiguration",
            (&Method::PUT, ["configuration"]) => "UpdateFunctionConfiguration",
            (&Method::PUT, ["code"]) => "UpdateFunctionCode",
            (&Method::POST, ["invocations"]) => "InvokeFunction",
            (&Method::GET, ["policy"]) => "GetPolicy",
            (&Method::POST, ["policy"]) => "AddPermission",
            (&Method::DELETE, ["policy", _]) => "RemovePermission",
            _ => return Err(unknown(call)),
        };
        let mut need = self.need(call, action, name)?;
        let mut more = Vec::new();
        match action {
            "UpdateFunctionConfiguration" => more.extend(pass_role(&body(call)?)),
            "UpdateFunctionCode" => more.extend(self.read_package(&body(call)?)?),
            "AddPermission" => {
                let input: Value = body(call)?;
                if let Some(principal) = input.get("Principal").and_then(Value::as_str) {
                    need = need.with("lambda:Principal", principal);
                }
            }
            _ => {}
        }
        more.insert(0, need);
        Ok(more)
    }

    fn needs_of_create(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        let input: Value = body(call)?;
        let name = input.get("FunctionName").and_then(Value::as_str).unwrap_or_default();
        let mut needs = vec![tagged(self.need(call, "CreateFunction", name)?, &input)];
        needs.extend(pass_role(&input));
        if input.get("Tags").and_then(Value::as_object).is_some_and(|tags| !tags.is_empty()) {
            needs.push(tagged(self.need(call, "TagResource", name)?, &input));
        }
        if let Some(code) = input.get("Code") {
            needs.extend(self.read_package(code)?);
        }
        Ok(needs)
    }

    /// A package in S3 is read with the caller's rights.
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html>
    fn read_package(&self, code: &Value) -> Result<Option<Need>, ApiError> {
        let text = |member: &str| code.get(member).and_then(Value::as_str);
        let (Some(bucket), Some(key)) = (text("S3Bucket"), text("S3Key")) else { return Ok(None) };
        let version = text("S3ObjectVersion");
        Ok(Some(self.store.read(|tx| read_need(tx, bucket, key, version))?))
    }
}

/// To give a function a role takes the right to pass that role to Lambda.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html>
fn pass_role(input: &Value) -> Option<Need> {
    let role = input.get("Role").and_then(Value::as_str)?;
    Some(Need::new("iam:PassRole", role).with("iam:PassedToService", PASSED_TO))
}

fn tagged(need: Need, input: &Value) -> Need {
    let tags = input.get("Tags").and_then(Value::as_object).into_iter().flatten();
    tags.fold(need, |need, (key, value)| {
        let value = value.as_str().unwrap_or_default();
        need.with(format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key)
    })
}

/// Event source mappings: what they poll is read by the function's role, not by the caller.
fn mapping(call: &Call, method: &Method, rest: &[&str]) -> Result<Vec<Need>, ApiError> {
    let one = |id: &str| format!("arn:aws:lambda:{}:{ACCOUNT_ID}:event-source-mapping:{id}", call.region);
    let (action, resource) = match (method, rest) {
        (&Method::POST, []) => ("CreateEventSourceMapping", "*".to_owned()),
        (&Method::GET, []) => ("ListEventSourceMappings", "*".to_owned()),
        (&Method::GET, [id]) => ("GetEventSourceMapping", one(id)),
        (&Method::PUT, [id]) => ("UpdateEventSourceMapping", one(id)),
        (&Method::DELETE, [id]) => ("DeleteEventSourceMapping", one(id)),
        _ => return Err(unknown(call)),
    };
    let mut need = Need::new(format!("lambda:{action}"), resource);
    if matches!(*method, Method::POST | Method::PUT) {
        let input: Value = body(call)?;
        if let Some(name) = input.get("FunctionName").and_then(Value::as_str) {
            need = need.with("lambda:FunctionArn", Reference::parse(&call.region, name)?.arn);
        }
        need = tagged(need, &input);
    }
    Ok(vec![need])
}

fn tagging(call: &Call, method: &Method, arn: &str) -> Result<Vec<Need>, ApiError> {
    let need = match *method {
        Method::GET => Need::new("lambda:ListTags", arn),
        Method::POST => tagged(Need::new("lambda:TagResource", arn), &body(call)?),
        Method::DELETE => {
            let keys = queries(call, "tagKeys");
            keys.fold(Need::new("lambda:UntagResource", arn), |need, key| need.with("aws:TagKeys", key))
        }
        _ => return Err(unknown(call)),
    };
    Ok(vec![need])
}
