//! `aws:sns:TopicPolicy`: an attribute of its topic, which is never without one.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use serde_json::{Value, json};

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients, document,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, input, inputs, parsed},
        },
    },
    resource::{Fields, Resource, Schema, aws::sns::TopicPolicy},
};

/// The attribute.
const POLICY: &str = "Policy";

/// The id of the policy that SNS gives a topic when it is made: only its owner may use it
/// (<https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html>).
const DEFAULT_ID: &str = "__default_policy_ID";

/// What that policy lets the owner do.
const DEFAULT_ACTIONS: [&str; 8] = [
    "SNS:GetTopicAttributes",
    "SNS:SetTopicAttributes",
    "SNS:AddPermission",
    "SNS:RemovePermission",
    "SNS:DeleteTopic",
    "SNS:Subscribe",
    "SNS:ListSubscriptionsByTopic",
    "SNS:Publish",
];

pub(in crate::provider::aws) struct TopicPolicyKind {
    sns: Client,
}

impl TopicPolicyKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        TopicPolicyKind { sns: clients.sns.clone() }
    }

    async fn put(&self, topic: &str, policy: &Value) -> Result<(), ProviderError> {
        let call = self.sns.set_topic_attributes().topic_arn(topic).attribute_name(POLICY);
        let call = call.attribute_value(policy.to_string());
        call.send().await.map_err(failed("sns:SetTopicAttributes")).map(drop)
    }
}

#[async_trait]
impl Kind for TopicPolicyKind {
    fn schema(&self) -> &'static Schema {
        TopicPolicy::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.sns.get_topic_attributes().topic_arn(target.identity).send().await;
        let answer = call.map_err(failed("sns:GetTopicAttributes")).or_none()?;
        let Some(policy) = answer.and_then(|answer| answer.attributes?.remove(POLICY)) else { return Ok(None) };
        let policy = parsed(&policy);
        if policy["Id"] == DEFAULT_ID {
            return Ok(None);
        }
        let document = document::in_the_words_of(input(target, "document"), policy);
        let inputs = fields(json!({ "topic": target.identity, "document": document }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: TopicPolicy = inputs(target)?;
        self.put(inputs.topic.known(), &inputs.document).await.map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    /// SNS takes no empty policy: the topic gets the one it was made with.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        self.put(target.identity, &default_policy(target.identity)).await.or_none().map(drop)
    }
}

fn default_policy(topic: &str) -> Value {
    let account = topic.split(':').nth(4).unwrap_or_default();
    json!({ "Version": "2008-10-17", "Id": DEFAULT_ID, "Statement": [{
        "Sid": "__default_statement_ID", "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": DEFAULT_ACTIONS,
        "Resource": topic, "Condition": { "StringEquals": { "AWS:SourceOwner": account } } }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, query_error, target},
    };

    const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:t";

    fn declared() -> Fields {
        let statement = json!({ "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sns:Publish", "Resource": ARN });
        fields(json!({ "topic": ARN, "document": { "Version": "2012-10-17", "Statement": [statement] } }))
    }

    fn attributes(policy: &Value) -> Answer {
        let policy = policy.to_string().replace('"', "&quot;");
        answer(
            200,
            format!(
                "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes><entry><key>Policy</key>\
                 <value>{policy}</value></entry></Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"
            ),
        )
    }

    fn gone() -> Answer {
        query_error(404, "NotFound", "Topic does not exist")
    }

    #[tokio::test]
    async fn the_policy_that_a_topic_is_made_with_is_nothing_and_another_shows_as_it_is() {
        let other = json!({ "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "sns:*" }] });
        let declared = declared();
        let replay = Replay::new([
            attributes(&default_policy(ARN)),
            gone(),
            attributes(&declared["document"]),
            attributes(&other),
        ]);
        let kind = TopicPolicyKind::new(&replay.clients());
        let target = target(ARN, &declared);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["document"], other);
    }

    #[tokio::test]
    async fn deletion_gives_the_topic_the_policy_it_was_made_with() {
        let done = || answer(200, "<SetTopicAttributesResponse/>");
        let replay = Replay::new([gone(), done(), done(), gone()]);
        let kind = TopicPolicyKind::new(&replay.clients());
        let declared = declared();
        let target = target(ARN, &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap_err().kind, ErrorKind::NotYet);
        kind.create(target, &Tags::new()).await.unwrap();
        kind.delete(target).await.unwrap();
        kind.delete(target).await.unwrap();
        let asked = replay.asked();
        assert!(asked[1].contains("events.amazonaws.com"), "{}", asked[1]);
        assert!(asked[2].contains(DEFAULT_ID) && asked[2].contains("123456789012"), "{}", asked[2]);
    }
}
