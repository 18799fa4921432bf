//! `aws:cloudwatch:Alarm`. PutMetricAlarm replaces what is there without a word; the engine looks before it begins.

use async_trait::async_trait;
use aws_sdk_cloudwatch::{
    Client,
    types::{AlarmType, ComparisonOperator, Dimension, MetricAlarm, StandardUnit, Statistic},
};
use serde_json::{Value, json};

use super::{tag, tag_list, tags, tags_unreadable};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete},
            fields::{begins_with, fields, in_order_of, input, inputs, number},
        },
    },
    resource::{Fields, Input, Resource, Schema, aws::cloudwatch::Alarm},
};

const DESCRIBE: &str = "cloudwatch:DescribeAlarms";

/// What CloudWatch does about missing data when nobody says
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>).
const MISSING_DATA_DEFAULT: &str = "missing";

pub(in crate::provider::aws) struct AlarmKind {
    cloudwatch: Client,
}

impl AlarmKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        AlarmKind { cloudwatch: clients.cloudwatch.clone() }
    }

    async fn find(&self, name: &str) -> Result<Option<MetricAlarm>, ProviderError> {
        let answer = self.cloudwatch.describe_alarms().alarm_names(name).send().await.map_err(failed(DESCRIBE))?;
        Ok(answer.metric_alarms.into_iter().flatten().find(|alarm| alarm.alarm_name() == Some(name)))
    }

    /// What is not given is not kept.
    async fn put(&self, target: Target<'_>, new: Option<&Tags>) -> Result<(), ProviderError> {
        let inputs: Alarm = inputs(target)?;
        let known = |texts: &[Input<String>]| Some(texts.iter().map(|text| text.known().clone()).collect());
        let dimension =
            |(name, value): (&String, &Input<String>)| Dimension::builder().name(name).value(value.known()).build();
        let call = self
            .cloudwatch
            .put_metric_alarm()
            .alarm_name(target.identity)
            .alarm_description(inputs.description.known())
            .namespace(inputs.namespace.known())
            .metric_name(inputs.metric.known())
            .set_dimensions(Some(inputs.dimensions.iter().map(dimension).collect()))
            .period(number(*inputs.period_seconds.known()))
            .evaluation_periods(number(*inputs.evaluation_periods.known()))
            .datapoints_to_alarm(number(*inputs.datapoints_to_alarm.known()))
            .threshold(*inputs.threshold.known())
            .comparison_operator(ComparisonOperator::from(inputs.comparison.known().as_str()))
            .treat_missing_data(inputs.treat_missing_data.known())
            .set_alarm_actions(known(&inputs.alarm_actions))
            .set_ok_actions(known(&inputs.ok_actions))
            .set_tags(new.map(tag_list));
        let call = match Statistic::try_parse(inputs.statistic.known()) {
            Ok(statistic) => call.statistic(statistic),
            Err(_) => call.extended_statistic(inputs.statistic.known()),
        };
        call.send().await.map_err(failed("cloudwatch:PutMetricAlarm")).map(drop)
    }

    async fn outputs(&self, name: &str) -> Result<Fields, ProviderError> {
        let not_yet = || ProviderError::new(ErrorKind::NotYet, DESCRIBE, format!("alarm {name} is not listed yet"));
        outputs(name, &self.find(name).await?.ok_or_else(not_yet)?)
    }
}

