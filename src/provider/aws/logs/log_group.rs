//! `aws:logs:LogGroup`.

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use serde_json::json;

use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, parent_not_yet, taken_up},
            fields::{begins_with, fields, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::logs::LogGroup},
};

/// Days that stand for keeping events forever: the group has no retention policy.
const FOREVER_DAYS: u32 = 0;

pub(in crate::provider::aws) struct LogGroupKind {
    logs: Client,
}

/// What a describe tells.
struct Found {
    arn: String,
    retention_days: u32,
}

impl LogGroupKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        LogGroupKind { logs: clients.logs.clone() }
    }

    /// Groups can be asked for by prefix alone.
    async fn find(&self, name: &str) -> Result<Option<Found>, ProviderError> {
        const OPERATION: &str = "logs:DescribeLogGroups";
        let mut pages = self.logs.describe_log_groups().log_group_name_prefix(name).into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.map_err(failed(OPERATION))?;
            if group.log_group_name() == Some(name) {
                let arn = group.log_group_arn().or(group.arn()).ok_or_else(|| incomplete(OPERATION, "arn"))?;
                let arn = arn.strip_suffix(":*").unwrap_or(arn).to_owned();
                let days = group.retention_in_days().and_then(|days| u32::try_from(days).ok());
                return Ok(Some(Found { arn, retention_days: days.unwrap_or(FOREVER_DAYS) }));
            }
        }
        Ok(None)
    }

    async fn put_retention(&self, name: &str, days: u32) -> Result<(), ProviderError> {
        if days == FOREVER_DAYS {
            let call = self.logs.delete_retention_policy().log_group_name(name);
            return call.send().await.map_err(failed("logs:DeleteRetentionPolicy")).map(drop);
        }
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let call = self.logs.put_retention_policy().log_group_name(name).retention_in_days(days);
        call.send().await.map_err(failed("logs:PutRetentionPolicy")).map(drop)
    }

    async fn put_tags(&self, outputs: &Fields, tags: &Tags) -> Result<(), ProviderError> {
        let arn = outputs.get("arn").and_then(|arn| arn.as_str()).unwrap_or_default();
        let call = self.logs.tag_resource().resource_arn(arn).set_tags(Some(tags.clone().into_iter().collect()));
        call.send().await.map_err(failed("logs:TagResource")).map(drop)
    }

    async fn outputs(&self, name: &str) -> Result<Fields, ProviderError> {
        let not_yet = || {
            ProviderError::new(
                ErrorKind::NotYet,
                "logs:DescribeLogGroups",
                format!("log group {name} is not listed yet"),
            )
        };
        Ok(outputs(name, &self.find(name).await?.ok_or_else(not_yet)?.arn))
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: LogGroup = inputs(target)?;
        let call = self.logs.create_log_group().log_group_name(target.identity);
        let call = call.set_tags(Some(tags.clone().into_iter().collect()));
        call.send().await.map_err(failed("logs:CreateLogGroup"))?;
        if *inputs.retention_days.known() != FOREVER_DAYS {
            self.put_retention(target.identity, *inputs.retention_days.known()).await.map_err(parent_not_yet)?;
        }
        self.outputs(target.identity).await
    }
}

#[async_trait]
impl Kind for LogGroupKind {
    fn schema(&self) -> &'static Schema {
        LogGroup::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(found) = self.find(target.identity).await? else { return Ok(None) };
        let call = self.logs.list_tags_for_resource().resource_arn(&found.arn).send().await;
        let Some(tags) = call.map_err(failed("logs:ListTagsForResource")).or_none()? else { return Ok(None) };
        Ok(Some(Observed {
            inputs: fields(json!({ "retention_days": found.retention_days })),
            outputs: outputs(target.identity, &found.arn),
            tags: tags.tags.into_iter().flatten().collect(),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = self.logs.describe_log_groups().set_log_group_name_prefix(begins_with(prefix));
        let mut pages = call.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(group) = pages.next().await {
            names.extend(group.map_err(failed("logs:DescribeLogGroups"))?.log_group_name);
        }
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        let outputs = self.outputs(target.identity).await?;
        self.put_tags(&outputs, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: LogGroup = inputs(target)?;
        self.put_retention(target.identity, *inputs.retention_days.known()).await?;
        let outputs = self.outputs(target.identity).await?;
        self.put_tags(&outputs, tags).await?;
        Ok(outputs)
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.logs.delete_log_group().log_group_name(target.identity);
        call.send().await.map_err(failed("logs:DeleteLogGroup")).or_none().map(drop)
    }
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, json_error, target};

    fn groups() -> String {
        let arn = |name: &str| format!("arn:aws:logs:eu-west-1:123456789012:log-group:{name}");
        json!({ "logGroups": [
            { "logGroupName": "/aws/lambda/f-2", "arn": format!("{}:*", arn("/aws/lambda/f-2")), "retentionInDays": 7 },
            { "logGroupName": "/aws/lambda/f", "arn": format!("{}:*", arn("/aws/lambda/f")) },
        ] })
        .to_string()
    }

    #[tokio::test]
    async fn a_group_is_told_from_those_whose_name_goes_on_and_keeps_forever_without_a_policy() {
        let replay = Replay::new([answer(200, groups()), answer(200, r#"{"tags":{"lake:stack":"local"}}"#)]);
        let kind = LogGroupKind::new(&replay.clients());
        let found = kind.observe(target("/aws/lambda/f", &Fields::new())).await.unwrap().unwrap();
        assert_eq!(found.outputs["arn"], "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f");
        assert_eq!(found.inputs["retention_days"], FOREVER_DAYS);
        assert_eq!(found.tags["lake:stack"], "local");
    }

    #[tokio::test]
    async fn a_group_is_created_with_tags_and_then_given_its_retention() {
        let replay = Replay::new([answer(200, "{}"), answer(200, "{}"), answer(200, groups())]);
        let kind = LogGroupKind::new(&replay.clients());
        let declared = fields(json!({ "retention_days": 30 }));
        let tags = [("lake:stack".to_owned(), "local".to_owned())].into();
        kind.create(target("/aws/lambda/f", &declared), &tags).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains("CreateLogGroup") && asked[0].contains(r#""lake:stack":"local""#), "{}", asked[0]);
        assert!(asked[1].contains("PutRetentionPolicy") && asked[1].contains("30"), "{}", asked[1]);
    }

    #[tokio::test]
    async fn deleting_a_group_that_is_gone_succeeds() {
        let replay = Replay::new([json_error(400, "ResourceNotFoundException", "gone")]);
        LogGroupKind::new(&replay.clients()).delete(target("/aws/lambda/f", &Fields::new())).await.unwrap();
    }
}
