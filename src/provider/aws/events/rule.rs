//! `aws:events:Rule`. PutRule replaces what is there without a word; the engine looks before it begins.

use async_trait::async_trait;
use aws_sdk_eventbridge::{
    Client,
    types::{RuleState, Tag},
};
use serde_json::{Value, json};

use super::{remove_targets, targets};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, parent_not_yet, unbuildable},
            fields::{begins_with, fields, inputs, or_blank, parsed},
        },
    },
    resource::{Fields, Resource, Schema, aws::events::Rule},
};

pub(in crate::provider::aws) struct RuleKind {
    events: Client,
}

impl RuleKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        RuleKind { events: clients.events.clone() }
    }

    /// What is not given is not kept; tags are heeded only when the rule is new
    /// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>). Returns the rule's ARN.
    async fn put(&self, target: Target<'_>, tags: Option<&Tags>) -> Result<String, ProviderError> {
        const OPERATION: &str = "events:PutRule";
        let inputs: Rule = inputs(target)?;
        let state = if *inputs.enabled.known() { RuleState::Enabled } else { RuleState::Disabled };
        let call = self
            .events
            .put_rule()
            .name(target.identity)
            .description(inputs.description.known())
            .set_event_pattern(inputs.pattern.map(|pattern| pattern.to_string()))
            .set_schedule_expression(inputs.schedule)
            .state(state)
            .set_tags(tags.map(|tags| tag_list(OPERATION, tags)).transpose()?);
        let answer = call.send().await.map_err(failed(OPERATION))?;
        answer.rule_arn.ok_or_else(|| incomplete(OPERATION, "RuleArn"))
    }

    async fn put_tags(&self, arn: &str, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "events:TagResource";
        let call = self.events.tag_resource().resource_arn(arn).set_tags(Some(tag_list(OPERATION, tags)?));
        call.send().await.map_err(failed(OPERATION)).map_err(parent_not_yet).map(drop)
    }
}

#[async_trait]
impl Kind for RuleKind {
    fn schema(&self) -> &'static Schema {
        Rule::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        const OPERATION: &str = "events:DescribeRule";
        let call = self.events.describe_rule().name(target.identity).send().await;
        let Some(found) = call.map_err(failed(OPERATION)).or_none()? else { return Ok(None) };
        let arn = found.arn().ok_or_else(|| incomplete(OPERATION, "Arn"))?;
        let call = self.events.list_tags_for_resource().resource_arn(arn).send().await;
        let Some(tags) = call.map_err(failed("events:ListTagsForResource")).or_none()? else { return Ok(None) };
        let schedule = found.schedule_expression().map(|schedule| Value::String(schedule.to_owned()));
        Ok(Some(Observed {
            inputs: fields(json!({
                "description": found.description().unwrap_or_default(),
                "pattern": or_blank(target, "pattern", found.event_pattern().map(parsed)),
                "schedule": or_blank(target, "schedule", schedule),
                "enabled": found.state() == Some(&RuleState::Enabled),
            })),
            outputs: outputs(target.identity, arn),
            tags: tags.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect(),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let call = self.events.list_rules().set_name_prefix(begins_with(prefix)).set_next_token(next);
            let page = call.send().await.map_err(failed("events:ListRules"))?;
            names.extend(page.rules.into_iter().flatten().filter_map(|rule| rule.name));
            if page.next_token.is_none() {
                return Ok(Some(names));
            }
            next = page.next_token;
        }
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "events:DescribeRule";
        let found = self.events.describe_rule().name(target.identity).send().await.map_err(failed(OPERATION))?;
        self.put_tags(found.arn().ok_or_else(|| incomplete(OPERATION, "Arn"))?, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        Ok(outputs(target.identity, &self.put(target, Some(tags)).await?))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let arn = self.put(target, None).await?;
        self.put_tags(&arn, tags).await?;
        Ok(outputs(target.identity, &arn))
    }

    /// A rule is not deleted while it has targets, ours or not.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let rule = target.identity;
        let Some(left) = targets(&self.events, rule).await.or_none()? else { return Ok(()) };
        let ids: Vec<String> = left.into_iter().map(|target| target.id).collect();
        if remove_targets(&self.events, rule, &ids).await.or_none()?.is_none() {
            return Ok(());
        }
        self.events.delete_rule().name(rule).send().await.map_err(failed("events:DeleteRule")).or_none().map(drop)
    }
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

fn tag_list(operation: &str, tags: &Tags) -> Result<Vec<Tag>, ProviderError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| unbuildable(operation, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, json_error, target},
    };

