use super::*;

fn alarm(more: Value) -> Value {
    let base = json!({
        "AlarmName": "deep", "Namespace": "lake", "MetricName": "depth", "Statistic": "Maximum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": [TOPIC], "OKActions": [FUNCTION], "TreatMissingData": "notBreaching",
    });
    with(base, more)
}

const BREACHED: &str = "Threshold Crossed: 1 datapoint [6.0 (31/01/26 12:00:00)] was greater than the threshold (5.0).";

#[tokio::test]
async fn an_alarm_goes_through_its_states_and_tells_everyone() {
    let cloud = Cloud::new();
    cloud.ok("PutMetricAlarm", alarm(json!({ "AlarmDescription": "files wait" }))).await;
    assert_eq!(cloud.state("deep").await, ("INSUFFICIENT_DATA".into(), "Unchecked: Initial alarm creation".into()));
    cloud.settle().await;
    let no_data = "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
                   [NonBreaching].";
    assert_eq!(cloud.state("deep").await, ("OK".into(), no_data.into()));
    let taken = cloud.taken();
    let arn = "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:deep";
    let (target, sender, message) = taken.iter().find(|(target, ..)| target == FUNCTION).unwrap();
    assert_eq!((target.as_str(), sender), (FUNCTION, &Sender::service("lambda.alarms.cloudwatch.amazonaws.com", arn)));
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(body["alarmData"]["previousState"]["value"], "INSUFFICIENT_DATA");
    assert_eq!(body["alarmData"]["configuration"]["description"], "files wait");

    cloud.put(6.0).await;
    cloud.settle().await;
    assert_eq!(cloud.state("deep").await, ("ALARM".into(), BREACHED.into()));
    let taken = cloud.taken();
    assert_eq!(taken.len(), 2);
    let event = taken.iter().find(|(target, ..)| target.contains(":event-bus/default")).unwrap();
    let event: Value = serde_json::from_str(&event.2.body).unwrap();
    assert_eq!((&event["source"], &event["resources"]), (&json!("aws.cloudwatch"), &json!([arn])));
    assert_eq!(event["detail-type"], "CloudWatch Alarm State Change");
    assert_eq!((&event["detail"]["state"]["value"], &event["detail"]["alarmName"]), (&json!("ALARM"), &json!("deep")));
    let metric = &event["detail"]["configuration"]["metrics"][0]["metricStat"];
    assert_eq!((&metric["metric"]["name"], &metric["stat"]), (&json!("depth"), &json!("Maximum")));
    let (target, sender, message) = taken.iter().find(|(target, ..)| target == TOPIC).unwrap();
    assert_eq!((target.as_str(), sender), (TOPIC, &Sender::service("cloudwatch.amazonaws.com", arn)));
    assert_eq!(message.subject.as_deref(), Some("ALARM: \"deep\" in EU (Ireland)"));
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(
        body,
        json!({
            "AlarmName": "deep", "AlarmDescription": "files wait", "AWSAccountId": "000000000000",
            "AlarmConfigurationUpdatedTimestamp": "2026-01-31T12:00:00.000+0000", "NewStateValue": "ALARM",
            "NewStateReason": BREACHED, "StateChangeTime": "2026-01-31T12:00:00.000+0000", "Region": "EU (Ireland)",
            "AlarmArn": arn, "OldStateValue": "OK", "OKActions": [FUNCTION], "AlarmActions": [TOPIC],
            "InsufficientDataActions": [],
            "Trigger": {
                "MetricName": "depth", "Namespace": "lake", "StatisticType": "Statistic", "Statistic": "MAXIMUM",
                "Unit": null, "Dimensions": [], "Period": 60, "EvaluationPeriods": 1,
                "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0, "TreatMissingData": "notBreaching",
                "EvaluateLowSampleCountPercentile": "",
            },
        })
    );

    // The data point is the newest there is, until it lies outside the range that is looked at.
    for _ in 0..3 {
        cloud.pass(MINUTE).await;
        assert_eq!(cloud.state("deep").await.0, "ALARM");
    }
    cloud.pass(MINUTE + 1000).await;
    assert_eq!(cloud.state("deep").await.0, "OK");

    let history = cloud.ok("DescribeAlarmHistory", json!({ "AlarmName": "deep" })).await;
    let items = history["AlarmHistoryItems"].as_array().unwrap();
    let told: Vec<_> = items.iter().map(|item| item["HistorySummary"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            format!("Successfully executed action {FUNCTION}"),
            "Alarm updated from ALARM to OK".into(),
            format!("Successfully executed action {TOPIC}"),
            "Alarm updated from OK to ALARM".into(),
            format!("Successfully executed action {FUNCTION}"),
            "Alarm updated from INSUFFICIENT_DATA to OK".into(),
            "Alarm \"deep\" created".into(),
        ]
    );
    let data: Value = serde_json::from_str(items[3]["HistoryData"].as_str().unwrap()).unwrap();
    assert_eq!(data["newState"]["stateReasonData"]["recentDatapoints"], json!([6.0]));
    assert_eq!(data["oldState"]["stateValue"], "OK");
}

