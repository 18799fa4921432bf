//! `aws:lambda:Function`.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_lambda::{
    Client,
    types::{Architecture, Environment, FunctionCode, FunctionConfiguration, LoggingConfig, Runtime},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::ready::{self, Settled};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, taken_up},
            fields::{fields, input, inputs},
        },
    },
    resource::{Fields, Input, Resource, Schema, aws::lambda::Function},
};

/// Inputs that UpdateFunctionConfiguration sets.
const CONFIGURATION: &[&str] = &["role", "handler", "memory_mb", "timeout_seconds", "environment", "log_group"];

pub(in crate::provider::aws) struct FunctionKind {
    lambda: Client,
}

impl FunctionKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        FunctionKind { lambda: clients.lambda.clone() }
    }

    async fn put_tags(&self, arn: &str, tags: &Tags) -> Result<(), ProviderError> {
        let call = self.lambda.tag_resource().resource(arn).set_tags(Some(tags.clone().into_iter().collect()));
        call.send().await.map_err(failed("lambda:TagResource")).map(drop)
    }

    async fn update_code(&self, name: &str, inputs: &Function) -> Result<(), ProviderError> {
        const OPERATION: &str = "lambda:UpdateFunctionCode";
        let call = self
            .lambda
            .update_function_code()
            .function_name(name)
            .s3_bucket(inputs.code_bucket.known())
            .s3_key(inputs.code_key.known());
        let answer = call.send().await.map_err(failed(OPERATION))?;
        check_code(OPERATION, answer.code_sha256(), inputs)?;
        ready::wait(&self.lambda, name).await.map(drop)
    }

    async fn update_configuration(&self, name: &str, inputs: &Function) -> Result<(), ProviderError> {
        let call = self
            .lambda
            .update_function_configuration()
            .function_name(name)
            .role(inputs.role.known())
            .handler(inputs.handler.known())
            .memory_size(number(&inputs.memory_mb))
            .timeout(number(&inputs.timeout_seconds))
            .environment(environment(inputs))
            .logging_config(LoggingConfig::builder().log_group(inputs.log_group.known()).build());
        call.send().await.map_err(failed("lambda:UpdateFunctionConfiguration"))?;
        ready::wait(&self.lambda, name).await.map(drop)
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "lambda:CreateFunction";
        let inputs: Function = inputs(target)?;
        let code = FunctionCode::builder().s3_bucket(inputs.code_bucket.known()).s3_key(inputs.code_key.known());
        let call = self
            .lambda
            .create_function()
            .function_name(target.identity)
            .runtime(Runtime::Providedal2023)
            .role(inputs.role.known())
            .handler(inputs.handler.known())
            .architectures(Architecture::from(inputs.architecture.known().as_str()))
            .memory_size(number(&inputs.memory_mb))
            .timeout(number(&inputs.timeout_seconds))
            .environment(environment(&inputs))
            .logging_config(LoggingConfig::builder().log_group(inputs.log_group.known()).build())
            .code(code.build())
            .set_tags(Some(tags.clone().into_iter().collect()));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        check_code(OPERATION, answer.code_sha256(), &inputs)?;
        let arn = ready::wait(&self.lambda, target.identity).await?;
        Ok(outputs(target.identity, Some(&arn)))
    }
}

