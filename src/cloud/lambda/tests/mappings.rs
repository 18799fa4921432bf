//! Event source mappings.

use super::*;

const MAPPINGS: &str = "/2015-03-31/event-source-mappings/";

fn arn() -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:jobs")
}

async fn send(f: &Fixture, body: Value) {
    f.queue("SendMessage", json!({ "QueueUrl": "http://sqs/000000000000/jobs", "MessageBody": body.to_string() }))
        .await;
}

/// Messages that are left: visible, and in flight.
async fn left(f: &Fixture) -> (String, String) {
    let input = json!({ "QueueUrl": "http://sqs/000000000000/jobs", "AttributeNames": ["All"] });
    let attributes = f.queue("GetQueueAttributes", input).await["Attributes"].clone();
    let text = |name: &str| attributes[name].as_str().unwrap().to_owned();
    (text("ApproximateNumberOfMessages"), text("ApproximateNumberOfMessagesNotVisible"))
}

/// A function that writes what it is given to a file, and reports the messages named `bad` as failed.
const REPORTER: &str = r#"
import http.client, json, os, sys
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    response = api.getresponse()
    if response.status != 200:
        sys.exit(1)
    event = json.loads(response.read())
    with open(os.environ["FILE"], "a") as file:
        for record in event["Records"]:
            file.write(record["body"] + "\n")
    bad = [{"itemIdentifier": r["messageId"]} for r in event["Records"] if "bad" in r["body"]]
    api.request("POST", "/2018-06-01/runtime/invocation/" + response.getheader("Lambda-Runtime-Aws-Request-Id") + "/response", json.dumps({"batchItemFailures": bad}))
    api.getresponse().read()
"#;

#[tokio::test]
async fn messages_are_given_to_the_function_and_deleted_but_for_those_it_reports() {
    let f = Fixture::new().await;
    f.without_iam();
    f.queue("CreateQueue", json!({ "QueueName": "jobs" })).await;
    let file = f.path("bodies");
    let variables = json!({ "Variables": { "FILE": file } });
    let code = json!({ "ZipFile": STANDARD.encode(zipped(REPORTER)) });
    f.create("f", json!({ "Environment": variables, "Code": code })).await;
    send(&f, json!("good")).await;
    let given =
        json!({ "EventSourceArn": arn(), "FunctionName": "f", "FunctionResponseTypes": ["ReportBatchItemFailures"] });
    let created = f.json(Method::POST, MAPPINGS, given.clone()).await.unwrap();
    assert_eq!((&created["State"], &created["BatchSize"]), (&json!("Creating"), &json!(10)));
    until(|| lines_of(&file).len() == 1).await;
    send(&f, json!("bad")).await;
    until(|| lines_of(&file).len() == 2).await;
    until_left(&f, ("0", "1")).await;

    let uuid = created["UUID"].as_str().unwrap();
    let again = f.json(Method::POST, MAPPINGS, given).await.unwrap_err();
    assert!(again.code == "ResourceConflictException" && again.message.contains(uuid), "{again}");
    let path = format!("{MAPPINGS}{uuid}");
    let disabled = f.json(Method::PUT, &path, json!({ "Enabled": false, "BatchSize": 5 })).await.unwrap();
    assert_eq!(disabled["State"], "Disabling");
    let got = f.get(&path).await.unwrap();
    assert_eq!((&got["State"], &got["BatchSize"]), (&json!("Disabled"), &json!(5)));
    let listed = f.get(&format!("{MAPPINGS}?FunctionName=f")).await.unwrap();
    assert_eq!(listed["EventSourceMappings"][0]["UUID"], uuid);
    f.json(Method::DELETE, &path, Value::Null).await.unwrap();
    assert_eq!(f.get(&path).await.unwrap_err().code, "ResourceNotFoundException");
}

async fn until_left(f: &Fixture, wanted: (&str, &str)) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = left(f).await;
        if (now.0.as_str(), now.1.as_str()) == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_queue_that_cannot_serve_the_function_is_refused() {
    let f = Fixture::new().await;
    f.without_iam();
    f.create("f", json!({ "Timeout": 31 })).await;
    let message = async |given: Value| {
        let mut all = json!({ "EventSourceArn": arn(), "FunctionName": "f" });
        all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        f.json(Method::POST, MAPPINGS, all).await.unwrap_err().message
    };
    assert!(message(json!({})).await.contains("NonExistentQueue"));
    f.queue("CreateQueue", json!({ "QueueName": "jobs" })).await;
    assert!(message(json!({})).await.contains("less than Function timeout: 31"));
    assert!(message(json!({ "BatchSize": 11 })).await.contains("batch window"));
    assert!(
        message(json!({ "FilterCriteria": { "Filters": [{ "Pattern": "{}" }] } })).await.contains("FilterCriteria")
    );
    assert!(message(json!({ "EventSourceArn": "arn:aws:kinesis:r:0:stream/s" })).await.contains("other than queues"));
}
