//! What lake writes and serves, seen by others: DuckDB, pyarrow, boto3, the `aws` command.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    python,
    world::{ORDERS, Project},
};

/// Values that readers disagree on when types are not exact.
const VALUES: &str = "id,price,placed,note\n\
    1,12.50,2026-01-31T23:59:59.123456Z,\"a, \"\"quoted\"\"\nnote\"\n\
    -9223372036854775808,99999999.99,1969-12-31 00:00:00,\n\
    9223372036854775807,-0.01,2026-06-01T12:00:00+02:00,käse 🧀\n\
    4,,,NA\n";

#[test]
fn duckdb_and_pyarrow_read_the_same_rows_and_types() {
    let project = Project::new(ORDERS);
    let csv = project.write("orders.csv", VALUES);
    project.lake(&["convert", &csv, "--out", "orders.parquet", "--dataset", "orders"]).ok();
    let path = project.path().join("orders.parquet");
    let seen = python::script("read_parquet.py", &[path.to_str().unwrap()], &[]);
    assert_eq!(
        seen["duckdb"]["types"],
        json!({ "id": "BIGINT", "price": "DECIMAL(10,2)", "placed": "TIMESTAMP WITH TIME ZONE", "note": "VARCHAR" })
    );
    assert_eq!(
        seen["pyarrow"]["types"],
        json!({ "id": "int64", "price": "decimal128(10, 2)", "placed": "timestamp[us, tz=UTC]", "note": "string" })
    );
    let rows = seen["duckdb"]["rows"].as_array().unwrap();
    let column = |place: usize| rows.iter().map(|row| row[place].clone()).collect::<Vec<_>>();
    assert_eq!(column(0), ["1", "-9223372036854775808", "9223372036854775807", "4"]);
    assert_eq!(column(1), [json!("12.50"), json!("99999999.99"), json!("-0.01"), Value::Null]);
    assert_eq!(column(3), [json!("a, \"quoted\"\nnote"), Value::Null, json!("käse 🧀"), Value::Null]);
    assert_eq!(seen["pyarrow"]["nulls"], json!({ "id": 0, "price": 1, "placed": 1, "note": 2 }));
}

#[test]
fn duckdb_reads_every_row_of_the_flights_with_na_as_null() {
    let project = Project::flights();
    let csv = project.path().join("data/flights-2013-01.csv");
    project.lake(&["convert", csv.to_str().unwrap(), "--out", "flights.parquet"]).ok();
    let path = project.path().join("flights.parquet");
    let query = "import duckdb,json,sys; \
        read=lambda what: duckdb.sql(what).fetchall()[0]; \
        ours=read(f\"select count(*), count(dep_time), sum(distance), sum(arr_delay), min(tailnum) from '{sys.argv[1]}'\"); \
        theirs=read(f\"select count(*), count(dep_time), sum(distance), sum(arr_delay), min(tailnum) from read_csv('{sys.argv[2]}', nullstr='NA')\"); \
        print(json.dumps([[str(v) for v in ours],[str(v) for v in theirs]]))";
    let mut command = Command::new(python::bin().join("python"));
    let read: Value = serde_json::from_str(&python::run(command.args(["-c", query]).arg(&path).arg(&csv))).unwrap();
    // Sums of doubles and of integers print differently; as numbers they are the same.
    let numbers = |row: &Value| {
        let cells = row.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned());
        cells.map(|cell| cell.parse::<f64>().map_or(cell, |number| number.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&read[0]), numbers(&read[1]));
    assert_eq!(read[0][0], "27004");
}

/// The exports of `lake cloud env`, with nothing of the tester's own configuration.
pub fn environment(project: &Project) -> Vec<(String, String)> {
    let env = project.lake(&["cloud", "env", "--shell", "json"]).document();
    let mut found: Vec<(String, String)> = env
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let nowhere = project.path().join("no-aws-config").to_str().unwrap().to_owned();
    found.push(("AWS_CONFIG_FILE".to_owned(), nowhere.clone()));
    found.push(("AWS_SHARED_CREDENTIALS_FILE".to_owned(), nowhere));
    found
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn boto3_and_the_aws_command_see_everything_and_after_destroy_nothing() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let csv = project.write("orders.csv", VALUES);
    project.lake(&["put", "orders", &csv, "--wait"]).ok();
    let env = environment(&project);
    let seen = python::script("look_in.py", &[], &env);
    assert_eq!(strings(&seen["buckets"]).len(), 3, "{seen}");
    assert!(strings(&seen["objects"]).contains(&"orders/orders.csv".to_owned()), "{seen}");
    assert!(strings(&seen["objects"]).iter().any(|key| key.ends_with(".parquet")), "{seen}");
    // intake, convert and sweep.
    assert_eq!(strings(&seen["functions"]).len(), 3, "{seen}");
    // One a function, and the crawler's.
    assert_eq!(strings(&seen["roles"]).len(), 4, "{seen}");
    assert_eq!(strings(&seen["tables"]), ["orders", "raw_orders"], "{seen}");
    assert!(strings(&seen["lines"]).iter().any(|line| line.starts_with("REPORT RequestId")), "{seen}");

    let aws = |args: &[&str]| {
        let mut command = Command::new(python::bin().join("aws"));
        python::run(command.args(args).envs(env.iter().cloned()))
    };
    let raw = strings(&seen["buckets"]).into_iter().find(|name| name.contains("-raw-")).unwrap();
    assert!(aws(&["s3", "ls", &format!("s3://{raw}/orders/")]).contains("orders.csv"));
    assert!(aws(&["lambda", "list-functions", "--output", "text"]).contains("convert"));
    assert!(aws(&["iam", "list-roles", "--output", "text"]).contains("intake"));
    assert!(aws(&["glue", "get-databases", "--output", "text"]).contains("shop_local_lake"));
    assert!(aws(&["logs", "describe-log-groups", "--output", "text"]).contains("/aws/lambda/shop-local-convert"));
    let copied = project.path().join("copied.csv");
    aws(&["s3", "cp", &format!("s3://{raw}/orders/orders.csv"), copied.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&copied).unwrap(), VALUES);

    project.lake(&["destroy", "--yes"]).ok();
    let seen = python::script("look_in.py", &[], &env);
    for what in ["buckets", "objects", "functions", "roles", "tables"] {
        assert_eq!(seen[what], json!([]), "{what}");
    }
    // What crawlers have said stays in a log group of the account's, as on AWS.
    let lines = strings(&seen["lines"]);
    assert!(lines.iter().all(|line| line.starts_with('[')), "{lines:?}");
}