#[async_trait]
impl Kind for AlarmKind {
    fn schema(&self) -> &'static Schema {
        Alarm::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(found) = self.find(target.identity).await? else { return Ok(None) };
        let arn = found.alarm_arn().ok_or_else(|| incomplete(DESCRIBE, "AlarmArn"))?;
        let Some(tags) = tags(&self.cloudwatch, arn).await? else {
            let there = self.find(target.identity).await?.is_some();
            return if there { Err(tags_unreadable("alarm", target.identity)) } else { Ok(None) };
        };
        let outputs = outputs(target.identity, &found)?;
        Ok(Some(Observed { inputs: observed(&found, target), outputs, tags }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = self.cloudwatch.describe_alarms().set_alarm_name_prefix(begins_with(prefix));
        let mut pages = call.alarm_types(AlarmType::MetricAlarm).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let alarms = page.map_err(failed(DESCRIBE))?.metric_alarms.unwrap_or_default();
            names.extend(alarms.into_iter().filter_map(|alarm| alarm.alarm_name));
        }
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        let outputs = self.outputs(target.identity).await?;
        tag(&self.cloudwatch, outputs.get("arn").and_then(Value::as_str).unwrap_or_default(), tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        self.put(target, Some(tags)).await?;
        self.outputs(target.identity).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.put(target, None).await?;
        let outputs = self.outputs(target.identity).await?;
        tag(&self.cloudwatch, outputs.get("arn").and_then(Value::as_str).unwrap_or_default(), tags).await?;
        Ok(outputs)
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.cloudwatch.delete_alarms().alarm_names(target.identity);
        call.send().await.map_err(failed("cloudwatch:DeleteAlarms")).or_none().map(drop)
    }
}

fn outputs(name: &str, found: &MetricAlarm) -> Result<Fields, ProviderError> {
    let arn = found.alarm_arn().ok_or_else(|| incomplete(DESCRIBE, "AlarmArn"))?;
    Ok(fields(json!({ "name": name, "arn": arn })))
}

/// The alarm in the declared shape. What lake never declares is told besides, so that it shows as drift.
fn observed(found: &MetricAlarm, target: Target<'_>) -> Fields {
    let dimensions: Fields = found
        .dimensions()
        .iter()
        .filter_map(|dimension| Some((dimension.name()?.to_owned(), dimension.value()?.into())))
        .collect();
    let statistic = found.statistic().map(Statistic::as_str).or(found.extended_statistic());
    let silent = found.insufficient_data_actions();
    fields(json!({
        "description": found.alarm_description().unwrap_or_default(),
        "namespace": found.namespace().unwrap_or_default(),
        "metric": found.metric_name().unwrap_or_default(),
        "dimensions": dimensions,
        "statistic": statistic.unwrap_or_default(),
        "period_seconds": found.period(),
        "evaluation_periods": found.evaluation_periods(),
        "datapoints_to_alarm": found.datapoints_to_alarm().or(found.evaluation_periods()),
        "threshold": found.threshold(),
        "comparison": found.comparison_operator().map(ComparisonOperator::as_str),
        "treat_missing_data": found.treat_missing_data().unwrap_or(MISSING_DATA_DEFAULT),
        "alarm_actions": in_order_of(input(target, "alarm_actions"), found.alarm_actions().to_vec()),
        "ok_actions": in_order_of(input(target, "ok_actions"), found.ok_actions().to_vec()),
        "actions_enabled": found.actions_enabled().filter(|enabled| !enabled),
        "insufficient_data_actions": (!silent.is_empty()).then_some(silent),
        "unit": found.unit().map(StandardUnit::as_str),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, cbor, target};

    const ARN: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a";

    fn declared(statistic: &str) -> Fields {
        fields(json!({
            "description": "d", "namespace": "AWS/SQS", "metric": "ApproximateNumberOfMessagesVisible",
            "dimensions": { "QueueName": "q" }, "statistic": statistic, "period_seconds": 60, "evaluation_periods": 2,
            "datapoints_to_alarm": 1, "threshold": 0.0, "comparison": "GreaterThanThreshold",
            "treat_missing_data": "notBreaching", "alarm_actions": ["arn:b", "arn:a"], "ok_actions": [],
        }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn listed(rest: &Value) -> Answer {
        let mut alarm = json!({
            "AlarmName": "a", "AlarmArn": ARN, "AlarmDescription": "d", "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{ "Name": "QueueName", "Value": "q" }], "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 2, "DatapointsToAlarm": 1, "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            "AlarmActions": ["arn:a", "arn:b"], "OKActions": [], "ActionsEnabled": true,
        });
        alarm.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        cbor(200, &json!({ "MetricAlarms": [alarm] }))
    }

    fn none() -> Answer {
        cbor(200, &json!({ "MetricAlarms": [] }))
    }

    fn tags() -> Answer {
        cbor(200, &json!({ "Tags": [{ "Key": "lake:stack", "Value": "local" }] }))
    }

    fn done() -> Answer {
        cbor(200, &json!({}))
    }

    #[tokio::test]
    async fn an_alarm_is_read_with_its_tags_and_its_actions_in_our_order() {
        let replay = Replay::new([listed(&json!({})), tags(), none()]);
        let kind = AlarmKind::new(&replay.clients());
        let found = kind.observe(target("a", &declared("Sum"))).await.unwrap().unwrap();
        assert_eq!(found.inputs, declared("Sum"));
        assert_eq!(found.outputs["arn"], ARN);
        assert_eq!(found.tags, ours());
        assert_eq!(kind.observe(target("a", &declared("Sum"))).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_alarm_whose_tags_are_not_found_is_gone_only_if_it_is_not_found_either() {
        let no_tags = || cbor(404, &json!({ "__type": "ResourceNotFoundException", "message": "none" }));
        let replay =
            Replay::new([listed(&json!({})), no_tags(), none(), listed(&json!({})), no_tags(), listed(&json!({}))]);
        let kind = AlarmKind::new(&replay.clients());
        assert_eq!(kind.observe(target("a", &declared("Sum"))).await.unwrap(), None);
        assert_eq!(kind.observe(target("a", &declared("Sum"))).await.unwrap_err().kind, ErrorKind::NotYet);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn an_alarm_that_was_silenced_shows_as_drift() {
        let replay = Replay::new([listed(&json!({ "ActionsEnabled": false, "Threshold": 5.0 })), tags()]);
        let kind = AlarmKind::new(&replay.clients());
        let found = kind.observe(target("a", &declared("Sum"))).await.unwrap().unwrap().inputs;
        assert_eq!((&found["actions_enabled"], &found["threshold"]), (&json!(false), &json!(5.0)));
    }

    #[tokio::test]
    async fn an_alarm_is_made_with_its_tags_and_waits_until_it_is_listed() {
        let replay = Replay::new([done(), none(), done(), listed(&json!({}))]);
        let kind = AlarmKind::new(&replay.clients());
        let error = kind.create(target("a", &declared("Sum")), &ours()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotYet);
        assert_eq!(kind.create(target("a", &declared("Sum")), &ours()).await.unwrap()["arn"], ARN);
        let put = &replay.asked()[0];
        assert!(put.contains("/operation/PutMetricAlarm") && put.contains(r#""Value":"local""#), "{put}");
        assert!(put.contains(r#""Statistic":"Sum""#) && !put.contains("ExtendedStatistic"), "{put}");
    }

    #[tokio::test]
    async fn an_update_tags_the_alarm_apart_and_a_percentile_is_an_extended_statistic() {
        let replay = Replay::new([done(), listed(&json!({})), done()]);
        let kind = AlarmKind::new(&replay.clients());
        kind.update(target("a", &declared("p99")), &declared("Sum"), &ours()).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains(r#""ExtendedStatistic":"p99""#) && !asked[0].contains("Tags"), "{}", asked[0]);
        assert!(asked[2].contains("/operation/TagResource") && asked[2].contains(ARN), "{}", asked[2]);
    }

    #[tokio::test]
    async fn deleting_an_alarm_that_is_gone_succeeds() {
        let gone = json!({ "__type": "com.amazonaws.cloudwatch#ResourceNotFound", "message": "none" });
        let replay = Replay::new([cbor(404, &gone)]);
        AlarmKind::new(&replay.clients()).delete(target("a", &declared("Sum"))).await.unwrap();
        replay.assert_used_up();
    }
}
