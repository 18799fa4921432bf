//! What AWS's own client reads and writes, through the gateway.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::{
    Client, Config,
    config::{BehaviorVersion, Region},
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{
        ComparisonOperator, Datapoint, Dimension, HistoryItemType, Metric, MetricDataQuery, MetricDatum, MetricStat,
        StandardUnit, StateValue, Statistic, Tag,
    },
};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;

use super::*;
use crate::cloud::server::{Options, Server};

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    _folder: tempfile::TempDir,
    server: Server,
    client: Client,
}

impl Running {
    async fn start() -> Running {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Options { folder: folder.path().to_owned(), port: None, iam: true, smtp: None })
            .await
            .unwrap();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(server.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(root(&server))
            .build();
        Running { _folder: folder, client: Client::from_conf(config), server }
    }

    async fn sum(&self, namespace: &str, name: &str, dimensions: &[Dimension]) -> Option<f64> {
        let now = jiff::Timestamp::now().as_second();
        let told = self
            .client
            .get_metric_statistics()
            .namespace(namespace)
            .metric_name(name)
            .set_dimensions(Some(dimensions.to_vec()))
            .start_time(DateTime::from_secs(now - 3600))
            .end_time(DateTime::from_secs(now + 60))
            .period(7200)
            .statistics(Statistic::Sum)
            .send()
            .await
            .unwrap();
        assert_eq!(told.label(), Some(name));
        told.datapoints().first().and_then(Datapoint::sum)
    }
}

fn root(server: &Server) -> Credentials {
    let key = server.root_credentials();
    Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "root")
}

/// Asks until the answer is there.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension::builder().name(name).value(value).build()
}

#[tokio::test]
async fn the_rust_client_puts_data_and_reads_it_back() {
    let cloud = Running::start().await;
    let dimensions = [dimension("dataset", "flights")];
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    // Enough to be packed on its way.
    let data = (0..300).map(|number| {
        MetricDatum::builder()
            .metric_name(if number == 0 { "Rows" } else { "Noise" })
            .dimensions(dimensions[0].clone())
            .timestamp(DateTime::from_secs(now))
            .value(f64::from(number) + 0.5)
            .unit(StandardUnit::Count)
            .build()
    });
    cloud.client.put_metric_data().namespace("lake").set_metric_data(Some(data.collect())).send().await.unwrap();
    let listed = cloud.client.list_metrics().namespace("lake").metric_name("Rows").send().await.unwrap();
    assert_eq!(listed.metrics()[0].dimensions(), dimensions);
    assert_eq!(cloud.sum("lake", "Rows", &dimensions).await, Some(0.5));

    let metric = Metric::builder().namespace("lake").metric_name("Noise").dimensions(dimensions[0].clone()).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("m1").metric_stat(stat).build();
    let told = cloud
        .client
        .get_metric_data()
        .metric_data_queries(query)
        .start_time(DateTime::from_secs(now - 60))
        .end_time(DateTime::from_secs(now + 60))
        .send()
        .await
        .unwrap();
    let result = &told.metric_data_results()[0];
    assert_eq!((result.values(), result.timestamps()), (&[299.5][..], &[DateTime::from_secs(now)][..]));

    let refused = cloud.client.put_metric_data().namespace("lake").send().await.unwrap_err().into_service_error();
    assert!(refused.is_missing_required_parameter_exception(), "{refused:?}");
    assert_eq!(refused.message(), Some("The parameter MetricData is required."));
}