#[tokio::test]
async fn a_period_under_way_counts_only_once_it_breaches_for_good() {
    let cloud = Cloud::new();
    let sum = json!({ "Statistic": "Sum", "AlarmName": "much", "AlarmActions": [], "OKActions": [] });
    cloud.ok("PutMetricAlarm", alarm(sum.clone())).await;
    let little = json!({ "AlarmName": "little", "ComparisonOperator": "LessThanThreshold" });
    cloud.ok("PutMetricAlarm", alarm(with(sum.clone(), little))).await;
    let average = json!({ "AlarmName": "mean", "Statistic": "Average" });
    cloud.ok("PutMetricAlarm", alarm(with(sum, average))).await;
    cloud.pass(5_000).await;
    cloud.put(4.0).await;
    cloud.settle().await;
    assert_eq!(cloud.state("little").await.0, "OK", "more may come before the minute ends");
    cloud.put(9.0).await;
    cloud.settle().await;
    assert_eq!(cloud.state("much").await.0, "ALARM");
    assert_eq!(cloud.state("mean").await.0, "OK");
    // The minute ends, and its data has had time to come.
    cloud.pass(MINUTE - 5_000).await;
    assert_eq!(cloud.state("mean").await.0, "OK");
    cloud.pass(1000).await;
    assert_eq!(cloud.state("mean").await.0, "ALARM");
    assert_eq!(cloud.state("little").await.0, "OK");
}

#[tokio::test]
async fn late_data_is_looked_at_when_it_comes() {
    let cloud = Cloud::new();
    cloud.ok("PutMetricAlarm", alarm(json!({ "EvaluationPeriods": 2, "DatapointsToAlarm": 2 }))).await;
    cloud.pass(5 * MINUTE).await;
    cloud.put_at(8.0, cloud.now() - MINUTE).await;
    cloud.settle().await;
    assert_eq!(cloud.state("deep").await.0, "OK");
    cloud.put_at(7.0, cloud.now() - 2 * MINUTE).await;
    cloud.settle().await;
    let reason = "Threshold Crossed: 2 out of the last 2 datapoints [8.0 (31/01/26 12:04:00), 7.0 (31/01/26 12:03:00)] \
                  were greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition).";
    assert_eq!(cloud.state("deep").await, ("ALARM".into(), reason.into()));
}

#[tokio::test]
async fn a_state_set_by_hand_acts_once_and_lasts_until_the_next_evaluation() {
    let cloud = Cloud::new();
    cloud.ok("PutMetricAlarm", alarm(json!({}))).await;
    cloud.settle().await;
    cloud.taken();
    let set = json!({ "AlarmName": "deep", "StateValue": "ALARM", "StateReason": "a test", "StateReasonData": "{}" });
    for _ in 0..2 {
        cloud.ok("SetAlarmState", set.clone()).await;
        cloud.settle().await;
        assert_eq!(cloud.state("deep").await, ("ALARM".into(), "a test".into()));
    }
    assert_eq!(cloud.taken().len(), 2, "one notification and one event");
    cloud.pass(MINUTE + 1000).await;
    assert_eq!(cloud.state("deep").await.0, "OK");
    let refusal = |more: Value| cloud.refusal("SetAlarmState", with(set.clone(), more));
    assert_eq!(refusal(json!({ "AlarmName": "none" })).await, "ResourceNotFound");
    assert_eq!(refusal(json!({ "StateReasonData": "{" })).await, "InvalidFormat");
    assert_eq!(refusal(json!({ "StateValue": "FINE" })).await, "ValidationError");
}

