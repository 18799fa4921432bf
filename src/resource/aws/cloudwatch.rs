//! CloudWatch: alarms and dashboards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:cloudwatch:Alarm` on one metric. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// What it tells, and what to do about it.
    pub description: Input<String>,
    /// Namespace of the metric.
    pub namespace: Input<String>,
    /// Name of the metric.
    pub metric: Input<String>,
    /// Dimensions of the metric.
    #[serde(default)]
    pub dimensions: BTreeMap<String, Input<String>>,
    /// `Sum`, `Maximum`… or a percentile such as `p99`.
    pub statistic: Input<String>,
    /// Seconds that one value is made of: 10, 20, 30 or a multiple of 60.
    pub period_seconds: Input<u32>,
    /// Periods that are looked at.
    pub evaluation_periods: Input<u32>,
    /// How many of them must breach.
    pub datapoints_to_alarm: Input<u32>,
    /// What the value is compared with.
    pub threshold: Input<f64>,
    /// `GreaterThanThreshold`, `GreaterThanOrEqualToThreshold`, `LessThanThreshold`…
    pub comparison: Input<String>,
    /// What a period without a value counts as: `notBreaching`, `breaching`, `ignore` or `missing`.
    pub treat_missing_data: Input<String>,
    /// ARNs of topics that are told when it goes off.
    #[serde(default)]
    pub alarm_actions: Vec<Input<String>>,
    /// ARNs of topics that are told when it is well again.
    #[serde(default)]
    pub ok_actions: Vec<Input<String>>,
}

impl Resource for Alarm {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:cloudwatch:Alarm",
        // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 255 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:cloudwatch:Dashboard`. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its widgets, as CloudWatch's dashboard body has them; references may stand anywhere in it.
    pub body: Value,
}

impl Resource for Dashboard {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:cloudwatch:Dashboard",
        // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 255 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}
