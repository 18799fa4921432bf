//! What happens to objects: from `lake put` to rows in the table, through whatever comes between.

use serde_json::Value;

use crate::world::{ORDERS, Project};

const HEADER: &str = "id,price,placed,note\n";

fn applied() -> Project {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    project
}

/// Puts one file and waits; returns what became of it.
#[track_caller]
fn put(project: &Project, name: &str, text: impl AsRef<[u8]>) -> Value {
    let path = project.write(name, text);
    let ran = project.lake(&["put", "orders", &path, "--wait", "--timeout", "60", "--json"]);
    let document: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|_| panic!("{ran:?}"));
    document["files"][0]["result"].clone()
}

/// The ids in the table, sorted.
#[track_caller]
fn ids(project: &Project) -> Vec<i64> {
    let rows = project.lake(&["show", "orders", "--limit", "100000", "--json"]).documents();
    let mut ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn rows(ids: std::ops::Range<i64>) -> String {
    let rows: String = ids.map(|id| format!("{id},1.50,2026-01-01T00:00:00Z,note {id}\n")).collect();
    format!("{HEADER}{rows}")
}

#[test]
fn the_flights_arrive_typed_with_na_as_null_and_every_row_accounted_for() {
    let project = Project::flights();
    project.lake(&["apply", "--yes"]).ok();
    let january = project.path().join("data/flights-2013-01.csv");
    project.lake(&["put", "flights", january.to_str().unwrap(), "--wait"]).ok();
    let bad = project.path().join("data/flights-bad-rows.csv");
    let put = project.lake(&["put", "flights", bad.to_str().unwrap(), "--wait"]).ok();
    assert!(put.contains("rejected"), "{put}");
    let runs = project.lake(&["runs", "--json"]).document();
    let runs = runs["runs"].as_array().unwrap();
    let sum = |field: &str| {
        runs.iter().map(|run| run["report"][field].as_u64().unwrap_or_else(|| panic!("{run}"))).sum::<u64>()
    };
    assert_eq!((sum("read"), sum("kept"), sum("rejected")), (27_027, 27_018, 9));
    let first = project.lake(&["show", "flights", "--limit", "1", "--json"]).document();
    assert!(first["distance"].is_i64(), "{first}");
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("committed"), "{status}");
    let logs = project.lake(&["logs", "convert"]).ok();
    assert!(logs.contains("START RequestId") && logs.contains("REPORT RequestId"), "{logs}");
    project.lake(&["destroy", "--yes"]).ok();
}

#[test]
fn a_newer_version_supersedes_and_the_same_one_again_changes_nothing() {
    let project = applied();
    assert_eq!(put(&project, "a.csv", rows(0..10))["state"], "committed");
    assert_eq!(put(&project, "b.csv", rows(10..15))["state"], "committed");
    assert_eq!(ids(&project), (0..15).collect::<Vec<_>>());
    assert_eq!(put(&project, "a.csv", rows(100..103))["state"], "committed");
    let expected: Vec<i64> = (10..15).chain(100..103).collect();
    assert_eq!(ids(&project), expected);
    assert_eq!(put(&project, "a.csv", rows(100..103))["state"], "committed");
    assert_eq!(ids(&project), expected, "each row once");
}

#[test]
fn rows_that_do_not_fit_are_set_aside_with_line_offset_column_and_reason() {
    let project = applied();
    let text = format!(
        "{HEADER}1,1.00,2026-01-01T00:00:00Z,x\nseven,1.00,2026-01-01T00:00:00Z,x\n3,1.00\n4,1,2,3,4,5\n5,1.234,,\n"
    );
    let mut bytes = text.into_bytes();
    bytes.extend(b"6,1.00,2026-01-01T00:00:00Z,\xff\xfe\n7,2.00,,last");
    let result = put(&project, "mixed.csv", bytes);
    assert_eq!((result["rows"].as_u64(), result["rejected"].as_u64()), (Some(2), Some(5)), "{result}");
    assert_eq!(ids(&project), [1, 7]);
}

#[test]
fn what_is_no_csv_or_has_other_columns_is_parked_with_the_reason_and_the_rest_goes_on() {
    let project = applied();
    let png = put(&project, "picture.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00");
    assert_eq!(png["state"], "parked", "{png}");
    let other = put(&project, "other.csv", "colour,size\nred,1\n");
    assert_eq!(other["state"], "parked");
    assert!(other["message"].as_str().unwrap().contains("colour"), "{other}");
    assert_eq!(put(&project, "empty.csv", "")["state"], "committed");
    assert_eq!(put(&project, "header.csv", HEADER)["state"], "committed");
    assert_eq!(put(&project, "good.csv", rows(0..3))["state"], "committed");
    assert_eq!(ids(&project), [0, 1, 2]);
    let status = project.lake(&["status", "--json"]).document();
    assert_eq!(status["datasets"][0]["totals"]["by_state"]["parked"], 2, "{status}");
    // A mended file of the same name takes the place of the parked one.
    assert_eq!(put(&project, "other.csv", rows(3..4))["state"], "committed");
    assert_eq!(ids(&project), [0, 1, 2, 3]);
}

