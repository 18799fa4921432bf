//! What subscribers get: the documents around a published message, and the links in them.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
//!
//! The embedded cloud has no certificate that a subscriber could check a signature with, so the fields of the
//! signature are there and empty: who verifies, refuses, and nobody trusts what was not signed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::model::{Subscription, now_ms};
use crate::cloud::delivery::Attribute;

/// Links that need no signature: each carries a token.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// The cloud's own URL.
    pub endpoint: String,
}

impl Links {
    fn link(&self, parameters: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        format!("{}/?{query}", self.endpoint)
    }

    pub(super) fn confirm(&self, topic: &str, token: &str) -> String {
        self.link(&[("Action", "ConfirmSubscription"), ("TopicArn", topic), ("Token", token)])
    }

    pub(super) fn unsubscribe(&self, subscription: &Subscription) -> String {
        self.link(&[
            ("Action", "Unsubscribe"),
            ("SubscriptionArn", &subscription.arn),
            ("Token", &subscription.unsubscribe),
        ])
    }
}

/// A message that was published.
#[derive(Debug, Clone)]
pub(super) struct Notification {
    pub id: String,
    pub topic: String,
    pub subject: Option<String>,
    pub attributes: BTreeMap<String, Attribute>,
    /// As SNS writes it.
    pub timestamp: String,
    pub signature_version: String,
}

/// Now, as SNS writes it.
pub(super) fn timestamp() -> String {
    let now = jiff::Timestamp::from_millisecond(now_ms()).unwrap_or_default();
    format!("{now:.3}")
}

impl Notification {
    fn attributes(&self) -> Value {
        let attributes = self
            .attributes
            .iter()
            .map(|(name, attribute)| (name.clone(), json!({ "Type": attribute.data_type, "Value": attribute.value })));
        Value::Object(attributes.collect())
    }

    /// The document that queues and `email-json` get around `text`.
    pub(super) fn envelope(&self, links: &Links, subscription: &Subscription, text: &str) -> String {
        let mut envelope = Map::new();
        let mut put = |name: &str, value: Value| envelope.insert(name.to_owned(), value);
        put("Type", "Notification".into());
        put("MessageId", self.id.clone().into());
        put("TopicArn", self.topic.clone().into());
        if let Some(subject) = &self.subject {
            put("Subject", subject.clone().into());
        }
        put("Message", text.into());
        put("Timestamp", self.timestamp.clone().into());
        put("SignatureVersion", self.signature_version.clone().into());
        put("Signature", "".into());
        put("SigningCertURL", "".into());
        put("UnsubscribeURL", links.unsubscribe(subscription).into());
        if !self.attributes.is_empty() {
            put("MessageAttributes", self.attributes());
        }
        Value::Object(envelope).to_string()
    }

    /// The event that functions get. <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
    pub(super) fn event(&self, links: &Links, subscription: &Subscription, text: &str) -> String {
        json!({
            "Records": [{
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": {
                    "Type": "Notification",
                    "MessageId": self.id,
                    "TopicArn": self.topic,
                    "Subject": self.subject,
                    "Message": text,
                    "Timestamp": self.timestamp,
                    "SignatureVersion": self.signature_version,
                    "Signature": "",
                    "SigningCertUrl": "",
                    "UnsubscribeUrl": links.unsubscribe(subscription),
                    "MessageAttributes": self.attributes(),
                },
            }],
        })
        .to_string()
    }
}

/// The document that asks an `email-json` subscriber whether the subscription is wanted.
pub(super) fn confirmation(topic: &str, token: &str, link: &str) -> String {
    json!({
        "Type": "SubscriptionConfirmation",
        "MessageId": uuid::Uuid::new_v4().to_string(),
        "Token": token,
        "TopicArn": topic,
        "Message": format!(
            "This address was subscribed to the topic {topic}. To confirm the subscription, visit the SubscribeURL of \
             this message."
        ),
        "SubscribeURL": link,
        "Timestamp": timestamp(),
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertURL": "",
    })
    .to_string()
}