#[tokio::test]
async fn the_rust_client_sees_an_alarm_go_off() {
    let cloud = Running::start().await;
    let client = &cloud.client;
    let put = client
        .put_metric_alarm()
        .alarm_name("deep")
        .alarm_description("files wait")
        .namespace("lake")
        .metric_name("depth")
        .statistic(Statistic::Maximum)
        .period(60)
        .evaluation_periods(1)
        .threshold(5.0)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .treat_missing_data("notBreaching")
        .alarm_actions(TOPIC)
        .tags(Tag::builder().key("stack").value("prod").build());
    put.send().await.unwrap();
    let alarm = async || {
        let told = client.describe_alarms().alarm_names("deep").send().await.unwrap();
        told.metric_alarms()[0].clone()
    };
    let datum = MetricDatum::builder().metric_name("depth").value(5.0).build();
    client.put_metric_data().namespace("lake").metric_data(datum).send().await.unwrap();
    let gone_off = until(async || Some(alarm().await).filter(|alarm| alarm.state_value() == Some(&StateValue::Alarm)));
    let gone_off = gone_off.await;
    assert_eq!((gone_off.threshold(), gone_off.period()), (Some(5.0), Some(60)));
    assert_eq!(gone_off.alarm_actions(), [TOPIC]);
    assert!(gone_off.state_updated_timestamp() >= gone_off.alarm_configuration_updated_timestamp());
    assert!(gone_off.state_reason().unwrap().contains("was greater than or equal to the threshold (5.0)"));
    let arn = gone_off.alarm_arn().unwrap();
    let tags = client.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
    assert_eq!(tags.tags()[0].value(), Some("prod"));
    let history = client.describe_alarm_history().alarm_name("deep").history_item_type(HistoryItemType::StateUpdate);
    assert!(!history.send().await.unwrap().alarm_history_items().is_empty());

    client.delete_alarms().alarm_names("deep").send().await.unwrap();
    let again = client.delete_alarms().alarm_names("deep").send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_not_found(), "{again:?}");
}

#[tokio::test]
async fn the_rust_client_keeps_dashboards() {
    let cloud = Running::start().await;
    let body = r#"{"widgets":[]}"#;
    let put = cloud.client.put_dashboard().dashboard_name("lake").dashboard_body(body).send().await.unwrap();
    assert!(put.dashboard_validation_messages().is_empty());
    let listed = cloud.client.list_dashboards().send().await.unwrap();
    assert!(listed.dashboard_entries()[0].last_modified().is_some());
    let wrong = cloud.client.put_dashboard().dashboard_name("lake").dashboard_body("{}").send().await;
    let wrong = wrong.unwrap_err().into_service_error();
    assert!(wrong.is_dashboard_invalid_input_error(), "{wrong:?}");
    let got = cloud.client.get_dashboard().dashboard_name("lake").send().await.unwrap();
    assert_eq!(got.dashboard_body(), Some(body));
    cloud.client.delete_dashboards().dashboard_names("lake").send().await.unwrap();
    let gone = cloud.client.get_dashboard().dashboard_name("lake").send().await.unwrap_err().into_service_error();
    assert!(gone.is_dashboard_not_found_error(), "{gone:?}");
}

#[tokio::test]
async fn metrics_embedded_in_log_events_are_metrics() {
    let cloud = Running::start().await;
    let config = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(cloud.server.endpoint())
        .region(Region::new(REGION))
        .credentials_provider(root(&cloud.server))
        .build();
    let logs = aws_sdk_cloudwatchlogs::Client::from_conf(config);
    logs.create_log_group().log_group_name("/g").send().await.unwrap();
    logs.create_log_stream().log_group_name("/g").log_stream_name("s").send().await.unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let directive =
        json!({ "Namespace": "lake", "Dimensions": [["stack"]], "Metrics": [{ "Name": "Rows", "Unit": "Count" }] });
    let line = json!({
        "_aws": { "Timestamp": now, "CloudWatchMetrics": [directive] }, "stack": "prod", "Rows": [40, 2],
    });
    let event = InputLogEvent::builder().timestamp(now).message(line.to_string()).build().unwrap();
    logs.put_log_events().log_group_name("/g").log_stream_name("s").log_events(event).send().await.unwrap();
    let dimensions = [dimension("stack", "prod")];
    assert_eq!(until(async || cloud.sum("lake", "Rows", &dimensions).await).await, 42.0);

    // What waits to be written when the cloud stops is written.
    let event = InputLogEvent::builder().timestamp(now).message(line.to_string()).build().unwrap();
    logs.put_log_events().log_group_name("/g").log_stream_name("s").log_events(event).send().await.unwrap();
    let Running { _folder, server, .. } = cloud;
    server.shutdown().await;
    let store = until(async || Store::open(_folder.path()).ok()).await;
    let metric = data::MetricId::new("lake".into(), "Rows".into(), vec![("stack".into(), "prod".into())]);
    let span = (now - MINUTE, now + MINUTE);
    let kept = store.read(|tx| data::periods(tx, &metric.digest(REGION), span, 10 * MINUTE, None)).unwrap();
    assert_eq!(kept.values().map(|summary| summary.sum).sum::<f64>(), 84.0);
}
