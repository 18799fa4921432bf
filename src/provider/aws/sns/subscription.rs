//! `aws:sns:Subscription`: known by topic, protocol and endpoint. One by e-mail is pending until the reader confirms
//! it (<https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html>).

use async_trait::async_trait;
use aws_sdk_sns::{Client, types::Subscription as Found};
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, parent_not_yet},
            fields::{fields, inputs, three},
        },
    },
    resource::{Fields, Resource, Schema, aws::sns::Subscription},
};

/// In place of the ARN of a subscription that nobody confirmed yet.
const PENDING: &str = "PendingConfirmation";

/// In place of the ARN of a subscription that is listed for a while after it ended.
const DELETED: &str = "Deleted";

pub(in crate::provider::aws) struct SubscriptionKind {
    sns: Client,
}

impl SubscriptionKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        SubscriptionKind { sns: clients.sns.clone() }
    }

    /// Its ARN, or [`PENDING`].
    async fn find(&self, target: Target<'_>) -> Result<Option<String>, ProviderError> {
        let (topic, protocol, endpoint) = three(Subscription::SCHEMA.kind, target)?;
        let mut pages = self.sns.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
        let mut pending = None;
        while let Some(found) = pages.next().await {
            let found = found.map_err(failed("sns:ListSubscriptionsByTopic")).or_none()?;
            // The topic is gone, and its subscriptions with it.
            let Some(found) = found else { return Ok(None) };
            if !is_to(&found, protocol, endpoint) {
                continue;
            }
            match found.subscription_arn.as_deref() {
                None | Some(DELETED) => {}
                Some(PENDING) => pending = Some(PENDING.to_owned()),
                Some(arn) => return Ok(Some(arn.to_owned())),
            }
        }
        Ok(pending)
    }
}

#[async_trait]
impl Kind for SubscriptionKind {
    fn schema(&self) -> &'static Schema {
        Subscription::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (topic, protocol, endpoint) = three(Subscription::SCHEMA.kind, target)?;
        let Some(arn) = self.find(target).await? else { return Ok(None) };
        let inputs = fields(json!({ "topic": topic, "protocol": protocol, "endpoint": endpoint }));
        Ok(Some(Observed { inputs, outputs: outputs(&arn), tags: Tags::new() }))
    }

    /// A subscription that is there already is answered with its ARN; one that is pending gets another mail.
    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "sns:Subscribe";
        let inputs: Subscription = inputs(target)?;
        let call = self
            .sns
            .subscribe()
            .topic_arn(inputs.topic.known())
            .protocol(inputs.protocol.known())
            .endpoint(inputs.endpoint.known())
            .return_subscription_arn(true);
        let answer = call.send().await.map_err(failed(OPERATION)).map_err(parent_not_yet)?;
        Ok(outputs(&answer.subscription_arn.ok_or_else(|| incomplete(OPERATION, "SubscriptionArn"))?))
    }

    /// All it has is what it is known by.
    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        match self.find(target).await? {
            Some(arn) => Ok(outputs(&arn)),
            None => self.create(target, tags).await,
        }
    }

    /// SNS does not unsubscribe what is pending; it ends it by itself
    /// (<https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html>).
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Some(arn) = self.find(target).await? else { return Ok(()) };
        if arn == PENDING {
            tracing::warn!(
                "subscription {} was never confirmed: SNS ends it by itself after 48 hours, or with its topic",
                target.identity
            );
            return Ok(());
        }
        let call = self.sns.unsubscribe().subscription_arn(arn);
        call.send().await.map_err(failed("sns:Unsubscribe")).or_none().map(drop)
    }
}

fn is_to(found: &Found, protocol: &str, endpoint: &str) -> bool {
    found.protocol() == Some(protocol) && found.endpoint() == Some(endpoint)
}

fn outputs(arn: &str) -> Fields {
    fields(json!({ "arn": arn }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, query_error, target},
    };

    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:t";
    const ID: &str = "arn:aws:sns:eu-west-1:123456789012:t/email/ann@example.com";

    fn declared() -> Fields {
        fields(json!({ "topic": TOPIC, "protocol": "email", "endpoint": "ann@example.com" }))
    }

    fn listed(subscriptions: &[(&str, &str)], next: &str) -> Answer {
        let members: String = subscriptions
            .iter()
            .map(|(endpoint, arn)| {
                format!(
                    "<member><TopicArn>{TOPIC}</TopicArn><Protocol>email</Protocol><Endpoint>{endpoint}</Endpoint>\
                     <SubscriptionArn>{arn}</SubscriptionArn><Owner>123456789012</Owner></member>"
                )
            })
            .collect();
        let next = if next.is_empty() { String::new() } else { format!("<NextToken>{next}</NextToken>") };
        answer(
            200,
            format!(
                "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions>{members}\
                 </Subscriptions>{next}</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
            ),
        )
    }

    #[tokio::test]
    async fn a_subscription_is_found_on_a_later_page_and_a_pending_one_is_there() {
        let arn = format!("{TOPIC}:1");
        let replay = Replay::new([
            listed(&[("bob@example.com", "arn:x")], "2"),
            listed(&[("ann@example.com", &arn)], ""),
            listed(&[("ann@example.com", PENDING)], ""),
            listed(&[("ann@example.com", DELETED)], ""),
            query_error(404, "NotFound", "Topic does not exist"),
        ]);
        let kind = SubscriptionKind::new(&replay.clients());
        let declared = declared();
        let target = target(ID, &declared);
        let found = kind.observe(target).await.unwrap().unwrap();
        assert_eq!((found.inputs, found.outputs["arn"].as_str()), (declared.clone(), Some(arn.as_str())));
        assert_eq!(kind.observe(target).await.unwrap().unwrap().outputs["arn"], PENDING);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn subscribing_asks_for_the_arn_and_waits_for_its_topic() {
        let made = format!(
            "<SubscribeResponse><SubscribeResult><SubscriptionArn>{TOPIC}:1</SubscriptionArn></SubscribeResult>\
             </SubscribeResponse>"
        );
        let replay = Replay::new([query_error(404, "NotFound", "Topic does not exist"), answer(200, made)]);
        let kind = SubscriptionKind::new(&replay.clients());
        let declared = declared();
        let target = target(ID, &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap_err().kind, ErrorKind::NotYet);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap()["arn"], format!("{TOPIC}:1"));
        assert!(replay.asked()[1].contains("ReturnSubscriptionArn=true"), "{:#?}", replay.asked());
    }

    #[tokio::test]
    async fn a_pending_subscription_counts_as_deleted_and_a_confirmed_one_is_unsubscribed() {
        let replay = Replay::new([
            listed(&[("ann@example.com", PENDING)], ""),
            listed(&[("ann@example.com", "arn:1")], ""),
            answer(200, "<UnsubscribeResponse/>"),
            listed(&[], ""),
        ]);
        let kind = SubscriptionKind::new(&replay.clients());
        for _ in 0..3 {
            kind.delete(target(ID, &declared())).await.unwrap();
        }
        assert!(replay.asked()[2].contains("SubscriptionArn=arn%3A1"), "{:#?}", replay.asked());
        replay.assert_used_up();
    }
}
