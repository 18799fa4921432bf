//! SNS: topics, who may publish to them, and who is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:sns:Topic`, a standard topic. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Whom its mails come from, 100 characters at most.
    pub display_name: Input<String>,
}

impl Resource for Topic {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:sns:Topic",
        // https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 256 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:sns:TopicPolicy`: who may use a topic. Part of its topic: a whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPolicy {
    /// ARN of the topic.
    pub topic: Input<String>,
    /// The policy; references may stand anywhere in it.
    pub document: Value,
}

impl Resource for TopicPolicy {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:sns:TopicPolicy",
        naming: Naming::Fields(&["topic"]),
        ownership: Ownership::Parent("topic"),
        replace_on: &["topic"],
        volatile_outputs: &[],
    };
}

/// `aws:sns:Subscription`. Part of its topic. Output: `arn`, which is `PendingConfirmation` until the subscriber
/// confirms (e-mail).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// ARN of the topic.
    pub topic: Input<String>,
    /// `email`, `sqs`, `lambda`…
    pub protocol: Input<String>,
    /// Who is told: an e-mail address, an ARN.
    pub endpoint: Input<String>,
}

impl Resource for Subscription {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:sns:Subscription",
        naming: Naming::Fields(&["topic", "protocol", "endpoint"]),
        ownership: Ownership::Parent("topic"),
        replace_on: &["topic", "protocol", "endpoint"],
        volatile_outputs: &["arn"],
    };
}
