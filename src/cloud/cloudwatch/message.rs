//! What others are told of an alarm's change of state, each in the form that AWS gives it.

use serde_json::{Map, Value, json};

use super::{
    alarm::{Alarm, Current},
    values::offset_time,
};
use crate::cloud::service::ACCOUNT_ID;

/// Longest subject of a notification, in letters.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const SUBJECT_LETTERS: usize = 100;

/// What regions are called.
/// <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>
const REGIONS: [(&str, &str); 20] = [
    ("af-south-1", "Africa (Cape Town)"),
    ("ap-east-1", "Asia Pacific (Hong Kong)"),
    ("ap-northeast-1", "Asia Pacific (Tokyo)"),
    ("ap-northeast-2", "Asia Pacific (Seoul)"),
    ("ap-northeast-3", "Asia Pacific (Osaka)"),
    ("ap-south-1", "Asia Pacific (Mumbai)"),
    ("ap-southeast-1", "Asia Pacific (Singapore)"),
    ("ap-southeast-2", "Asia Pacific (Sydney)"),
    ("ca-central-1", "Canada (Central)"),
    ("eu-central-1", "EU (Frankfurt)"),
    ("eu-north-1", "EU (Stockholm)"),
    ("eu-south-1", "EU (Milan)"),
    ("eu-west-1", "EU (Ireland)"),
    ("eu-west-2", "EU (London)"),
    ("eu-west-3", "EU (Paris)"),
    ("sa-east-1", "South America (Sao Paulo)"),
    ("us-east-1", "US East (N. Virginia)"),
    ("us-east-2", "US East (Ohio)"),
    ("us-west-1", "US West (N. California)"),
    ("us-west-2", "US West (Oregon)"),
];

fn region_name(region: &str) -> &str {
    REGIONS.iter().find(|(code, _)| *code == region).map_or(region, |(_, name)| name)
}

/// `ALARM: "name" in EU (Ireland)`; a name too long for a subject is cut.
pub(super) fn subject(alarm: &Alarm) -> String {
    let told = |name: &str| format!("{}: \"{name}\" in {}", alarm.current.state.name(), region_name(&alarm.region));
    let whole = told(&alarm.name);
    let excess = whole.chars().count().saturating_sub(SUBJECT_LETTERS);
    if excess == 0 {
        return whole;
    }
    let kept = alarm.name.chars().count().saturating_sub(excess + 3);
    told(&format!("{}...", alarm.name.chars().take(kept).collect::<String>()))
}

/// The notification for SNS.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html>
pub(super) fn notification(alarm: &Alarm, old: &Current) -> Value {
    let dimensions = alarm.metric.dimensions.iter().map(|(name, value)| json!({ "value": value, "name": name }));
    let mut trigger = json!({
        "MetricName": alarm.metric.name,
        "Namespace": alarm.metric.namespace,
        "StatisticType": "Statistic",
        "Statistic": alarm.statistic.name().to_uppercase(),
        "Unit": alarm.unit,
        "Dimensions": dimensions.collect::<Vec<_>>(),
        "Period": alarm.period / 1000,
        "EvaluationPeriods": alarm.evaluation_periods,
    });
    if let Some(datapoints) = alarm.datapoints_to_alarm {
        trigger["DatapointsToAlarm"] = datapoints.into();
    }
    trigger["ComparisonOperator"] = alarm.comparison.name().into();
    trigger["Threshold"] = alarm.threshold.into();
    trigger["TreatMissingData"] = alarm.missing.map_or("", |missing| missing.name()).into();
    trigger["EvaluateLowSampleCountPercentile"] = "".into();
    json!({
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT_ID,
        "AlarmConfigurationUpdatedTimestamp": offset_time(alarm.configured),
        "NewStateValue": alarm.current.state,
        "NewStateReason": alarm.current.reason,
        "StateChangeTime": offset_time(alarm.current.updated),
        "Region": region_name(&alarm.region),
        "AlarmArn": alarm.arn(),
        "OldStateValue": old.state,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": trigger,
    })
}

/// The event for a function.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html>
pub(super) fn invocation(alarm: &Alarm, old: &Current) -> Value {
    json!({
        "source": "aws.cloudwatch",
        "alarmArn": alarm.arn(),
        "accountId": ACCOUNT_ID,
        "time": offset_time(alarm.current.updated),
        "region": alarm.region,
        "alarmData": detail(alarm, old),
    })
}

/// The detail of the event `CloudWatch Alarm State Change`.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html>
pub(super) fn detail(alarm: &Alarm, old: &Current) -> Value {
    let mut configuration = json!({ "metrics": [{
        "id": alarm.metric.digest(&alarm.region),
        "metricStat": {
            "metric": {
                "namespace": alarm.metric.namespace,
                "name": alarm.metric.name,
                "dimensions": dimensions(alarm),
            },
            "period": alarm.period / 1000,
            "stat": alarm.statistic.name(),
        },
        "returnData": true,
    }] });
    if let Some(description) = &alarm.description {
        configuration["description"] = description.clone().into();
    }
    json!({
        "alarmName": alarm.name,
        "state": state(&alarm.current),
        "previousState": state(old),
        "configuration": configuration,
    })
}

fn dimensions(alarm: &Alarm) -> Map<String, Value> {
    alarm.metric.dimensions.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

fn state(current: &Current) -> Value {
    let mut state = json!({
        "value": current.state, "reason": current.reason, "timestamp": offset_time(current.updated),
    });
    if let Some(data) = &current.reason_data {
        state["reasonData"] = data.clone().into();
    }
    state
}