#[async_trait]
impl Kind for FunctionKind {
    fn schema(&self) -> &'static Schema {
        Function::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        const OPERATION: &str = "lambda:GetFunction";
        let call = self.lambda.get_function().function_name(target.identity).send().await;
        let Some(answer) = call.map_err(failed(OPERATION)).or_none()? else { return Ok(None) };
        let there = answer.configuration.ok_or_else(|| incomplete(OPERATION, "Configuration"))?;
        Ok(Some(Observed {
            outputs: outputs(target.identity, there.function_arn()),
            inputs: observed(&there, target),
            tags: answer.tags.into_iter().flatten().collect(),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let mut pages = self.lambda.list_functions().into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(function) = pages.next().await {
            names.extend(function.map_err(failed("lambda:ListFunctions"))?.function_name);
        }
        names.retain(|name| name.starts_with(prefix));
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "lambda:GetFunctionConfiguration";
        let call = self.lambda.get_function_configuration().function_name(target.identity).send().await;
        let there = call.map_err(failed(OPERATION))?;
        self.put_tags(there.function_arn().ok_or_else(|| incomplete(OPERATION, "FunctionArn"))?, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let name = target.identity;
        let inputs: Function = inputs(target)?;
        let changed = |field: &&str| prior.get(*field) != target.inputs.get(*field);
        // An update that another run began may still be going on; Lambda refuses a second one meanwhile.
        let arn = match ready::settled(&self.lambda, name).await? {
            Settled::Usable(arn) | Settled::UpdateFailed(arn, _) => arn,
            // No update brings it to life.
            Settled::Failed(_) => {
                self.delete(target).await?;
                return self.make(target, tags).await;
            }
        };
        if CONFIGURATION.iter().any(changed) {
            self.update_configuration(name, &inputs).await?;
        }
        if changed(&"code_sha256") {
            self.update_code(name, &inputs).await?;
        }
        self.put_tags(&arn, tags).await?;
        Ok(outputs(name, Some(&arn)))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.lambda.delete_function().function_name(target.identity);
        call.send().await.map_err(failed("lambda:DeleteFunction")).or_none().map(drop)
    }
}

fn outputs(name: &str, arn: Option<&str>) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

/// Lambda keeps a copy of the package and does not tell where it came from. A package is its hash: when that is the
/// target's, it came from where the target says, as far as anybody could tell.
fn observed(there: &FunctionConfiguration, target: Target<'_>) -> Fields {
    let code = there.code_sha256().and_then(|hash| BASE64_STANDARD.decode(hash).ok()).map(hex::encode);
    // Without the right to the environment's key, Lambda tells an error in place of the variables.
    let environment = match there.environment() {
        Some(environment) if environment.error().is_some() => None,
        Some(environment) => Some(environment.variables().cloned().unwrap_or_default()),
        None => Some(HashMap::new()),
    };
    let environment = environment.map(|variables| variables.into_iter().collect::<std::collections::BTreeMap<_, _>>());
    let architecture = there.architectures().first().unwrap_or(&Architecture::X8664);
    let is_package = code.as_deref().is_some_and(|code| input(target, "code_sha256").is_some_and(|it| it == code));
    let place = |name| input(target, name).filter(|_| is_package);
    fields(json!({
        "code_bucket": place("code_bucket"),
        "code_key": place("code_key"),
        "role": there.role(),
        "handler": there.handler(),
        "architecture": architecture.as_str(),
        "memory_mb": there.memory_size(),
        "timeout_seconds": there.timeout(),
        "environment": environment,
        "log_group": there.logging_config().and_then(|logging| logging.log_group()),
        "code_sha256": code,
    }))
}

fn environment(inputs: &Function) -> Environment {
    let variables = inputs.environment.iter().map(|(name, value)| (name.clone(), value.known().clone()));
    Environment::builder().set_variables(Some(variables.collect())).build()
}

/// Values beyond the service's limits are its to refuse.
fn number(input: &Input<u32>) -> i32 {
    i32::try_from(*input.known()).unwrap_or(i32::MAX)
}

/// Lambda must have taken the package that the plan names, whatever stands at the key.
fn check_code(operation: &str, taken: Option<&str>, inputs: &Function) -> Result<(), ProviderError> {
    let taken = taken.and_then(|hash| BASE64_STANDARD.decode(hash).ok()).map(hex::encode);
    match taken {
        Some(taken) if taken != *inputs.code_sha256.known() => {
            let (bucket, key) = (inputs.code_bucket.known(), inputs.code_key.known());
            let message = format!(
                "s3://{bucket}/{key} holds a package with SHA-256 {taken}, not {}; somebody wrote over it: apply again",
                inputs.code_sha256.known()
            );
            Err(ProviderError::new(ErrorKind::Invalid, operation, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, answer, json_error, target};

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:f";

    fn declared() -> Fields {
        fields(json!({
            "role": "arn:aws:iam::123456789012:role/r", "handler": "intake", "architecture": "arm64",
            "memory_mb": 512, "timeout_seconds": 60, "environment": { "LAKE_NAME": "flights" },
            "log_group": "/aws/lambda/f", "code_bucket": "artifacts", "code_key": "packages/p.zip", "code_sha256": HEX,
        }))
    }

    fn configuration(state: &str, update: &str) -> serde_json::Value {
        json!({
            "FunctionName": "f", "FunctionArn": ARN, "Role": "arn:aws:iam::123456789012:role/r", "Handler": "intake",
            "Architectures": ["arm64"], "MemorySize": 512, "Timeout": 60, "CodeSha256": BASE64,
            "Environment": { "Variables": { "LAKE_NAME": "flights" } }, "LoggingConfig": { "LogGroup": "/aws/lambda/f" },
            "State": state, "LastUpdateStatus": update, "StateReason": "because",
        })
    }

    fn told(state: &str, update: &str) -> Answer {
        answer(200, configuration(state, update).to_string())
    }

    #[tokio::test]
    async fn a_function_is_read_in_the_declared_shape_with_the_place_of_its_package_when_it_is_that_package() {
        let body = json!({ "Configuration": configuration("Active", "Successful"), "Tags": { "lake:stack": "local" } });
        let replay = Replay::new([answer(200, body.to_string()), answer(200, body.to_string())]);
        let kind = FunctionKind::new(&replay.clients());
        let mut other = declared();
        other["code_sha256"] = json!("00");
        let found = kind.observe(target("f", &other)).await.unwrap().unwrap();
        assert_eq!((found.inputs.get("code_key"), &found.inputs["code_sha256"]), (None, &json!(HEX)));
        let found = kind.observe(target("f", &declared())).await.unwrap().unwrap();
        assert_eq!(found.inputs, declared());
        assert_eq!((found.outputs["arn"].as_str(), found.tags["lake:stack"].as_str()), (Some(ARN), "local"));
    }

    #[tokio::test]
    async fn creation_ends_when_the_function_is_active() {
        let replay = Replay::new([told("Pending", ""), told("Pending", ""), told("Active", "Successful")]);
        let kind = FunctionKind::new(&replay.clients());
        let outputs = kind.create(target("f", &declared()), &Tags::new()).await.unwrap();
        assert_eq!(outputs["arn"], ARN);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_function_that_fails_tells_why() {
        let replay = Replay::new([told("Pending", ""), told("Failed", "")]);
        let error = FunctionKind::new(&replay.clients()).create(target("f", &declared()), &Tags::new()).await;
        assert!(error.unwrap_err().message.contains("because"));
    }

    #[tokio::test]
    async fn an_update_changes_only_what_differs() {
        let ready = || told("Active", "Successful");
        let mut prior = declared();
        prior["memory_mb"] = json!(128);
        let replay = Replay::new([ready(), ready(), ready(), answer(204, "")]);
        FunctionKind::new(&replay.clients()).update(target("f", &declared()), &prior, &Tags::new()).await.unwrap();
        assert!(replay.asked()[1].starts_with("PUT /2015-03-31/functions/f/configuration"), "{:?}", replay.asked());
        replay.assert_used_up();

        let mut prior = declared();
        prior["code_sha256"] = json!("00");
        let replay = Replay::new([ready(), ready(), ready(), answer(204, "")]);
        FunctionKind::new(&replay.clients()).update(target("f", &declared()), &prior, &Tags::new()).await.unwrap();
        assert!(replay.asked()[1].starts_with("PUT /2015-03-31/functions/f/code"), "{:?}", replay.asked());
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_function_that_could_never_be_made_is_made_anew() {
        let (failed, active) = (told("Failed", ""), told("Active", "Successful"));
        let replay = Replay::new([failed, answer(204, ""), told("Pending", ""), active]);
        let kind = FunctionKind::new(&replay.clients());
        kind.update(target("f", &declared()), &declared(), &Tags::new()).await.unwrap();
        assert!(replay.asked()[1].starts_with("DELETE ") && replay.asked()[2].starts_with("POST "));
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_function_whose_creation_was_answered_to_nobody_is_taken_up_by_its_tags() {
        let exists = || json_error(409, "ResourceConflictException", "Function already exist: f");
        let there = |tags: serde_json::Value| {
            answer(200, json!({ "Configuration": configuration("Active", ""), "Tags": tags }).to_string())
        };
        let tags: Tags = [("lake:lineage".to_owned(), "one".to_owned())].into();
        let ours = there(json!({ "lake:lineage": "one" }));
        let replay = Replay::new([exists(), ours, told("Active", "Successful"), answer(204, "")]);
        let kind = FunctionKind::new(&replay.clients());
        assert_eq!(kind.create(target("f", &declared()), &tags).await.unwrap()["arn"], ARN);

        let replay = Replay::new([exists(), there(json!({ "lake:lineage": "two" }))]);
        let error = FunctionKind::new(&replay.clients()).create(target("f", &declared()), &tags).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
    }

    #[tokio::test]
    async fn a_role_too_new_to_be_assumed_is_not_yet() {
        let message = "The role defined for the function cannot be assumed by Lambda.";
        let replay = Replay::new([json_error(400, "InvalidParameterValueException", message)]);
        let error = FunctionKind::new(&replay.clients()).create(target("f", &declared()), &Tags::new()).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::NotYet);
    }
}
