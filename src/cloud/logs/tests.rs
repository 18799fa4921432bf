use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Value, json};

use super::*;
use crate::cloud::service::Caller;

struct Fixture {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    logs: Arc<Logs>,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    Fixture { _folder: folder, logs: Logs::new(Arc::clone(&store)), store }
}

impl Fixture {
    async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&format!("Logs_20140328.{operation}")).unwrap());
        let call = Call {
            caller: Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "root".into() },
            region: "eu-west-1".into(),
            request_id: "id".into(),
            method: Method::POST,
            uri: Uri::from_static("/"),
            headers,
            body: body.to_string().into(),
        };
        let response = self.logs.call(call).await?;
        Ok(serde_json::from_slice(response.body()).unwrap())
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        self.call(operation, body).await.unwrap()
    }

    async fn refusal(&self, operation: &str, body: Value) -> String {
        self.call(operation, body).await.unwrap_err().to_string()
    }

    async fn group_with_stream(&self) {
        self.ok("CreateLogGroup", json!({ "logGroupName": "/g" })).await;
        self.ok("CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "s" })).await;
    }

    async fn put(&self, stream: &str, events: &[(i64, &str)]) -> Value {
        let events: Vec<_> = events.iter().map(|(at, text)| json!({ "timestamp": at, "message": text })).collect();
        let body = json!({ "logGroupName": "/g", "logStreamName": stream, "logEvents": events });
        self.ok("PutLogEvents", body).await
    }
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn groups_are_created_once_listed_in_pages_tagged_and_deleted_with_all_they_hold() {
    let f = fixture();
    for name in ["/a/1", "/a/2", "/a/3", "/b"] {
        f.ok("CreateLogGroup", json!({ "logGroupName": name, "tags": { "k": name } })).await;
    }
    assert_eq!(
        f.refusal("CreateLogGroup", json!({ "logGroupName": "/b" })).await,
        "ResourceAlreadyExistsException: The specified log group already exists"
    );
    let page = f.ok("DescribeLogGroups", json!({ "logGroupNamePrefix": "/a", "limit": 2 })).await;
    assert_eq!(page["logGroups"][1]["arn"], "arn:aws:logs:eu-west-1:000000000000:log-group:/a/2:*");
    let rest = f
        .ok("DescribeLogGroups", json!({ "logGroupNamePrefix": "/a", "limit": 2, "nextToken": page["nextToken"] }))
        .await;
    assert_eq!(rest["logGroups"].as_array().unwrap().len(), 1);
    assert!(rest.get("nextToken").is_none());

    let arn = "arn:aws:logs:eu-west-1:000000000000:log-group:/b";
    f.ok("TagResource", json!({ "resourceArn": arn, "tags": { "x": "1" } })).await;
    f.ok("UntagResource", json!({ "resourceArn": format!("{arn}:*"), "tagKeys": ["k"] })).await;
    assert_eq!(f.ok("ListTagsForResource", json!({ "resourceArn": arn })).await["tags"], json!({ "x": "1" }));

    f.ok("CreateLogStream", json!({ "logGroupName": "/a/1", "logStreamName": "s" })).await;
    f.ok("DeleteLogGroup", json!({ "logGroupName": "/a/1" })).await;
    f.ok("CreateLogGroup", json!({ "logGroupName": "/a/1" })).await;
    assert_eq!(f.ok("DescribeLogStreams", json!({ "logGroupName": "/a/1" })).await["logStreams"], json!([]));
    assert_eq!(
        f.refusal("DeleteLogGroup", json!({ "logGroupName": "/none" })).await,
        "ResourceNotFoundException: The specified log group does not exist."
    );
    assert!(f.refusal("CreateLogGroup", json!({ "logGroupName": "a:b" })).await.starts_with("InvalidParameter"));
    assert!(f.refusal("CreateLogGroup", json!({})).await.starts_with("InvalidParameterException"));
    assert!(f.refusal("StartQuery", json!({})).await.starts_with("UnknownOperationException"));
}

#[tokio::test]
async fn a_stream_is_read_forwards_and_backwards_in_pages_that_miss_nothing() {
    let f = fixture();
    f.group_with_stream().await;
    let now = LogLine::now();
    let names: Vec<String> = (0..7).map(|number| format!("e{number}")).collect();
    // Two events of the same millisecond keep their order.
    let events: Vec<_> = names.iter().enumerate().map(|(at, name)| (now + at as i64 / 2, name.as_str())).collect();
    f.put("s", &events).await;

    let mut body = json!({ "logGroupName": "/g", "logStreamName": "s", "limit": 3, "startFromHead": true });
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = f.ok("GetLogEvents", body.clone()).await;
        seen.extend(texts(&page).into_iter().map(str::to_owned));
        body["nextToken"] = page["nextForwardToken"].clone();
    }
    assert_eq!(seen, names);
    let end = f.ok("GetLogEvents", body.clone()).await;
    assert_eq!(end["nextForwardToken"], body["nextToken"], "at the end the token stays as it is");
    f.put("s", &[(now + 9, "late")]).await;
    assert_eq!(texts(&f.ok("GetLogEvents", body).await), ["late"], "the token goes on with what came later");

    let mut body = json!({ "logGroupName": "/g", "logStreamName": "s", "limit": 5 });
    let latest = f.ok("GetLogEvents", body.clone()).await;
    assert_eq!(texts(&latest), ["e3", "e4", "e5", "e6", "late"]);
    body["nextToken"] = latest["nextBackwardToken"].clone();
    assert_eq!(texts(&f.ok("GetLogEvents", body).await), ["e0", "e1", "e2"]);

    let window = json!({ "logGroupName": "/g", "logStreamName": "s", "startTime": now + 1, "endTime": now + 3 });
    assert_eq!(texts(&f.ok("GetLogEvents", window).await), ["e2", "e3", "e4", "e5"], "the end is left out");
}

