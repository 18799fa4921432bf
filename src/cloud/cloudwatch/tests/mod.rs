//! The service by its own API, with a clock that the tests own.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderValue, Method, StatusCode};
use redb::WriteTransaction as Tx;
use serde_json::json;

use super::*;
use crate::cloud::{
    delivery::{Destination, Message, Sender},
    service::{ACCOUNT_ID, Caller},
};

mod alarms;
mod clients;
mod metrics;
mod wire;

const REGION: &str = "eu-west-1";
const MINUTE: i64 = 60_000;
/// 2026-01-31T12:00:00Z
const NOON: i64 = 1_769_860_800_000;
const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:lake";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";

/// Takes everything, or refuses as it is told, and remembers it.
#[derive(Default)]
struct Mailbox {
    taken: Mutex<Vec<(String, Sender, Message)>>,
    refusal: Mutex<Option<ApiError>>,
}

impl Destination for Mailbox {
    fn accept(&self, _: &Tx, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        self.taken.lock().unwrap().push((target.to_owned(), sender.clone(), message.clone()));
        Ok(())
    }

    fn wake(&self) {}

    fn would_accept(&self, _: &Tx, _: &str, _: &Sender) -> Result<bool, ApiError> {
        Ok(true)
    }
}

struct Cloud {
    _folder: tempfile::TempDir,
    service: CloudWatch,
    time: Arc<AtomicI64>,
    /// When alarms were evaluated last.
    evaluated: AtomicI64,
    mailbox: Arc<Mailbox>,
}

impl Cloud {
    fn new() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Exchange::new();
        let mailbox = Arc::new(Mailbox::default());
        for service in ["sns", "lambda", "events"] {
            exchange.enter(service, &(Arc::clone(&mailbox) as _));
        }
        let time = Arc::new(AtomicI64::new(NOON));
        let clock = Arc::clone(&time);
        let clock: Clock = Arc::new(move || clock.load(Ordering::SeqCst));
        let service = CloudWatch::at_rest(Store::open(folder.path()).unwrap(), exchange, clock);
        Cloud { _folder: folder, service, time, evaluated: AtomicI64::new(0), mailbox }
    }

    fn now(&self) -> i64 {
        self.time.load(Ordering::SeqCst)
    }

    /// Lets time pass, with what happens in it: evaluation, and what comes of it.
    async fn pass(&self, milliseconds: i64) {
        self.time.fetch_add(milliseconds, Ordering::SeqCst);
        self.settle().await;
    }

    async fn settle(&self) {
        let last = self.evaluated.load(Ordering::SeqCst);
        let now = watch::evaluate(&self.service.core, last).await.unwrap();
        self.evaluated.store(now, Ordering::SeqCst);
        outbox::deliver_due(&self.service.core).await.unwrap();
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        let mut headers = HeaderMap::new();
        let target = format!("GraniteServiceVersion20100801.{operation}");
        headers.insert("x-amz-target", HeaderValue::from_str(&target).unwrap());
        let response = self.service.call(call(headers, "/", input.to_string())).await.unwrap();
        let body = if response.body().is_empty() { b"null" } else { &response.body()[..] };
        let body: Value = serde_json::from_slice(body).unwrap();
        if response.status() == StatusCode::OK {
            return Ok(body);
        }
        let code = response.headers()["x-amzn-query-error"].to_str().unwrap();
        Err((code.split(';').next().unwrap().to_owned(), body["message"].as_str().unwrap().to_owned()))
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.ask(operation, input).await.unwrap()
    }

    /// The code of a refusal.
    async fn refusal(&self, operation: &str, input: Value) -> String {
        self.ask(operation, input).await.unwrap_err().0
    }

    /// Puts a data point of `depth` at this time.
    async fn put(&self, value: f64) {
        self.put_at(value, self.now()).await;
    }

    async fn put_at(&self, value: f64, time: i64) {
        let datum = json!({ "MetricName": "depth", "Value": value, "Timestamp": time as f64 / 1000.0 });
        self.ok("PutMetricData", json!({ "Namespace": "lake", "MetricData": [datum] })).await;
    }

    /// State and reason of the alarm.
    async fn state(&self, alarm: &str) -> (String, String) {
        let described = self.ok("DescribeAlarms", json!({ "AlarmNames": [alarm] })).await;
        let alarm = &described["MetricAlarms"][0];
        (alarm["StateValue"].as_str().unwrap().to_owned(), alarm["StateReason"].as_str().unwrap().to_owned())
    }

    fn taken(&self) -> Vec<(String, Sender, Message)> {
        std::mem::take(&mut self.mailbox.taken.lock().unwrap())
    }
}