#[test]
fn the_cloud_killed_between_put_and_parquet_loses_nothing() {
    let project = applied();
    let files: Vec<String> =
        (0..6).map(|file| project.write(&format!("{file}.csv"), rows(file * 100..file * 100 + 100))).collect();
    let mut args = vec!["put", "orders"];
    args.extend(files.iter().map(String::as_str));
    project.lake(&args).ok();
    project.kill_cloud();
    project.lake(&["cloud", "start"]).ok();
    // Putting a file again waits for its commit; what was under way goes on by itself.
    for file in &files {
        project.lake(&["put", "orders", file, "--wait", "--timeout", "120"]).ok();
    }
    assert_eq!(ids(&project), (0..600).collect::<Vec<_>>());
}

#[test]
fn data_survive_stop_and_start() {
    let project = applied();
    put(&project, "a.csv", rows(0..10));
    project.lake(&["cloud", "stop"]).ok();
    assert!(project.lake(&["cloud", "status"]).ok().contains("not running"));
    // Looking at the table starts the cloud again.
    assert_eq!(ids(&project), (0..10).collect::<Vec<_>>());
    assert!(project.lake(&["apply", "--yes"]).ok().starts_with("no changes"));
}

#[tokio::test]
async fn an_object_deleted_before_conversion_leaves_no_marker_and_no_error() {
    let project = applied();
    let outputs = project.lake(&["outputs", "--json"]).document();
    let (raw, processed) = (outputs["raw_bucket"].as_str().unwrap(), outputs["processed_bucket"].as_str().unwrap());
    let s3 = project.s3().await;
    for name in 0..5 {
        let key = format!("orders/gone-{name}.csv");
        s3.put_object().bucket(raw).key(&key).body(rows(0..3).into_bytes().into()).send().await.unwrap();
        s3.delete_object().bucket(raw).key(&key).send().await.unwrap();
    }
    // Events are handled in order of arrival, more or less: when this one is through, the others are not far.
    put(&project, "kept.csv", rows(7..8));
    until_nothing_is_pending(&s3, processed).await;
    assert_eq!(ids(&project), [7]);
}

/// Looks until the ledger has no pending marker.
async fn until_nothing_is_pending(s3: &aws_sdk_s3::Client, processed: &str) {
    for _ in 0..600 {
        let markers = s3.list_objects_v2().bucket(processed).prefix("_lake/pending/").send().await.unwrap();
        if markers.contents().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("markers are left");
}

#[tokio::test]
async fn the_same_event_twice_commits_once() {
    let project = applied();
    put(&project, "a.csv", rows(0..10));
    let outputs = project.lake(&["outputs", "--json"]).document();
    let text = |name: &str| outputs[name].as_str().unwrap().to_owned();
    let bucket = serde_json::json!({ "name": text("raw_bucket") });
    let object = serde_json::json!({ "key": "orders/a.csv", "size": 400 });
    let record = serde_json::json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "awsRegion": "eu-west-1", "eventTime": "2026-01-01T00:00:00.000Z",
        "userIdentity": { "principalId": "x" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {}, "s3": { "s3SchemaVersion": "1.0", "bucket": bucket, "object": object },
    });
    let event = serde_json::json!({ "Records": [record] }).to_string();
    let lambda = aws_sdk_lambda::Client::new(&project.sdk().await);
    for _ in 0..2 {
        let payload = aws_sdk_lambda::primitives::Blob::new(event.as_bytes());
        let answer = lambda.invoke().function_name(text("intake_function")).payload(payload).send().await.unwrap();
        assert_eq!(answer.function_error(), None, "{:?}", answer.payload());
    }
    until_nothing_is_pending(&project.s3().await, &text("processed_bucket")).await;
    assert_eq!(ids(&project), (0..10).collect::<Vec<_>>());
    let runs = project.lake(&["runs", "--json"]).document();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
}

#[test]
fn what_is_overwritten_while_it_is_converted_ends_as_the_newer_version() {
    let project = applied();
    let large = project.write("a.csv", rows(0..200_000));
    project.lake(&["put", "orders", &large]).ok();
    assert_eq!(put(&project, "a.csv", rows(500..520))["state"], "committed");
    assert_eq!(ids(&project), (500..520).collect::<Vec<_>>());
}

#[test]
fn a_port_that_is_taken_is_told_with_the_port() {
    let project = Project::new(ORDERS);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let refused = project.lake(&["cloud", "start", "--port", &port]).failed();
    assert!(refused.contains(&port) && refused.contains("taken"), "{refused}");
}
