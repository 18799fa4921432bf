//! `aws:sqs:QueuePolicy`: an attribute of its queue.

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use serde_json::json;

use super::{url, url_soon};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients, document,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, input, inputs, parsed},
        },
    },
    resource::{Fields, Resource, Schema, aws::sqs::QueuePolicy},
};

pub(in crate::provider::aws) struct QueuePolicyKind {
    sqs: Client,
}

impl QueuePolicyKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        QueuePolicyKind { sqs: clients.sqs.clone() }
    }

    async fn put(&self, url: &str, policy: String) -> Result<(), ProviderError> {
        let call = self.sqs.set_queue_attributes().queue_url(url).attributes(Attribute::Policy, policy);
        call.send().await.map_err(failed("sqs:SetQueueAttributes")).map(drop)
    }
}

#[async_trait]
impl Kind for QueuePolicyKind {
    fn schema(&self) -> &'static Schema {
        QueuePolicy::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(url) = url(&self.sqs, target.identity).await? else { return Ok(None) };
        let call = self.sqs.get_queue_attributes().queue_url(url).attribute_names(Attribute::Policy);
        let answer = call.send().await.map_err(failed("sqs:GetQueueAttributes")).or_none()?;
        let policy = answer.and_then(|answer| answer.attributes?.remove(&Attribute::Policy));
        let Some(policy) = policy.filter(|policy| !policy.is_empty()) else { return Ok(None) };
        let document = document::in_the_words_of(input(target, "document"), parsed(&policy));
        let inputs = fields(json!({ "queue": target.identity, "document": document }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: QueuePolicy = inputs(target)?;
        let url = url_soon(&self.sqs, inputs.queue.known()).await?;
        self.put(&url, inputs.document.to_string()).await.map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    /// An empty policy is none.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Some(url) = url(&self.sqs, target.identity).await? else { return Ok(()) };
        self.put(&url, String::new()).await.or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, json_error, target},
    };

    const URL: &str = "http://127.0.0.1:1/123456789012/q";

    fn declared() -> Fields {
        let statement = json!({ "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
            "Action": ["sqs:SendMessage"], "Resource": "arn:aws:sqs:eu-west-1:123456789012:q" });
        fields(json!({ "queue": "q", "document": { "Version": "2012-10-17", "Statement": [statement] } }))
    }

    fn url() -> Answer {
        answer(200, json!({ "QueueUrl": URL }).to_string())
    }

    fn gone() -> Answer {
        json_error(400, "QueueDoesNotExist", "The specified queue does not exist.")
    }

    #[tokio::test]
    async fn a_policy_is_read_in_our_words_and_none_is_nothing() {
        let policy = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sqs:SendMessage",
            "Principal": { "Service": ["events.amazonaws.com"] }, "Resource": "arn:aws:sqs:eu-west-1:123456789012:q" } });
        let replay = Replay::new([
            url(),
            answer(200, json!({ "Attributes": { "Policy": policy.to_string() } }).to_string()),
            url(),
            answer(200, "{}"),
            gone(),
        ]);
        let kind = QueuePolicyKind::new(&replay.clients());
        assert_eq!(kind.observe(target("q", &declared())).await.unwrap().unwrap().inputs, declared());
        assert_eq!(kind.observe(target("q", &declared())).await.unwrap(), None);
        assert_eq!(kind.observe(target("q", &declared())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_policy_is_put_on_its_queue_as_soon_as_that_is_visible_and_taken_off_again() {
        let done = || answer(200, "{}");
        let replay = Replay::new([gone(), url(), gone(), url(), done(), url(), done(), url(), gone(), gone()]);
        let kind = QueuePolicyKind::new(&replay.clients());
        let declared = declared();
        let target = target("q", &declared);
        for _ in 0..2 {
            assert_eq!(kind.create(target, &Tags::new()).await.unwrap_err().kind, ErrorKind::NotYet);
        }
        kind.create(target, &Tags::new()).await.unwrap();
        for _ in 0..3 {
            kind.delete(target).await.unwrap();
        }
        let asked = replay.asked();
        assert!(asked[4].contains("events.amazonaws.com") && asked[4].contains(URL), "{}", asked[4]);
        assert!(asked[6].contains(r#""Policy":"""#), "{}", asked[6]);
        replay.assert_used_up();
    }
}
