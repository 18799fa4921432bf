//! What is kept: topics and subscriptions. What is on its way is in `outbox`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{StoreError, Table, Transaction},
};

/// Topics by ARN.
pub(super) const TOPICS: Table<Topic> = Table::new("sns.topics");
/// Subscriptions by ARN, which is the topic's with an id behind it.
pub(super) const SUBSCRIPTIONS: Table<Subscription> = Table::new("sns.subscriptions");

/// A topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Topic {
    pub region: String,
    pub name: String,
    /// What was set, by name; what was not has its default.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

impl Topic {
    pub(super) fn arn(&self) -> String {
        topic_arn(&self.region, &self.name)
    }

    /// The policy: until one is set, that of a new topic.
    /// <https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html>
    pub(super) fn policy(&self) -> String {
        let default = || {
            let actions = [
                "GetTopicAttributes",
                "SetTopicAttributes",
                "AddPermission",
                "RemovePermission",
                "DeleteTopic",
                "Subscribe",
                "ListSubscriptionsByTopic",
                "Publish",
            ];
            let statement = json!({
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": { "AWS": "*" },
                "Action": actions.map(|action| format!("SNS:{action}")),
                "Resource": self.arn(),
                "Condition": { "StringEquals": { "AWS:SourceOwner": ACCOUNT_ID } },
            });
            json!({ "Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement] }).to_string()
        };
        self.attributes.get("Policy").cloned().unwrap_or_else(default)
    }

    /// What mails are signed with.
    pub(super) fn display_name(&self) -> &str {
        self.attributes
            .get("DisplayName")
            .map(String::as_str)
            .filter(|name| !name.is_empty())
            .unwrap_or("AWS Notifications")
    }
}

/// How a subscriber is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Protocol {
    Email,
    EmailJson,
    Sqs,
    Lambda,
}

impl Protocol {
    pub(super) fn parse(text: &str) -> Result<Protocol, ApiError> {
        match text {
            "email" => Ok(Protocol::Email),
            "email-json" => Ok(Protocol::EmailJson),
            "sqs" => Ok(Protocol::Sqs),
            "lambda" => Ok(Protocol::Lambda),
            "http" | "https" | "sms" | "application" | "firehose" => Err(invalid(format!(
                "the embedded cloud's SNS delivers by email, email-json, sqs and lambda, not by {text}"
            ))),
            other => Err(invalid(format!("Amazon SNS does not support this protocol string: {other}"))),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Email => "email",
            Protocol::EmailJson => "email-json",
            Protocol::Sqs => "sqs",
            Protocol::Lambda => "lambda",
        }
    }

    pub(super) fn is_mail(self) -> bool {
        matches!(self, Protocol::Email | Protocol::EmailJson)
    }
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub arn: String,
    pub topic: String,
    pub protocol: Protocol,
    /// Address of mail, or ARN.
    pub endpoint: String,
    /// Milliseconds since 1970.
    pub created: i64,
    /// What confirms it, as long as it is not confirmed.
    pub pending: Option<String>,
    /// Whether a signed request confirmed it.
    pub authenticated: bool,
    /// What the link in its messages carries.
    pub unsubscribe: String,
    pub attributes: BTreeMap<String, String>,
}

impl Subscription {
    pub(super) fn flag(&self, name: &str) -> bool {
        self.attributes.get(name).is_some_and(|value| value == "true")
    }

    /// The ARN as lists tell it.
    pub(super) fn listed_arn(&self) -> &str {
        if self.pending.is_some() { "PendingConfirmation" } else { &self.arn }
    }

    /// The queue for what cannot be delivered.
    pub(super) fn dead_letters(&self) -> Option<String> {
        let policy: serde_json::Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        policy["deadLetterTargetArn"].as_str().map(str::to_owned)
    }
}

pub(super) fn topic_arn(region: &str, name: &str) -> String {
    format!("arn:aws:sns:{region}:{ACCOUNT_ID}:{name}")
}

/// The name in a topic's ARN.
pub(super) fn topic_name(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or_default()
}

pub(super) fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The topic at `arn`, or AWS's refusal.
pub(super) fn topic(tx: &impl Transaction, arn: &str) -> Result<Topic, ApiError> {
    if arn.split(':').count() != 6 || !arn.starts_with("arn:aws:sns:") {
        return Err(invalid(format!(
            "TopicArn Reason: An ARN must have at least 6 elements, not {}",
            arn.split(':').count()
        )));
    }
    TOPICS.get(tx, arn)?.ok_or_else(no_topic)
}

/// The subscription at `arn`, or AWS's refusal.
pub(super) fn subscription(tx: &impl Transaction, arn: &str) -> Result<Subscription, ApiError> {
    SUBSCRIPTIONS.get(tx, arn)?.ok_or_else(|| not_found("Subscription does not exist"))
}

/// All subscriptions of a topic.
pub(super) fn subscribers(tx: &impl Transaction, topic: &str) -> Result<Vec<Subscription>, StoreError> {
    let all = SUBSCRIPTIONS.scan(tx, &format!("{topic}:"), None, usize::MAX)?;
    Ok(all.into_iter().map(|(_, subscription)| subscription).collect())
}

pub(super) fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::client("InvalidParameter", format!("Invalid parameter: {what}"))
}

pub(super) fn not_found(what: &str) -> ApiError {
    ApiError::with_status(StatusCode::NOT_FOUND, "NotFound", what)
}

pub(super) fn no_topic() -> ApiError {
    not_found("Topic does not exist")
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
