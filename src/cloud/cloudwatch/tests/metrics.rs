use super::*;
use crate::cloud::meter::Meter;

fn seconds(time: i64) -> Value {
    json!(time / 1000)
}

fn datum(more: Value) -> Value {
    let dimensions = json!([{ "Name": "stack", "Value": "prod" }, { "Name": "dataset", "Value": "flights" }]);
    with(json!({ "MetricName": "Rows", "Dimensions": dimensions, "Unit": "Count" }), more)
}

async fn put(cloud: &Cloud, data: Value) -> Result<Value, (String, String)> {
    cloud.ask("PutMetricData", json!({ "Namespace": "lake", "MetricData": data })).await
}

async fn statistics(cloud: &Cloud, more: Value) -> Result<Value, (String, String)> {
    let base = json!({
        "Namespace": "lake", "MetricName": "Rows", "Period": 300,
        "Dimensions": [{ "Name": "dataset", "Value": "flights" }, { "Name": "stack", "Value": "prod" }],
        "StartTime": seconds(NOON - 600_000), "EndTime": seconds(NOON + 600_000),
        "Statistics": ["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    });
    cloud.ask("GetMetricStatistics", with(base, more)).await
}

#[tokio::test]
async fn data_points_of_every_form_come_together_by_metric_minute_and_unit() {
    let cloud = Cloud::new();
    let set = json!({ "SampleCount": 2, "Sum": 10, "Minimum": 4, "Maximum": 6 });
    let data = json!([
        datum(json!({ "Value": 1 })),
        datum(json!({ "Values": [2, 3], "Counts": [1, 2] })),
        datum(json!({ "StatisticValues": set })),
        datum(json!({ "Value": 7, "Timestamp": seconds(NOON - 300_000) })),
        datum(json!({ "Value": 9, "Unit": null })),
    ]);
    put(&cloud, data).await.unwrap();
    let told = statistics(&cloud, json!({ "Unit": "Count" })).await.unwrap();
    assert_eq!(
        told,
        json!({ "Label": "Rows", "Datapoints": [
            { "Timestamp": seconds(NOON - 300_000), "Unit": "Count", "SampleCount": 1.0, "Average": 7.0, "Sum": 7.0,
              "Minimum": 7.0, "Maximum": 7.0 },
            { "Timestamp": seconds(NOON), "Unit": "Count", "SampleCount": 6.0, "Average": 19.0 / 6.0, "Sum": 19.0,
              "Minimum": 1.0, "Maximum": 6.0 },
        ] })
    );
    let units = statistics(&cloud, json!({ "Statistics": ["Sum"] })).await.unwrap();
    assert_eq!(units["Datapoints"].as_array().unwrap().len(), 3);
    let listed = cloud.ok("ListMetrics", json!({ "Dimensions": [{ "Name": "stack" }] })).await;
    assert_eq!(listed["Metrics"].as_array().unwrap().len(), 1);
    assert_eq!(listed["Metrics"][0]["Dimensions"][0], json!({ "Name": "dataset", "Value": "flights" }));
    for none in
        [json!({ "Namespace": "la" }), json!({ "MetricName": "Row" }), json!({ "Dimensions": [{ "Name": "x" }] })]
    {
        assert_eq!(cloud.ok("ListMetrics", none).await["Metrics"], json!([]));
    }
}

#[tokio::test]
async fn what_metrics_cannot_hold_is_refused() {
    let cloud = Cloud::new();
    let set = json!({ "SampleCount": 0, "Sum": 0, "Minimum": 0, "Maximum": 0 });
    for (more, code) in [
        (json!({}), "MissingParameter"),
        (json!({ "MetricName": null, "Value": 1 }), "MissingParameter"),
        (json!({ "Value": "NaN" }), "InvalidParameterValue"),
        (json!({ "Value": 1e109 }), "InvalidParameterValue"),
        (json!({ "Value": 1, "Values": [1] }), "InvalidParameterCombination"),
        (json!({ "Values": [1], "Counts": [1, 2] }), "InvalidParameterValue"),
        (json!({ "Values": [1], "Counts": [0] }), "InvalidParameterValue"),
        (json!({ "StatisticValues": set }), "InvalidParameterValue"),
        (json!({ "Value": 1, "Unit": "Heaps" }), "InvalidParameterValue"),
        (json!({ "Value": 1, "StorageResolution": 1 }), "InvalidParameterValue"),
        (json!({ "Value": 1, "Timestamp": seconds(NOON - 15 * 86_400_000) }), "InvalidParameterValue"),
        (json!({ "Value": 1, "Timestamp": seconds(NOON + 3 * 3_600_000) }), "InvalidParameterValue"),
        (json!({ "Value": 1, "Dimensions": [{ "Name": "a", "Value": "" }] }), "InvalidParameterValue"),
        (json!({ "Value": "much" }), "SerializationException"),
    ] {
        assert_eq!(put(&cloud, json!([datum(more.clone())])).await.unwrap_err().0, code, "{more}");
    }
    assert_eq!(cloud.refusal("PutMetricData", json!({ "Namespace": "lake" })).await, "MissingParameter");
    let entities = json!({ "Namespace": "lake", "EntityMetricData": [] });
    assert_eq!(cloud.refusal("PutMetricData", entities).await, "ValidationError");
    for (more, code) in [
        (json!({ "Period": 61 }), "InvalidParameterValue"),
        (json!({ "Period": 60, "StartTime": seconds(NOON - 2 * 86_400_000) }), "InvalidParameterCombination"),
        (json!({ "EndTime": seconds(NOON - 600_000) }), "InvalidParameterValue"),
        (json!({ "Statistics": [] }), "InvalidParameterCombination"),
        (json!({ "ExtendedStatistics": ["p99"] }), "InvalidParameterValue"),
        (json!({ "MetricName": null }), "MissingParameter"),
    ] {
        assert_eq!(statistics(&cloud, more.clone()).await.unwrap_err().0, code, "{more}");
    }
    assert_eq!(cloud.refusal("DescribeInsightRules", json!({})).await, "UnknownOperationException");
}

#[tokio::test]
async fn metric_data_comes_newest_first_and_in_pages() {
    let cloud = Cloud::new();
    for (minutes, value) in [(3, 1), (2, 2), (1, 3)] {
        put(&cloud, json!([datum(json!({ "Value": value, "Timestamp": seconds(NOON - minutes * MINUTE) }))]))
            .await
            .unwrap();
    }
    let metric = |name: &str| {
        let dimensions = datum(json!({}))["Dimensions"].clone();
        json!({ "Metric": { "Namespace": "lake", "MetricName": name, "Dimensions": dimensions }, "Period": 60, "Stat": "Sum" })
    };
    let queries = json!([
        { "Id": "m1", "MetricStat": metric("Rows"), "Label": "rows" },
        { "Id": "m2", "MetricStat": metric("None") },
        { "Id": "m3", "MetricStat": metric("Rows"), "ReturnData": false },
    ]);
    let input = json!({
        "MetricDataQueries": queries, "StartTime": seconds(NOON - 3 * MINUTE), "EndTime": seconds(NOON), "MaxDatapoints": 2,
    });
    let first = cloud.ok("GetMetricData", input.clone()).await;
    let results = first["MetricDataResults"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["Values"], json!([3.0, 2.0]));
    assert_eq!(results[0]["Timestamps"][0], seconds(NOON - MINUTE));
    assert_eq!((&results[0]["StatusCode"], &results[0]["Label"]), (&json!("PartialData"), &json!("rows")));
    assert_eq!((&results[1]["StatusCode"], &results[1]["Label"]), (&json!("Complete"), &json!("None")));
    let rest = cloud.ok("GetMetricData", with(input.clone(), json!({ "NextToken": first["NextToken"] }))).await;
    assert_eq!(rest["MetricDataResults"][0]["Values"], json!([1.0]));
    assert!(rest.get("NextToken").is_none());
    let oldest = cloud.ok("GetMetricData", with(input.clone(), json!({ "ScanBy": "TimestampAscending" }))).await;
    assert_eq!(oldest["MetricDataResults"][0]["Values"], json!([1.0, 2.0]));
    for (query, code) in [
        (json!({ "Id": "e1", "Expression": "m1 * 2" }), "ValidationError"),
        (json!({ "Id": "M1", "MetricStat": metric("Rows") }), "ValidationError"),
        (json!({ "Id": "m1", "MetricStat": with(metric("Rows"), json!({ "Stat": "p50" })) }), "InvalidParameterValue"),
    ] {
        let input = with(input.clone(), json!({ "MetricDataQueries": [query] }));
        assert_eq!(cloud.refusal("GetMetricData", input).await, code);
    }
    let token = with(input, json!({ "NextToken": "x" }));
    assert_eq!(cloud.refusal("GetMetricData", token).await, "InvalidNextToken");
}

#[tokio::test]
async fn a_long_list_of_metrics_comes_in_pages() {
    let cloud = Cloud::new();
    let data: Vec<_> = (0..501).map(|number| json!({ "MetricName": format!("m{number:03}"), "Value": 1 })).collect();
    put(&cloud, data.into()).await.unwrap();
    let first = cloud.ok("ListMetrics", json!({ "Namespace": "lake" })).await;
    assert_eq!(first["Metrics"].as_array().unwrap().len(), 500);
    let next = json!({ "Namespace": "lake", "NextToken": first["NextToken"] });
    let rest = cloud.ok("ListMetrics", next).await;
    assert_eq!(rest["Metrics"], json!([{ "Namespace": "lake", "MetricName": "m500", "Dimensions": [] }]));
    assert!(rest.get("NextToken").is_none());
    assert_eq!(cloud.refusal("ListMetrics", json!({ "NextToken": "?" })).await, "InvalidParameterValue");
}

#[tokio::test]
async fn what_services_measure_is_written_together_and_outlives_its_retention_not() {
    let cloud = Cloud::new();
    let (meter, data) = Meter::channel();
    for value in [1.0, 2.0, f64::NAN] {
        meter.record(Datum {
            region: REGION.into(),
            namespace: "AWS/Lambda".into(),
            name: "Errors".into(),
            dimensions: vec![("FunctionName".into(), "f".into())],
            value,
            unit: "Count",
            timestamp: NOON,
        });
    }
    drop(meter);
    intake::run(Arc::clone(&cloud.service.core), data, CancellationToken::new()).await;
    let input = json!({
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [{ "Name": "FunctionName", "Value": "f" }],
        "StartTime": seconds(NOON), "EndTime": seconds(NOON + MINUTE), "Period": 60, "Statistics": ["Sum"],
    });
    let told = cloud.ok("GetMetricStatistics", input.clone()).await;
    assert_eq!(told["Datapoints"][0]["Sum"], 3.0);
    let sweep = |now: i64| cloud.service.core.store.write(|tx| data::sweep(tx, now)).unwrap();
    assert_eq!(sweep(NOON + data::RETENTION_MS), 0);
    assert_eq!(sweep(NOON + data::RETENTION_MS + MINUTE), 1);
    assert_eq!(cloud.ok("GetMetricStatistics", input).await["Datapoints"], json!([]));
    assert_eq!(cloud.ok("ListMetrics", json!({})).await["Metrics"], json!([]));
}
