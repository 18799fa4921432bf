//! EventBridge, default event bus: rules and their targets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:events:Rule`, by an event pattern, a schedule, or both. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is for.
    pub description: Input<String>,
    /// Which events it matches; references may stand anywhere in it.
    #[serde(default)]
    pub pattern: Option<Value>,
    /// When it matches by the clock: `rate(5 minutes)`, `cron(…)`.
    #[serde(default)]
    pub schedule: Option<String>,
    /// Whether it matches at all.
    pub enabled: Input<bool>,
}

impl Resource for Rule {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:events:Rule",
        // https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 64 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:events:Target`: what a rule invokes. Part of its rule, and deleted before it. What it sends is the whole
/// event, or `input`, or `input_template` filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of the rule.
    pub rule: Input<String>,
    /// Id of the target, unique within the rule.
    pub id: Input<String>,
    /// ARN of the function, topic or queue.
    pub arn: Input<String>,
    /// Constant JSON that is sent in place of the event; references may stand anywhere in it.
    #[serde(default)]
    pub input: Option<Value>,
    /// JSON paths into the event, by the variable that they fill in the template.
    #[serde(default)]
    pub input_paths: BTreeMap<String, String>,
    /// What is sent in place of the event: JSON, or text in quotes, with `<variable>`s. Empty: the event.
    #[serde(default)]
    pub input_template: String,
    /// ARN of the queue that gets the events which could not be delivered.
    #[serde(default)]
    pub dead_letter: Option<Input<String>>,
    /// Retries of a delivery, 0 to 185.
    pub retry_attempts: Input<u32>,
    /// Seconds that an event is retried for, 60 to 86,400.
    pub retry_age_seconds: Input<u32>,
}

impl Resource for Target {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:events:Target",
        naming: Naming::Fields(&["rule", "id"]),
        ownership: Ownership::Parent("rule"),
        replace_on: &["rule", "id"],
        volatile_outputs: &[],
    };
}
