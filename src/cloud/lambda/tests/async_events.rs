//! The asynchronous queue.

use super::*;

/// Events in the queue.
fn queued(f: &Fixture) -> usize {
    f.lambda.queue.len()
}

#[tokio::test]
async fn a_failed_event_is_tried_again_with_the_same_request_id_until_it_succeeds() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let file = f.path("tries");
    f.invoke_later("f", json!({ "do": "until", "file": file, "tries": 3 })).await;
    until(|| queued(&f) == 0).await;
    let tries = lines_of(&file);
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|id| *id == tries[0]));
}

#[tokio::test]
async fn an_event_is_given_up_after_the_configured_retries() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let config = "/2019-09-25/functions/f/event-invoke-config";
    f.json(Method::PUT, config, json!({ "MaximumRetryAttempts": 1 })).await.unwrap();
    let file = f.path("tries");
    f.invoke_later("f", json!({ "do": "until", "file": file, "tries": 99 })).await;
    until(|| queued(&f) == 0).await;
    assert_eq!(lines_of(&file).len(), 2);
}

#[tokio::test]
async fn more_events_than_may_run_at_once_wait_and_all_are_driven() {
    let f = Fixture::with(|options| options.concurrency = 2).await;
    f.create("f", json!({})).await;
    let folder = f.path("done");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..30 {
        f.invoke_later("f", json!({ "do": "meet", "folder": folder, "name": number.to_string(), "count": 1 })).await;
    }
    until(|| queued(&f) == 0).await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 30);
}

#[tokio::test]
async fn events_waiting_and_in_flight_survive_the_end_of_the_cloud() {
    let f = Fixture::with(|options| options.concurrency = 1).await;
    f.create("f", json!({ "Timeout": 900 })).await;
    let (pids, file) = (f.path("pids"), f.path("tries"));
    // The first event hangs until the file is there when it comes again.
    let hang = json!({ "do": "hang", "file": pids });
    f.invoke_later("f", hang).await;
    f.invoke_later("f", json!({ "do": "until", "file": file, "tries": 1 })).await;
    until(|| lines_of(&pids).len() == 1).await;
    assert_eq!(queued(&f), 2);

    let f = f.reopen().await;
    until(|| lines_of(&file).len() == 1).await;
    until(|| queued(&f) == 1).await;
    // The event in flight is driven again.
    until(|| lines_of(&pids).first().is_some_and(|running| running.split(' ').all(lives))).await;
    f.lambda.stop().await;
}

#[tokio::test]
async fn an_event_queued_in_a_transaction_shares_its_fate_and_needs_permission() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let file = f.path("tries");
    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:f");
    let event = |name: &str| AsyncInvocation {
        function_arn: format!("{arn}:$LATEST"),
        payload: json!({ "do": "until", "file": f.path(name), "tries": 1 }).to_string().into(),
    };
    let source = Sender::service("s3.amazonaws.com", "arn:aws:s3:::raw");
    let may = |arn: &str| f.lambda.store.write(|tx| f.lambda.would_accept(tx, arn, &source)).unwrap();
    assert!(!may(&arn));
    let permission = json!({ "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::raw", "SourceAccount": ACCOUNT_ID });
    f.json(Method::POST, &function("f", "/policy"), permission).await.unwrap();
    assert!(may(&arn));
    assert!(!may(&format!("{arn}:7")), "there are no versions");

    let aborted = f.lambda.store.write::<(), ApiError>(|tx| {
        f.lambda.queue.enqueue(tx, event("lost"))?;
        Err(rest::invalid("changed my mind"))
    });
    assert!(aborted.is_err());
    f.lambda.store.write(|tx| f.lambda.queue.enqueue(tx, event("tries"))).unwrap();
    Destination::wake(&*f.lambda);
    until(|| queued(&f) == 0 && file.exists()).await;
    assert!(!f.path("lost").exists());
}

#[tokio::test]
async fn events_of_a_function_that_is_gone_leave_the_queue() {
    let f = Fixture::with(|options| options.retry_delays = [Duration::from_millis(300); 2]).await;
    f.create("f", json!({})).await;
    let file = f.path("tries");
    f.invoke_later("f", json!({ "do": "until", "file": file, "tries": 99 })).await;
    until(|| lines_of(&file).len() == 1).await;
    f.json(Method::DELETE, &function("f", ""), Value::Null).await.unwrap();
    until(|| queued(&f) == 0).await;
    assert_eq!(lines_of(&file).len(), 1);
}

#[tokio::test]
async fn an_event_that_failed_for_good_is_told_to_its_destination_and_kept_in_the_dead_letter_queue() {
    let f = Fixture::new().await;
    f.without_iam();
    for queue in ["failures", "successes", "dead"] {
        f.queue("CreateQueue", json!({ "QueueName": queue })).await;
    }
    let arn = |name: &str| format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}");
    let created = f.create("f", json!({ "DeadLetterConfig": { "TargetArn": arn("dead") } })).await;
    assert_eq!(created["DeadLetterConfig"]["TargetArn"], arn("dead"));
    let config = "/2019-09-25/functions/f/event-invoke-config";
    let destinations =
        json!({ "OnFailure": { "Destination": arn("failures") }, "OnSuccess": { "Destination": arn("successes") } });
    let given = json!({ "MaximumRetryAttempts": 1, "DestinationConfig": destinations });
    let set = f.json(Method::PUT, config, given).await.unwrap();
    assert_eq!(set["DestinationConfig"], destinations);
    f.invoke_later("f", json!({ "do": "fail" })).await;
    f.invoke_later("f", json!({ "do": "big", "bytes": 1 })).await;

    let next = async |queue: &str| {
        let url = format!("http://sqs/{ACCOUNT_ID}/{queue}");
        let input = json!({ "QueueUrl": url, "WaitTimeSeconds": 20, "MessageAttributeNames": ["All"] });
        f.queue("ReceiveMessage", input).await["Messages"][0].clone()
    };
    let failure: Value = serde_json::from_str(next("failures").await["Body"].as_str().unwrap()).unwrap();
    assert_eq!(failure["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(failure["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(
        (&failure["requestPayload"]["do"], &failure["responsePayload"]["errorMessage"]),
        (&json!("fail"), &json!("no good"))
    );
    let success: Value = serde_json::from_str(next("successes").await["Body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&success["requestContext"]["condition"], &success["responsePayload"]),
        (&json!("Success"), &json!("x"))
    );
    let dead = next("dead").await;
    assert_eq!(serde_json::from_str::<Value>(dead["Body"].as_str().unwrap()).unwrap(), json!({ "do": "fail" }));
    assert_eq!(dead["MessageAttributes"]["ErrorMessage"]["StringValue"], "no good");
    assert_eq!(queued(&f), 0);
}