fn call(headers: HeaderMap, path: &str, body: impl Into<Bytes>) -> Call {
    Call {
        caller: Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.into() },
        region: REGION.into(),
        request_id: "request-1".into(),
        method: Method::POST,
        uri: path.parse().unwrap(),
        headers,
        body: body.into(),
    }
}

/// `base` with the members of `more`; null takes one away.
fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

#[test]
fn every_permission_names_its_action_and_resource() {
    let needs = |operation: &str, input: Value| {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&format!("X.{operation}")).unwrap());
        let needs = access::needs(&call(headers, "/", input.to_string())).unwrap();
        needs.into_iter().map(|need| (need.action, need.resource, need.context)).collect::<Vec<_>>()
    };
    let alarm = |name: &str| format!("arn:aws:cloudwatch:eu-west-1:000000000000:alarm:{name}");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        needs("PutMetricData", json!({ "Namespace": "lake" })),
        [("cloudwatch:PutMetricData".into(), "*".into(), vec![pair("cloudwatch:namespace", "lake")])]
    );
    let put = json!({ "AlarmName": "a", "AlarmActions": [TOPIC], "Tags": [{ "Key": "k", "Value": "v" }] });
    let tags = vec![pair("aws:RequestTag/k", "v"), pair("aws:TagKeys", "k")];
    assert_eq!(
        needs("PutMetricAlarm", put),
        [
            (
                "cloudwatch:PutMetricAlarm".into(),
                alarm("a"),
                [vec![pair("cloudwatch:AlarmActions", TOPIC)], tags.clone()].concat()
            ),
            ("cloudwatch:TagResource".into(), alarm("a"), tags),
        ]
    );
    assert_eq!(needs("DeleteAlarms", json!({ "AlarmNames": ["a", "b"] }))[1].1, alarm("b"));
    assert_eq!(needs("DescribeAlarms", json!({}))[0].1, alarm("*"));
    let dashboard = "arn:aws:cloudwatch::000000000000:dashboard/d";
    assert_eq!(needs("GetDashboard", json!({ "DashboardName": "d" }))[0].1, dashboard);
    assert_eq!(needs("GetMetricData", json!({}))[0].1, "*");
}

#[tokio::test]
async fn dashboards_are_kept_listed_tagged_and_deleted() {
    let cloud = Cloud::new();
    let body = r##"{"widgets":[{"type":"text","properties":{"markdown":"# lake"}}]}"##;
    let input = json!({
        "DashboardName": "lake-b", "DashboardBody": body, "Tags": [{ "Key": "stack", "Value": "prod" }],
    });
    assert_eq!(cloud.ok("PutDashboard", input.clone()).await, json!({ "DashboardValidationMessages": [] }));
    cloud.ok("PutDashboard", with(input.clone(), json!({ "DashboardName": "lake-a", "Tags": null }))).await;
    let got = cloud.ok("GetDashboard", json!({ "DashboardName": "lake-b" })).await;
    let arn = "arn:aws:cloudwatch::000000000000:dashboard/lake-b";
    assert_eq!((got["DashboardBody"].as_str(), got["DashboardArn"].as_str()), (Some(body), Some(arn)));
    let tags = cloud.ok("ListTagsForResource", json!({ "ResourceARN": arn })).await;
    assert_eq!(tags["Tags"], json!([{ "Key": "stack", "Value": "prod" }]));
    let listed = cloud.ok("ListDashboards", json!({ "DashboardNamePrefix": "lake-" })).await;
    assert_eq!(listed["DashboardEntries"][0]["DashboardName"], "lake-a");
    assert_eq!(listed["DashboardEntries"][1]["Size"], body.len());
    assert_eq!(listed["DashboardEntries"][1]["LastModified"], NOON / 1000);

    let wrong = with(input.clone(), json!({ "DashboardBody": "{}" }));
    assert_eq!(cloud.refusal("PutDashboard", wrong).await, "InvalidParameterInput");
    assert_eq!(
        cloud.refusal("PutDashboard", with(input, json!({ "DashboardName": "a b" }))).await,
        "InvalidParameterInput"
    );
    let some = json!({ "DashboardNames": ["lake-b", "none"] });
    assert_eq!(cloud.refusal("DeleteDashboards", some).await, "InvalidParameterValue");
    assert_eq!(cloud.ok("DeleteDashboards", json!({ "DashboardNames": ["lake-a"] })).await, json!({}));
    assert_eq!(cloud.refusal("GetDashboard", json!({ "DashboardName": "lake-b" })).await, "ResourceNotFound");
    assert_eq!(cloud.refusal("ListTagsForResource", json!({ "ResourceARN": arn })).await, "ResourceNotFoundException");
    assert_eq!(cloud.ok("ListDashboards", json!({})).await, json!({ "DashboardEntries": [] }));
}