#[test]
fn every_service_of_the_chain_is_driven_by_hand_with_boto3_and_the_aws_command() {
    let project = Project::new(ORDERS);
    project.lake(&["cloud", "start"]).ok();
    let env = environment(&project);
    let seen = python::script("drive.py", &[], &env);
    assert_eq!(seen["missing queue"], "AWS.SimpleQueueService.NonExistentQueue", "{seen}");
    assert_eq!(seen["mail is pending"], "pending confirmation");
    assert_eq!(seen["notification"], json!(["Notification", "hello", "this one"]));
    assert_eq!(seen["missing topic"], "NotFound");
    assert_eq!(seen["put"], json!([1, "NotAuthorizedForSourceException"]));
    assert_eq!(seen["transformed"], json!(["\"it is apple\""]));
    assert_eq!(seen["a pattern is tested"], true);
    assert_eq!(seen["bad pattern"], "InvalidEventPatternException");
    assert_eq!(seen["rule with targets"], "ValidationException");
    assert_eq!(seen["alarm"], "ALARM");
    assert_eq!(seen["metrics"], json!(["depth"]));
    assert_eq!(seen["statistics"], json!([7.0, 1.0]));
    assert_eq!(seen["dashboards"], json!(["hand"]));
    assert_eq!(seen["crawl"], "SUCCEEDED");
    assert_eq!(seen["columns"], json!([["id", "bigint"], ["price", "double"], ["day", "string"]]));
    assert_eq!(seen["partition keys"], json!(["year"]));
    assert_eq!(seen["partitions"], json!(["2025", "2026"]));
    assert_eq!(seen["missing crawler"], "EntityNotFoundException");
    let denied = seen["without a policy"].as_array().unwrap();
    assert!(denied.iter().all(|code| !code.is_null()), "{denied:?}");
    assert_eq!(denied[0], "AccessDenied");
    assert_eq!(denied[1], "AccessDeniedException");
    assert_eq!(seen["with a policy"], json!([null, null, "AccessDenied"]));

    // Version 1 of the command finds SQS by another name than the environment's, unless it is told on its own line.
    let endpoint = env.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap().1.clone();
    let aws = |args: &[&str]| {
        let mut command = Command::new(python::bin().join("aws"));
        let endpoint = ["--endpoint-url", &endpoint, "--output", "text"];
        python::run(command.args(args).args(endpoint).envs(env.iter().cloned()))
    };
    assert!(aws(&["sqs", "list-queues"]).contains("/hand-dead"));
    assert!(aws(&["sns", "list-topics"]).contains(":hand"));
    assert!(aws(&["events", "list-rules"]).contains("hand"));
    assert!(aws(&["cloudwatch", "describe-alarms"]).contains("hand"));
    assert!(aws(&["glue", "get-crawlers"]).contains("hand"));
    assert!(aws(&["iam", "list-users"]).contains("ann"));
}

#[test]
fn a_wrong_secret_is_refused_by_the_clouds_port() {
    let project = Project::new(ORDERS);
    project.lake(&["cloud", "start"]).ok();
    let mut env = environment(&project);
    let secret = env.iter_mut().find(|(name, _)| name == "AWS_SECRET_ACCESS_KEY").unwrap();
    secret.1 = "wrong".to_owned();
    for (args, code) in [
        (&["s3api", "list-buckets"][..], "SignatureDoesNotMatch"),
        (&["sts", "get-caller-identity"], "SignatureDoesNotMatch"),
        (&["glue", "get-databases"], "InvalidSignatureException"),
    ] {
        let output = Command::new(python::bin().join("aws")).args(args).envs(env.iter().cloned()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(code), "{args:?}: {stderr}");
    }
}
