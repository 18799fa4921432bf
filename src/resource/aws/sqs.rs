//! SQS: queues and who may send to them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Handle, Input, Naming, Ownership, Resource, Schema};

/// `aws:sqs:Queue`, a standard queue. Outputs: `name`, `arn`, `url`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Seconds that a received message stays hidden, 0 to 43,200.
    pub visibility_timeout_seconds: Input<u32>,
    /// Seconds that a message is kept, 60 to 1,209,600.
    pub retention_seconds: Input<u32>,
}

impl Resource for Queue {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:sqs:Queue",
        // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 80 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

impl Handle<Queue> {
    /// Its URL, which SQS's operations name it by.
    pub fn url(&self) -> Input<String> {
        self.output("url")
    }
}

/// `aws:sqs:QueuePolicy`: who may use a queue. Part of its queue: a whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuePolicy {
    /// Name of the queue. (Its URL names a host too, which an endpoint of one's own may change.)
    pub queue: Input<String>,
    /// The policy; references may stand anywhere in it.
    pub document: Value,
}

impl Resource for QueuePolicy {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:sqs:QueuePolicy",
        naming: Naming::Fields(&["queue"]),
        ownership: Ownership::Parent("queue"),
        replace_on: &["queue"],
        volatile_outputs: &[],
    };
}
