//! Lambda: functions, who may invoke them, and how asynchronous invocations are retried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:lambda:Function` on `provided.al2023`. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// ARN of the role it runs as.
    pub role: Input<String>,
    /// Which of the package's functions: `_HANDLER`.
    pub handler: Input<String>,
    /// `x86_64` or `arm64`.
    pub architecture: Input<String>,
    /// Megabytes of memory, 128 to 10,240.
    pub memory_mb: Input<u32>,
    /// Seconds that an invocation may take, 1 to 900.
    pub timeout_seconds: Input<u32>,
    /// Environment variables, 4 KB at most together.
    pub environment: BTreeMap<String, Input<String>>,
    /// Name of the log group it writes to.
    pub log_group: Input<String>,
    /// Bucket that holds the package.
    pub code_bucket: Input<String>,
    /// Key of the package.
    pub code_key: Input<String>,
    /// SHA-256 of the package, in hex.
    pub code_sha256: Input<String>,
}

impl Resource for Function {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:lambda:Function",
        // https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 64 },
        ownership: Ownership::Tags,
        replace_on: &["architecture"],
        volatile_outputs: &[],
    };
}

/// `aws:lambda:Permission`: a statement of the function's resource policy. Part of its function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Name of the function.
    pub function: Input<String>,
    /// Id of the statement.
    pub statement: Input<String>,
    /// Service principal, `s3.amazonaws.com`.
    pub principal: Input<String>,
    /// ARN that the service must act for; `*` stands for any text.
    pub source_arn: Input<String>,
    /// Account that must own it. Empty: not asked, for sources that do not tell it. EventBridge's documented policies
    /// ask for the rule's ARN alone, which has the account in it
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html>).
    pub source_account: Input<String>,
}

impl Resource for Permission {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:lambda:Permission",
        naming: Naming::Fields(&["function", "statement"]),
        ownership: Ownership::Parent("function"),
        replace_on: &["function", "statement", "principal", "source_arn", "source_account"],
        volatile_outputs: &[],
    };
}

/// `aws:lambda:EventInvokeConfig` of a function's `$LATEST`. Part of its function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventInvokeConfig {
    /// Name of the function.
    pub function: Input<String>,
    /// Retries after a function error, 0 to 2.
    pub retries_max: Input<u32>,
    /// Seconds that an event may wait, 60 to 21,600.
    pub event_age_max_seconds: Input<u32>,
    /// ARN of the queue, topic or function that gets the events which failed for good.
    #[serde(default)]
    pub on_failure: Option<Input<String>>,
}

impl Resource for EventInvokeConfig {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:lambda:EventInvokeConfig",
        naming: Naming::Fields(&["function"]),
        ownership: Ownership::Parent("function"),
        replace_on: &["function"],
        volatile_outputs: &[],
    };
}
