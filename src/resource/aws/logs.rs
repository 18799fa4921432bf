//! CloudWatch Logs: log groups.

use serde::{Deserialize, Serialize};

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:logs:LogGroup` under `/aws/lambda/`. Outputs: `name`, `arn` (without the trailing `:*`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogGroup {
    /// Days that events are kept; one of the values the service takes.
    pub retention_days: Input<u32>,
}

impl Resource for LogGroup {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:logs:LogGroup",
        // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
        naming: Naming::Physical { prefix: "/aws/lambda/", separator: '-', length_max: 512 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}