    const ARN: &str = "arn:aws:events:eu-west-1:123456789012:rule/r";

    fn declared() -> Fields {
        let pattern = json!({ "source": ["aws.glue"], "detail": { "state": ["Succeeded"], "crawlerName": ["c"] } });
        fields(json!({ "description": "d", "pattern": pattern, "enabled": true }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn found(rest: &Value) -> Answer {
        let mut rule = json!({ "Name": "r", "Arn": ARN, "Description": "d", "State": "ENABLED" });
        rule.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        answer(200, rule.to_string())
    }

    fn tags() -> Answer {
        answer(200, json!({ "Tags": [{ "Key": "lake:stack", "Value": "local" }] }).to_string())
    }

    fn gone() -> Answer {
        json_error(400, "ResourceNotFoundException", "Rule r does not exist on EventBus default.")
    }

    #[tokio::test]
    async fn a_rule_is_read_with_its_pattern_whatever_its_spelling() {
        let pattern = r#"{ "detail": {"crawlerName":["c"], "state":["Succeeded"]},  "source":["aws.glue"] }"#;
        let replay = Replay::new([found(&json!({ "EventPattern": pattern })), tags(), gone()]);
        let kind = RuleKind::new(&replay.clients());
        let observed = kind.observe(target("r", &declared())).await.unwrap().unwrap();
        assert_eq!(observed.inputs, declared());
        assert_eq!(observed.outputs["arn"], ARN);
        assert_eq!(observed.tags, ours());
        assert_eq!(kind.observe(target("r", &declared())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_rule_that_was_switched_off_or_lost_its_pattern_shows_as_drift() {
        let off = json!({ "State": "DISABLED", "ScheduleExpression": "rate(1 day)" });
        let replay = Replay::new([found(&off), tags()]);
        let observed = RuleKind::new(&replay.clients()).observe(target("r", &declared())).await.unwrap().unwrap();
        let drifted = json!({ "description": "d", "pattern": "", "schedule": "rate(1 day)", "enabled": false });
        assert_eq!(observed.inputs, fields(drifted));
    }

    #[tokio::test]
    async fn a_rule_is_created_with_its_tags_and_an_update_tags_it_apart() {
        let put = || answer(200, json!({ "RuleArn": ARN }).to_string());
        let replay = Replay::new([put(), put(), answer(200, "{}")]);
        let kind = RuleKind::new(&replay.clients());
        let outputs = kind.create(target("r", &declared()), &ours()).await.unwrap();
        assert_eq!(outputs["arn"], ARN);
        kind.update(target("r", &declared()), &declared(), &ours()).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains(r#""State":"ENABLED""#) && asked[0].contains("lake:stack"), "{}", asked[0]);
        assert!(!asked[1].contains("lake:stack") && asked[2].contains("lake:stack"), "{asked:#?}");
    }

    #[tokio::test]
    async fn what_is_left_on_a_rule_goes_before_it_and_a_rule_that_is_gone_is_deleted() {
        let one = |id: &str, next: Option<&str>| {
            let targets = [json!({ "Id": id, "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f" })];
            answer(200, json!({ "Targets": targets, "NextToken": next }).to_string())
        };
        let none = || answer(200, json!({ "FailedEntryCount": 0, "FailedEntries": [] }).to_string());
        let replay = Replay::new([one("a", Some("2")), one("b", None), none(), answer(200, "{}"), gone()]);
        let kind = RuleKind::new(&replay.clients());
        kind.delete(target("r", &declared())).await.unwrap();
        kind.delete(target("r", &declared())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[2].contains("RemoveTargets") && asked[2].contains(r#"["a","b"]"#), "{}", asked[2]);
        assert!(asked[3].contains("DeleteRule"), "{}", asked[3]);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_target_that_stays_stops_the_deletion_though_the_answer_is_200() {
        let targets = json!({ "Targets": [{ "Id": "a", "Arn": "arn:aws:sqs:eu-west-1:123456789012:q" }] });
        let entry = json!({ "TargetId": "a", "ErrorCode": "ConcurrentModificationException", "ErrorMessage": "busy" });
        let failed = json!({ "FailedEntryCount": 1, "FailedEntries": [entry] });
        let replay = Replay::new([answer(200, targets.to_string()), answer(200, failed.to_string())]);
        let error = RuleKind::new(&replay.clients()).delete(target("r", &declared())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotYet);
        assert!(error.message.contains("target `a`"), "{error}");
    }
}