#[tokio::test]
async fn actions_that_are_off_are_not_carried_out() {
    let cloud = Cloud::new();
    cloud.ok("PutMetricAlarm", alarm(json!({}))).await;
    cloud.ok("DisableAlarmActions", json!({ "AlarmNames": ["deep", "none"] })).await;
    cloud.put(6.0).await;
    cloud.settle().await;
    assert_eq!(cloud.taken().len(), 1, "the event alone");
    cloud.ok("EnableAlarmActions", json!({ "AlarmNames": ["deep"] })).await;
    cloud.settle().await;
    assert_eq!(cloud.taken().len(), 0, "actions come of changes");
    let described = cloud.ok("DescribeAlarms", json!({})).await;
    assert_eq!(described["MetricAlarms"][0]["ActionsEnabled"], true);
}

#[tokio::test]
async fn an_action_that_is_refused_is_noted_and_one_that_fails_is_tried_again() {
    let cloud = Cloud::new();
    cloud.ok("PutMetricAlarm", alarm(json!({ "OKActions": [] }))).await;
    cloud.settle().await;
    *cloud.mailbox.refusal.lock().unwrap() = Some(ApiError::internal("away"));
    cloud.put(6.0).await;
    cloud.settle().await;
    assert_eq!(cloud.taken().len(), 1, "the event of the change to OK, before it failed");
    *cloud.mailbox.refusal.lock().unwrap() = None;
    cloud.pass(999).await;
    assert_eq!(cloud.taken().len(), 0);
    cloud.pass(1).await;
    assert_eq!(cloud.taken().len(), 2);

    let refusal = ApiError::client("AuthorizationError", "not you");
    *cloud.mailbox.refusal.lock().unwrap() = Some(refusal);
    let back = json!({ "AlarmName": "deep", "StateValue": "OK", "StateReason": "" });
    cloud.ok("SetAlarmState", back).await;
    cloud.ok("SetAlarmState", json!({ "AlarmName": "deep", "StateValue": "ALARM", "StateReason": "" })).await;
    cloud.settle().await;
    let history = cloud.ok("DescribeAlarmHistory", json!({ "HistoryItemType": "Action", "MaxRecords": 1 })).await;
    let summary = history["AlarmHistoryItems"][0]["HistorySummary"].as_str().unwrap();
    let expected = format!("Failed to execute action {TOPIC}. Received error: \"AuthorizationError: not you\"");
    assert_eq!(summary, expected);
    let next = json!({ "HistoryItemType": "Action", "NextToken": history["NextToken"] });
    let older = cloud.ok("DescribeAlarmHistory", next).await;
    assert_eq!(older["AlarmHistoryItems"].as_array().unwrap().len(), 1);
    let oldest = cloud.ok("DescribeAlarmHistory", json!({ "ScanBy": "TimestampAscending", "MaxRecords": 2 })).await;
    assert_eq!(oldest["AlarmHistoryItems"][0]["HistoryItemType"], "ConfigurationUpdate");
    let next = json!({ "ScanBy": "TimestampAscending", "NextToken": oldest["NextToken"], "MaxRecords": 1 });
    let third = cloud.ok("DescribeAlarmHistory", next).await;
    assert_eq!(third["AlarmHistoryItems"][0]["HistorySummary"], "Alarm updated from OK to ALARM");
}

