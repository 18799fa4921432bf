//! `aws:lambda:Permission`.

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use serde_json::{Value, json};

use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, inputs, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::lambda::Permission},
};

/// What is permitted.
const ACTION: &str = "lambda:InvokeFunction";

pub(in crate::provider::aws) struct PermissionKind {
    lambda: Client,
}

impl PermissionKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        PermissionKind { lambda: clients.lambda.clone() }
    }
}

#[async_trait]
impl Kind for PermissionKind {
    fn schema(&self) -> &'static Schema {
        Permission::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (function, statement) = two(Permission::SCHEMA.kind, target)?;
        let call = self.lambda.get_policy().function_name(function).send().await;
        let Some(answer) = call.map_err(failed("lambda:GetPolicy")).or_none()? else { return Ok(None) };
        let policy: Value = serde_json::from_str(answer.policy().unwrap_or_default()).unwrap_or_default();
        let statements = policy["Statement"].as_array().into_iter().flatten();
        let Some(found) = statements.into_iter().find(|found| found["Sid"] == statement) else { return Ok(None) };
        // What is no permission to invoke shows as another principal's, whatever it is.
        let invokes = found["Action"] == ACTION && found["Effect"] == "Allow";
        let principal = found["Principal"].get("Service").unwrap_or(&found["Principal"]).clone();
        let inputs = fields(json!({
            "function": function,
            "statement": statement,
            "principal": if invokes { principal } else { found["Action"].clone() },
            "source_arn": condition(found, "aws:SourceArn"),
            "source_account": condition(found, "aws:SourceAccount"),
        }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Permission = inputs(target)?;
        let call = self
            .lambda
            .add_permission()
            .function_name(inputs.function.known())
            .statement_id(inputs.statement.known())
            .action(ACTION)
            .principal(inputs.principal.known())
            .source_arn(inputs.source_arn.known())
            .set_source_account(Some(inputs.source_account.known().clone()).filter(|account| !account.is_empty()));
        match call.send().await.map_err(failed("lambda:AddPermission")).map_err(parent_not_yet) {
            Ok(_) => Ok(Fields::new()),
            // An earlier try of this call, whose answer was lost, may have made it.
            Err(error) if error.kind == ErrorKind::AlreadyExists => match self.observe(target).await? {
                Some(there) if there.inputs == *target.inputs => Ok(Fields::new()),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// A statement cannot be changed.
    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.delete(target).await?;
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let (function, statement) = two(Permission::SCHEMA.kind, target)?;
        let call = self.lambda.remove_permission().function_name(function).statement_id(statement);
        call.send().await.map_err(failed("lambda:RemovePermission")).or_none().map(drop)
    }
}

/// The value of a condition key, whose case is not fixed (Lambda writes `AWS:SourceArn`), under any operator. An
/// absent condition is empty: the statement lets more through than declared.
fn condition(statement: &Value, key: &str) -> Value {
    let operators = statement["Condition"].as_object().into_iter().flatten().filter_map(|(_, keys)| keys.as_object());
    let found = operators.flatten().find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map_or_else(|| json!(""), |(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, json_error, target};

    fn declared() -> Fields {
        fields(json!({
            "function": "f", "statement": "s3", "principal": "s3.amazonaws.com", "source_arn": "arn:aws:s3:::raw",
            "source_account": "123456789012",
        }))
    }

    #[tokio::test]
    async fn a_statement_is_found_by_its_id_and_read_from_lambdas_spelling() {
        let policy = json!({ "Statement": [
            { "Sid": "other", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction" },
            { "Sid": "s3", "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
              "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:…:f", "Condition": {
                  "StringEquals": { "AWS:SourceAccount": "123456789012" },
                  "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::raw" } } },
        ] });
        let body = json!({ "Policy": policy.to_string() }).to_string();
        let replay = Replay::new([answer(200, body), json_error(404, "ResourceNotFoundException", "no policy")]);
        let kind = PermissionKind::new(&replay.clients());
        assert_eq!(kind.observe(target("f/s3", &declared())).await.unwrap().unwrap().inputs, declared());
        assert_eq!(kind.observe(target("f/s3", &declared())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_account_is_asked_for_where_none_is_declared_and_none_shows_as_none() {
        let mut declared = declared();
        declared.insert("source_account".to_owned(), json!(""));
        let condition = json!({ "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::raw" } });
        let policy = json!({ "Statement": [{ "Sid": "s3", "Effect": "Allow", "Action": "lambda:InvokeFunction",
            "Principal": { "Service": "s3.amazonaws.com" }, "Condition": condition }] });
        let there = answer(200, json!({ "Policy": policy.to_string() }).to_string());
        let replay = Replay::new([answer(201, "{}"), there]);
        let kind = PermissionKind::new(&replay.clients());
        let target = target("f/s3", &declared);
        kind.create(target, &Tags::new()).await.unwrap();
        assert!(!replay.asked()[0].contains("SourceAccount"), "{}", replay.asked()[0]);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
    }

    #[tokio::test]
    async fn a_statement_without_the_declared_source_shows_as_drift() {
        let policy = json!({ "Statement": [{ "Sid": "s3", "Effect": "Allow", "Action": "lambda:InvokeFunction",
            "Principal": { "Service": "s3.amazonaws.com" } }] });
        let replay = Replay::new([answer(200, json!({ "Policy": policy.to_string() }).to_string())]);
        let found = PermissionKind::new(&replay.clients()).observe(target("f/s3", &declared())).await.unwrap().unwrap();
        assert_eq!(found.inputs["source_arn"], "");
    }
}
