//! `aws:events:Target`: part of its rule.

use async_trait::async_trait;
use aws_sdk_eventbridge::{
    Client,
    types::{DeadLetterConfig, InputTransformer, RetryPolicy, Target as Entry},
};
use serde_json::{Value, json};

use super::{put_target, remove_targets, targets};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, parent_not_yet, unbuildable},
            fields::{fields, inputs, number, or_blank, parsed, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::events::Target as Declared},
};

/// What EventBridge does for a target without a retry policy
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html>).
const RETRY_ATTEMPTS_DEFAULT: i32 = 185;

/// The same for the age of an event, in seconds.
const RETRY_AGE_DEFAULT_SECONDS: i32 = 86_400;

pub(in crate::provider::aws) struct TargetKind {
    events: Client,
}

impl TargetKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        TargetKind { events: clients.events.clone() }
    }
}

#[async_trait]
impl Kind for TargetKind {
    fn schema(&self) -> &'static Schema {
        Declared::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (rule, id) = two(Declared::SCHEMA.kind, target)?;
        let there = targets(&self.events, rule).await.or_none()?;
        let Some(found) = there.into_iter().flatten().find(|found| found.id == id) else { return Ok(None) };
        Ok(Some(Observed { inputs: observed(rule, &found, target), outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let declared: Declared = inputs(target)?;
        let entry = entry(&declared)?;
        put_target(&self.events, declared.rule.known(), entry).await.map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    /// What is put replaces what is there as a whole.
    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let (rule, id) = two(Declared::SCHEMA.kind, target)?;
        remove_targets(&self.events, rule, &[id.to_owned()]).await.or_none().map(drop)
    }
}

fn entry(declared: &Declared) -> Result<Entry, ProviderError> {
    let unbuildable = |error| unbuildable("events:PutTargets", error);
    let transformer = (!declared.input_template.is_empty()).then(|| {
        let paths = declared.input_paths.clone().into_iter().collect();
        InputTransformer::builder().set_input_paths_map(Some(paths)).input_template(&declared.input_template).build()
    });
    let dead_letter = declared.dead_letter.as_ref().map(|queue| DeadLetterConfig::builder().arn(queue.known()).build());
    let retry = RetryPolicy::builder()
        .maximum_retry_attempts(number(*declared.retry_attempts.known()))
        .maximum_event_age_in_seconds(number(*declared.retry_age_seconds.known()))
        .build();
    Entry::builder()
        .id(declared.id.known())
        .arn(declared.arn.known())
        .set_input(declared.input.as_ref().map(Value::to_string))
        .set_input_transformer(transformer.transpose().map_err(unbuildable)?)
        .set_dead_letter_config(dead_letter)
        .retry_policy(retry)
        .build()
        .map_err(unbuildable)
}

/// The target in the declared shape. What lake never declares is told besides, so that it shows as drift.
fn observed(rule: &str, found: &Entry, target: Target<'_>) -> Fields {
    let transformer = found.input_transformer();
    let paths = transformer.and_then(InputTransformer::input_paths_map).cloned().unwrap_or_default();
    let dead_letter = found.dead_letter_config().and_then(DeadLetterConfig::arn);
    let retry = found.retry_policy();
    let attempts = retry.and_then(RetryPolicy::maximum_retry_attempts).unwrap_or(RETRY_ATTEMPTS_DEFAULT);
    let age = retry.and_then(RetryPolicy::maximum_event_age_in_seconds).unwrap_or(RETRY_AGE_DEFAULT_SECONDS);
    fields(json!({
        "rule": rule,
        "id": found.id,
        "arn": found.arn,
        "input": or_blank(target, "input", found.input().map(parsed)),
        "input_paths": paths,
        "input_template": transformer.map_or("", |transformer| transformer.input_template.as_str()),
        "dead_letter": or_blank(target, "dead_letter", dead_letter.map(|arn| Value::String(arn.to_owned()))),
        "retry_attempts": attempts,
        "retry_age_seconds": age,
        "input_path": found.input_path(),
        "role": found.role_arn(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Replay, answer, json_error, target},
    };

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dead";

    fn declared() -> Fields {
        fields(json!({
            "rule": "r", "id": "mail", "arn": "arn:aws:sns:eu-west-1:123456789012:t",
            "input_paths": { "run": "$.detail.run" }, "input_template": "\"run <run>\"", "dead_letter": QUEUE,
            "retry_attempts": 3, "retry_age_seconds": 3600,
        }))
    }

    fn listed(targets: &[Value]) -> (u16, &'static [(&'static str, &'static str)], Vec<u8>) {
        answer(200, json!({ "Targets": targets }).to_string())
    }

    fn wire() -> Value {
        json!({
            "Id": "mail", "Arn": "arn:aws:sns:eu-west-1:123456789012:t", "DeadLetterConfig": { "Arn": QUEUE },
            "InputTransformer": { "InputPathsMap": { "run": "$.detail.run" }, "InputTemplate": "\"run <run>\"" },
            "RetryPolicy": { "MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600 },
        })
    }

    #[tokio::test]
    async fn a_target_is_found_by_its_id_and_what_it_lost_or_gained_shows_as_drift() {
        let bare = json!({ "Id": "mail", "Arn": "arn:aws:sns:eu-west-1:123456789012:t", "InputPath": "$.detail" });
        let replay = Replay::new([
            listed(&[json!({ "Id": "other", "Arn": "a" }), wire()]),
            listed(&[]),
            json_error(400, "ResourceNotFoundException", "Rule r does not exist on EventBus default."),
            listed(&[bare]),
        ]);
        let kind = TargetKind::new(&replay.clients());
        let declared = declared();
        let target = target("r/mail", &declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        let drifted = kind.observe(target).await.unwrap().unwrap().inputs;
        assert_eq!((&drifted["dead_letter"], &drifted["input_path"]), (&json!(""), &json!("$.detail")));
        assert_eq!((&drifted["retry_attempts"], &drifted["input_template"]), (&json!(185), &json!("")));
    }

    #[tokio::test]
    async fn a_target_is_put_with_everything_and_reads_back_as_declared() {
        let replay = Replay::new([answer(200, r#"{"FailedEntryCount":0,"FailedEntries":[]}"#)]);
        TargetKind::new(&replay.clients()).create(target("r/mail", &declared()), &Tags::new()).await.unwrap();
        let asked = &replay.asked()[0];
        let body: Value =
            serde_json::from_str(asked.split_once('{').map(|(_, rest)| format!("{{{rest}")).unwrap().as_str()).unwrap();
        assert_eq!(body["Targets"], json!([wire()]));
    }

    #[tokio::test]
    async fn a_constant_is_sent_as_json_and_told_as_json() {
        let declared = fields(json!({
            "rule": "r", "id": "sweep", "arn": "arn:f", "input": { "sweep": true }, "input_paths": {},
            "input_template": "", "retry_attempts": 0, "retry_age_seconds": 60,
        }));
        let wire = json!({ "Id": "sweep", "Arn": "arn:f", "Input": "{ \"sweep\": true }",
            "RetryPolicy": { "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60 } });
        let replay = Replay::new([answer(200, r#"{"FailedEntryCount":0}"#), listed(&[wire])]);
        let kind = TargetKind::new(&replay.clients());
        let target = target("r/sweep", &declared);
        kind.create(target, &Tags::new()).await.unwrap();
        assert!(replay.asked()[0].contains(r#""Input":"{\"sweep\":true}""#), "{:#?}", replay.asked());
        assert!(!replay.asked()[0].contains("InputTransformer"), "{:#?}", replay.asked());
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
    }

    #[tokio::test]
    async fn a_failure_inside_a_200_is_an_error_of_its_own_kind() {
        let failure = |code: &str| {
            let entry = json!({ "TargetId": "mail", "ErrorCode": code, "ErrorMessage": "told why" });
            answer(200, json!({ "FailedEntryCount": 1, "FailedEntries": [entry] }).to_string())
        };
        let cases = [
            ("ConcurrentModificationException", ErrorKind::NotYet),
            ("ResourceNotFoundException", ErrorKind::NotYet),
            ("InternalException", ErrorKind::Throttled),
            ("ManagedRuleException", ErrorKind::Invalid),
        ];
        let replay = Replay::new(cases.map(|(code, _)| failure(code)));
        let kind = TargetKind::new(&replay.clients());
        for (code, expected) in cases {
            let error = kind.create(target("r/mail", &declared()), &Tags::new()).await.unwrap_err();
            assert_eq!(error.kind, expected, "{code}");
            assert!(error.message.contains("told why") && error.message.contains("mail"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_count_of_failures_without_entries_is_a_failure() {
        let replay = Replay::new([answer(200, r#"{"FailedEntryCount":1}"#)]);
        let error = TargetKind::new(&replay.clients()).create(target("r/mail", &declared()), &Tags::new()).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Invalid);
    }

    #[tokio::test]
    async fn deleting_a_target_whose_rule_is_gone_succeeds() {
        let replay = Replay::new([
            json_error(400, "ResourceNotFoundException", "Rule r does not exist on EventBus default."),
            answer(200, r#"{"FailedEntryCount":0}"#),
        ]);
        let kind = TargetKind::new(&replay.clients());
        kind.delete(target("r/mail", &declared())).await.unwrap();
        kind.delete(target("r/mail", &declared())).await.unwrap();
        assert!(replay.asked()[1].contains(r#""Ids":["mail"]"#), "{:#?}", replay.asked());
    }
}