#[tokio::test]
async fn an_alarm_that_is_put_again_keeps_its_state_and_its_tags() {
    let cloud = Cloud::new();
    let tags = json!({ "Tags": [{ "Key": "stack", "Value": "prod" }] });
    cloud.ok("PutMetricAlarm", alarm(tags)).await;
    cloud.settle().await;
    let other = json!({ "MetricName": "width", "Tags": [{ "Key": "stack", "Value": "test" }], "OKActions": [] });
    cloud.ok("PutMetricAlarm", alarm(other)).await;
    assert_eq!(cloud.state("deep").await.0, "OK");
    let arn = "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:deep";
    let tags = |told: Value| told["Tags"].clone();
    let list = || cloud.ok("ListTagsForResource", json!({ "ResourceARN": arn }));
    assert_eq!(tags(list().await), json!([{ "Key": "stack", "Value": "prod" }]));
    cloud.ok("TagResource", json!({ "ResourceARN": arn, "Tags": [{ "Key": "a", "Value": "" }] })).await;
    cloud.ok("UntagResource", json!({ "ResourceARN": arn, "TagKeys": ["stack"] })).await;
    assert_eq!(tags(list().await), json!([{ "Key": "a", "Value": "" }]));

    let of = |name: &str| cloud.ok("DescribeAlarmsForMetric", json!({ "Namespace": "lake", "MetricName": name }));
    assert_eq!(of("depth").await["MetricAlarms"], json!([]));
    assert_eq!(of("width").await["MetricAlarms"][0]["AlarmName"], "deep");
    assert_eq!(cloud.refusal("DeleteAlarms", json!({ "AlarmNames": ["none", "deep"] })).await, "ResourceNotFound");
    assert_eq!(of("width").await["MetricAlarms"], json!([]));
    assert_eq!(cloud.ok("DescribeAlarms", json!({})).await, json!({ "CompositeAlarms": [], "MetricAlarms": [] }));
    assert_eq!(cloud.refusal("ListTagsForResource", json!({ "ResourceARN": arn })).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn alarms_are_found_by_name_prefix_state_and_action_and_come_in_pages() {
    let cloud = Cloud::new();
    for name in ["a-1", "a-2", "b-1"] {
        let actions = if name == "a-2" { json!([]) } else { json!([TOPIC]) };
        cloud.ok("PutMetricAlarm", alarm(json!({ "AlarmName": name, "AlarmActions": actions, "OKActions": [] }))).await;
    }
    let names = async |input: Value| {
        let told = cloud.ok("DescribeAlarms", input).await;
        let names = told["MetricAlarms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alarm| alarm["AlarmName"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), told["NextToken"].clone())
    };
    assert_eq!(names(json!({ "AlarmNamePrefix": "a-" })).await.0, ["a-1", "a-2"]);
    assert_eq!(names(json!({ "AlarmNames": ["b-1", "none"] })).await.0, ["b-1"]);
    assert_eq!(names(json!({ "ActionPrefix": "arn:aws:sns:" })).await.0, ["a-1", "b-1"]);
    assert_eq!(names(json!({ "StateValue": "ALARM" })).await.0, [""; 0]);
    assert_eq!(names(json!({ "AlarmTypes": ["CompositeAlarm"] })).await.0, [""; 0]);
    let (first, token) = names(json!({ "MaxRecords": 2 })).await;
    assert_eq!(first, ["a-1", "a-2"]);
    assert_eq!(names(json!({ "MaxRecords": 2, "NextToken": token })).await, (vec!["b-1".to_owned()], Value::Null));
    assert_eq!(cloud.refusal("DescribeAlarms", json!({ "NextToken": "?" })).await, "InvalidNextToken");
}

#[tokio::test]
async fn alarms_that_cannot_be_are_refused() {
    let cloud = Cloud::new();
    for (more, part) in [
        (json!({ "AlarmName": "" }), "length from 1 to 255"),
        (json!({ "Statistic": "p99" }), "not one that the embedded cloud can tell"),
        (json!({ "Period": 30 }), "multiple of 60"),
        (json!({ "EvaluationPeriods": 1441 }), "(EvaluationPeriods * Period must be <= 86400)"),
        (json!({ "EvaluationPeriods": 169, "Period": 3600 }), "seven days"),
        (json!({ "DatapointsToAlarm": 2 }), "less than or equal to EvaluationPeriods"),
        (json!({ "ComparisonOperator": "GreaterThanUpperThreshold" }), "enum value set"),
        (json!({ "TreatMissingData": "fine" }), "enum value set"),
        (json!({ "AlarmActions": ["arn:aws:automate:eu-west-1:ec2:stop"] }), "topics of SNS and functions of Lambda"),
        (json!({ "AlarmActions": ["topic"] }), "Invalid arn syntax"),
        (json!({ "Metrics": [] }), "does not have Metrics"),
        (json!({ "Threshold": null }), "Value null at 'threshold'"),
        (json!({ "MetricName": null }), "Value null at 'metricName'"),
    ] {
        let (code, message) = cloud.ask("PutMetricAlarm", alarm(more.clone())).await.unwrap_err();
        assert_eq!(code, "ValidationError", "{more}");
        assert!(message.contains(part), "{more}: {message}");
    }
}

#[test]
fn a_subject_too_long_is_cut_within_the_name() {
    let mut long = alarm(json!({ "AlarmName": "n".repeat(200) }));
    long["AlarmActions"] = json!([]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let scope = Scope { region: "eu-west-1".into(), now: NOON };
    let key = alarm::key("eu-west-1", &"n".repeat(200));
    store.write(|tx| alarm_input::put(tx, &scope, long)).unwrap();
    let alarm = store.read::<_, StoreError>(|tx| alarm::ALARMS.get(tx, &key)).unwrap().unwrap();
    let subject = message::subject(&alarm);
    assert_eq!(subject.chars().count(), 100);
    assert!(subject.ends_with("n...\" in EU (Ireland)"), "{subject}");
}
