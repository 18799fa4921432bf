//! `aws:lambda:EventInvokeConfig`.

use async_trait::async_trait;
use aws_sdk_lambda::{
    Client,
    types::{DestinationConfig, OnFailure},
};
use serde_json::{Value, json};

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, inputs, number, or_blank},
        },
    },
    resource::{Fields, Resource, Schema, aws::lambda::EventInvokeConfig},
};

/// What Lambda does where the configuration names no number
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html>).
const RETRIES_DEFAULT: i32 = 2;

/// The same for the age of an event, in seconds.
const EVENT_AGE_DEFAULT_SECONDS: i32 = 21_600;

pub(in crate::provider::aws) struct EventInvokeConfigKind {
    lambda: Client,
}

impl EventInvokeConfigKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        EventInvokeConfigKind { lambda: clients.lambda.clone() }
    }
}

#[async_trait]
impl Kind for EventInvokeConfigKind {
    fn schema(&self) -> &'static Schema {
        EventInvokeConfig::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.lambda.get_function_event_invoke_config().function_name(target.identity).send().await;
        let Some(there) = call.map_err(failed("lambda:GetFunctionEventInvokeConfig")).or_none()? else {
            return Ok(None);
        };
        let destination = there.destination_config().and_then(|config| config.on_failure()?.destination());
        let destination = destination.filter(|arn| !arn.is_empty()).map(|arn| Value::String(arn.to_owned()));
        let inputs = fields(json!({
            "function": target.identity,
            "retries_max": there.maximum_retry_attempts().unwrap_or(RETRIES_DEFAULT),
            "event_age_max_seconds": there.maximum_event_age_in_seconds().unwrap_or(EVENT_AGE_DEFAULT_SECONDS),
            "on_failure": or_blank(target, "on_failure", destination),
        }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: EventInvokeConfig = inputs(target)?;
        let on_failure = inputs.on_failure.as_ref().map(|arn| OnFailure::builder().destination(arn.known()).build());
        let destination = on_failure.map(|on_failure| DestinationConfig::builder().on_failure(on_failure).build());
        let call = self
            .lambda
            .put_function_event_invoke_config()
            .function_name(inputs.function.known())
            .maximum_retry_attempts(number(*inputs.retries_max.known()))
            .maximum_event_age_in_seconds(number(*inputs.event_age_max_seconds.known()))
            .set_destination_config(destination);
        call.send().await.map_err(failed("lambda:PutFunctionEventInvokeConfig")).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.lambda.delete_function_event_invoke_config().function_name(target.identity);
        call.send().await.map_err(failed("lambda:DeleteFunctionEventInvokeConfig")).or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, json_error, target};

    #[tokio::test]
    async fn a_configuration_is_read_with_lambdas_defaults_and_put_as_a_whole() {
        let declared = fields(json!({ "function": "f", "retries_max": 2, "event_age_max_seconds": 3600 }));
        let replay = Replay::new([
            answer(200, json!({ "MaximumEventAgeInSeconds": 3600, "DestinationConfig": {} }).to_string()),
            json_error(404, "ResourceNotFoundException", "none"),
            answer(200, "{}"),
        ]);
        let kind = EventInvokeConfigKind::new(&replay.clients());
        assert_eq!(kind.observe(target("f", &declared)).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target("f", &declared)).await.unwrap(), None);
        kind.create(target("f", &declared), &Tags::new()).await.unwrap();
        let put = &replay.asked()[2];
        assert!(put.starts_with("PUT ") && put.contains(r#""MaximumEventAgeInSeconds":3600"#), "{put}");
        assert!(!put.contains("DestinationConfig"), "{put}");
    }

    #[tokio::test]
    async fn the_destination_of_failed_events_is_put_and_its_loss_shows_as_drift() {
        const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:failed";
        let declared = fields(json!({
            "function": "f", "retries_max": 2, "event_age_max_seconds": 3600, "on_failure": QUEUE }));
        let told = |destination: Value| {
            let config = json!({ "MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600,
                "DestinationConfig": { "OnSuccess": {}, "OnFailure": destination } });
            answer(200, config.to_string())
        };
        let lacks = "The function's execution role does not have permissions to call SendMessage on the queue";
        let replay = Replay::new([
            json_error(400, "InvalidParameterValueException", lacks),
            answer(200, "{}"),
            told(json!({ "Destination": QUEUE })),
            told(json!({})),
        ]);
        let kind = EventInvokeConfigKind::new(&replay.clients());
        let target = target("f", &declared);
        let error = kind.create(target, &Tags::new()).await.unwrap_err();
        assert_eq!(error.kind, crate::provider::ErrorKind::NotYet);
        kind.create(target, &Tags::new()).await.unwrap();
        assert!(replay.asked()[1].contains(QUEUE), "{}", replay.asked()[1]);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["on_failure"], "");
    }
}