#[tokio::test]
async fn a_search_merges_streams_by_time_and_goes_on_where_it_stopped() {
    let f = fixture();
    f.group_with_stream().await;
    f.ok("CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "t" })).await;
    let now = LogLine::now();
    for number in 0..200 {
        let stream = if number % 2 == 0 { "s" } else { "t" };
        f.put(stream, &[(now + number, &format!("line {number:03} {}", if number % 50 == 0 { "ERROR" } else { "" }))])
            .await;
    }
    let mut body = json!({ "logGroupName": "/g", "limit": 70 });
    let mut seen = Vec::new();
    loop {
        let page = f.ok("FilterLogEvents", body.clone()).await;
        seen.extend(texts(&page).into_iter().map(|text| text[5..8].to_owned()));
        match page.get("nextToken") {
            Some(token) => body["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, (0..200).map(|number| format!("{number:03}")).collect::<Vec<_>>());

    let errors = f.ok("FilterLogEvents", json!({ "logGroupName": "/g", "filterPattern": "ERROR" })).await;
    assert_eq!(errors["events"].as_array().unwrap().len(), 4);
    let window = json!({ "logGroupName": "/g", "startTime": now + 3, "endTime": now + 5, "logStreamNames": ["t"] });
    assert_eq!(f.ok("FilterLogEvents", window).await["events"].as_array().unwrap().len(), 2);
    let json_pattern = json!({ "logGroupName": "/g", "filterPattern": "{ $.x = \"y\" }" });
    assert!(f.refusal("FilterLogEvents", json_pattern).await.starts_with("InvalidParameterException"));
}

#[tokio::test]
async fn a_batch_out_of_order_is_refused_and_events_out_of_the_time_window_are_reported() {
    let f = fixture();
    f.group_with_stream().await;
    let now = LogLine::now();
    let day = 24 * 60 * 60 * 1000;
    let put = |events: Value| json!({ "logGroupName": "/g", "logStreamName": "s", "logEvents": events });
    let event = |at: i64| json!({ "timestamp": at, "message": "m" });
    assert!(f.refusal("PutLogEvents", put(json!([event(now), event(now - 1)]))).await.contains("chronological order"));
    assert!(f.refusal("PutLogEvents", put(json!([event(now - 2 * day), event(now)]))).await.contains("24 hours"));
    assert!(f.refusal("PutLogEvents", put(json!([]))).await.starts_with("InvalidParameterException"));
    let answer = f.ok("PutLogEvents", put(json!([event(now), event(now + day / 2)]))).await;
    assert_eq!(answer["rejectedLogEventsInfo"], json!({ "tooNewLogEventStartIndex": 1 }));
    let answer = f.ok("PutLogEvents", put(json!([event(now - 15 * day), event(now - 14 * day - 1)]))).await;
    assert_eq!(answer["rejectedLogEventsInfo"], json!({ "tooOldLogEventEndIndex": 2 }));
    let read = f.ok("GetLogEvents", json!({ "logGroupName": "/g", "logStreamName": "s" })).await;
    assert_eq!(texts(&read), ["m"]);
}

#[tokio::test]
async fn streams_are_listed_by_last_event_in_pages() {
    let f = fixture();
    f.ok("CreateLogGroup", json!({ "logGroupName": "/g" })).await;
    let now = LogLine::now();
    for (stream, at) in [("a", 3), ("b", 1), ("c", 2)] {
        f.ok("CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": stream })).await;
        f.put(stream, &[(now + at, "m")]).await;
    }
    let mut body = json!({ "logGroupName": "/g", "orderBy": "LastEventTime", "descending": true, "limit": 2 });
    let names = |page: &Value| {
        let streams = page["logStreams"].as_array().unwrap();
        streams.iter().map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = f.ok("DescribeLogStreams", body.clone()).await;
    assert_eq!(names(&first), ["a", "c"]);
    body["nextToken"] = first["nextToken"].clone();
    let second = f.ok("DescribeLogStreams", body).await;
    assert_eq!(names(&second), ["b"]);
    assert!(second.get("nextToken").is_none());
    let by_name = json!({ "logGroupName": "/g", "descending": true, "limit": 2 });
    assert_eq!(names(&f.ok("DescribeLogStreams", by_name).await), ["c", "b"]);
}

#[tokio::test]
async fn events_that_outlive_their_retention_go_and_other_groups_keep_theirs() {
    let f = fixture();
    f.group_with_stream().await;
    let now = LogLine::now();
    let day = 24 * 60 * 60 * 1000;
    f.put("s", &[(now - 4 * day, "old")]).await;
    f.put("s", &[(now, "new")]).await;
    assert!(
        f.refusal("PutRetentionPolicy", json!({ "logGroupName": "/g", "retentionInDays": 2 }))
            .await
            .starts_with("InvalidParameterException")
    );
    let sweep = || f.store.write(|tx| retention::sweep(tx, now)).unwrap();
    assert_eq!(sweep(), 0, "without retention all is kept");
    f.ok("PutRetentionPolicy", json!({ "logGroupName": "/g", "retentionInDays": 3 })).await;
    assert_eq!(sweep(), 1);
    let read = f.ok("GetLogEvents", json!({ "logGroupName": "/g", "logStreamName": "s" })).await;
    assert_eq!(texts(&read), ["new"]);
}

#[tokio::test]
async fn the_sink_creates_group_and_stream_only_for_lines_that_may() {
    let f = fixture();
    let sink = LogSink::start(Arc::clone(&f.store));
    let line = |group: &str, creates| LogLine {
        region: "eu-west-1".into(),
        group: group.into(),
        stream: "s".into(),
        timestamp: LogLine::now(),
        message: "hello\n".into(),
        creates,
    };
    sink.write(line("/g", true)).await;
    sink.write(line("/gone", false)).await;
    sink.flush().await;
    let read = f.ok("GetLogEvents", json!({ "logGroupName": "/g", "logStreamName": "s" })).await;
    assert_eq!(texts(&read), ["hello\n"]);
    let groups = f.ok("DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"].as_array().unwrap().len(), 1);
}
