//! `aws:lambda:EventInvokeConfig`.

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, inputs},
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
        let inputs = fields(json!({
            "function": target.identity,
            "retries_max": there.maximum_retry_attempts().unwrap_or(RETRIES_DEFAULT),
            "event_age_max_seconds": there.maximum_event_age_in_seconds().unwrap_or(EVENT_AGE_DEFAULT_SECONDS),
        }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: EventInvokeConfig = inputs(target)?;
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let call = self
            .lambda
            .put_function_event_invoke_config()
            .function_name(inputs.function.known())
            .maximum_retry_attempts(number(*inputs.retries_max.known()))
            .maximum_event_age_in_seconds(number(*inputs.event_age_max_seconds.known()));
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
    }
}
