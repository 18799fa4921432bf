use aws_sdk_eventbridge::{error::ProvideErrorMetadata, primitives::DateTime};
use serde_json::json;

use super::*;
use crate::cloud::delivery::ServiceEvent;

fn any() -> Value {
    json!({ "source": ["lake.demo"] })
}

fn attributes(taken: &Taken) -> HashMap<&str, &str> {
    let attributes = &taken.message.attributes;
    attributes.iter().map(|(name, attribute)| (name.as_str(), attribute.value.as_str())).collect()
}

#[tokio::test]
async fn an_event_reaches_the_targets_of_the_rules_it_matches() {
    let (_folder, mut cloud) = Cloud::new().await;
    let failed = json!({ "source": ["lake.demo"], "detail": { "state": ["Failed"] } });
    let line = json!({ "InputPathsMap": { "run": "$.detail.run" }, "InputTemplate": "\"run <run> is done\"" });
    cloud.rule("failed", failed, &[json!({ "Id": "1", "Arn": FUNCTION })]).await;
    cloud
        .rule(
            "any",
            any(),
            &[
                json!({ "Id": "queue", "Arn": QUEUE, "SqsParameters": { "MessageGroupId": "g" } }),
                json!({ "Id": "mail", "Arn": TOPIC, "InputTransformer": line }),
                json!({ "Id": "part", "Arn": DEAD, "InputPath": "$.detail.run" }),
            ],
        )
        .await;
    let event = entry(json!({ "state": "Succeeded", "run": 7 }));
    let event = PutEventsRequestEntry::builder()
        .set_source(event.source)
        .set_detail_type(event.detail_type)
        .set_detail(event.detail)
        .resources("arn:run/7")
        .time(DateTime::from_secs(1_700_000_000))
        .build();
    let put = cloud.client.put_events().entries(event).send().await.unwrap();
    let taken = cloud.targets.await_taken(QUEUE, 1).await;
    assert_eq!(
        body(&taken[0]),
        json!({
            "version": "0", "id": put.entries()[0].event_id(), "detail-type": "Lake Job State Change",
            "source": "lake.demo", "account": "000000000000", "time": "2023-11-14T22:13:20Z", "region": "eu-west-1",
            "resources": ["arn:run/7"], "detail": { "state": "Succeeded", "run": 7 },
        })
    );
    let rule_arn = "arn:aws:events:eu-west-1:000000000000:rule/any";
    assert_eq!(taken[0].sender, Sender::service("events.amazonaws.com", rule_arn));
    assert_eq!(taken[0].message.group.as_deref(), Some("g"));
    assert_eq!(cloud.targets.await_taken(TOPIC, 1).await[0].message.body, "\"run 7 is done\"", "in its quotes");
    assert_eq!(cloud.targets.await_taken(DEAD, 1).await[0].message.body, "7");
    assert!(cloud.targets.of(FUNCTION).is_empty());
    cloud.events.stop().await;
    let told = cloud.metrics();
    assert_eq!(told["MatchedEvents()"], 1.0);
    assert_eq!((told["TriggeredRules(any)"], told["Invocations(any)"], told["Invocations()"]), (1.0, 3.0, 3.0));
    assert!(!told.contains_key("TriggeredRules(failed)") && !told.contains_key("FailedInvocations(any)"));
}

#[tokio::test]
async fn entries_fail_one_by_one() {
    let (_folder, cloud) = Cloud::new().await;
    cloud.rule("any", any(), &[json!({ "Id": "1", "Arn": QUEUE })]).await;
    let entry = |members: Value| {
        let mut entry = json!({ "Source": "lake.demo", "DetailType": "t", "Detail": "{}" });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        entry
    };
    let entries = [
        entry(json!({})),
        entry(json!({ "Source": "aws.s3" })),
        entry(json!({ "Source": null })),
        entry(json!({ "DetailType": "" })),
        entry(json!({ "Detail": null })),
        entry(json!({ "Detail": "[1]" })),
        entry(json!({ "Detail": "{" })),
        entry(json!({ "EventBusName": "none" })),
    ];
    let put = cloud.call("PutEvents", json!({ "Entries": entries })).await.unwrap();
    assert_eq!(put["FailedEntryCount"], 6);
    let entries = put["Entries"].as_array().unwrap();
    let failure = |index: usize| (entries[index]["ErrorCode"].as_str(), entries[index]["ErrorMessage"].as_str());
    assert!(entries[0]["EventId"].is_string());
    assert_eq!(failure(1), (Some("NotAuthorizedForSourceException"), Some("Not authorized for the source.")));
    let missing = "Parameter Source is not valid. Reason: Source is a required argument.";
    assert_eq!(failure(2), (Some("InvalidArgument"), Some(missing)));
    assert_eq!((failure(3).0, failure(4).0), (Some("InvalidArgument"), Some("InvalidArgument")));
    assert_eq!(failure(5), (Some("MalformedDetail"), Some("Detail is malformed.")));
    assert_eq!(failure(6).0, Some("MalformedDetail"));
    assert!(entries[7]["EventId"].is_string(), "a bus that is not there swallows events");
    assert_eq!(cloud.targets.await_taken(QUEUE, 1).await.len(), 1);
}

#[tokio::test]
async fn a_call_is_refused_as_a_whole_when_it_is_too_large() {
    let (_folder, cloud) = Cloud::new().await;
    let many = (0..11).map(|_| entry(json!({}))).collect();
    let refused = cloud.client.put_events().set_entries(Some(many)).send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert!(refused.message().unwrap().ends_with("Member must have length less than or equal to 10"));
    let large = || entry(json!({ "text": "x".repeat(put::ENTRIES_BYTES / 2) }));
    cloud.client.put_events().entries(large()).send().await.unwrap();
    let refused = cloud.client.put_events().entries(large()).entries(large()).send().await;
    let refused = refused.unwrap_err().into_service_error();
    assert_eq!(refused.message(), Some("Total size of the entries in the request is over the limit."));
}

#[tokio::test]
async fn a_throttled_target_is_tried_again_until_it_takes_the_event() {
    let (_folder, mut cloud) = Cloud::new().await;
    cloud.rule("any", any(), &[json!({ "Id": "1", "Arn": QUEUE, "DeadLetterConfig": { "Arn": DEAD } })]).await;
    cloud.targets.refuse(QUEUE, 3, 429, "TooManyRequestsException");
    cloud.put(json!({})).await;
    for tries in 1..=3 {
        cloud.targets.await_tries(tries).await;
        assert!(cloud.targets.of(QUEUE).is_empty());
        cloud.clock.advance(LONG);
    }
    assert_eq!(cloud.targets.await_taken(QUEUE, 1).await.len(), 1);
    assert!(cloud.targets.of(DEAD).is_empty());
    cloud.events.stop().await;
    assert_eq!(cloud.events.core.waiting(), 0);
    assert_eq!(cloud.metrics()["Invocations(any)"], 1.0, "retries are not counted");
}

#[tokio::test]
async fn what_cannot_be_delivered_goes_to_the_dead_letter_queue_with_the_reason() {
    let (_folder, mut cloud) = Cloud::new().await;
    let target = json!({
        "Id": "1", "Arn": QUEUE, "InputPath": "$.detail", "DeadLetterConfig": { "Arn": DEAD },
        "RetryPolicy": { "MaximumRetryAttempts": 2 },
    });
    cloud.rule("any", any(), &[target]).await;
    cloud.targets.refuse(QUEUE, u32::MAX, 503, "ServiceUnavailable");
    let id = cloud.put(json!({ "a": 1 })).await;
    for tries in 1..=2 {
        cloud.targets.await_tries(tries).await;
        cloud.clock.advance(LONG);
    }
    let dead = cloud.targets.await_taken(DEAD, 1).await;
    assert_eq!(body(&dead[0])["id"], id, "the event, not the target's input");
    assert_eq!(
        attributes(&dead[0]),
        HashMap::from([
            ("RULE_ARN", "arn:aws:events:eu-west-1:000000000000:rule/any"),
            ("TARGET_ARN", QUEUE),
            ("ERROR_CODE", "ERROR_FROM_TARGET"),
            ("ERROR_MESSAGE", "refused by the test"),
            ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
            ("RETRY_ATTEMPTS", "2"),
        ])
    );
    assert!(cloud.targets.of(QUEUE).is_empty(), "half-done work of a target that failed is undone");
    cloud.events.stop().await;
    let told = cloud.metrics();
    assert_eq!((told["FailedInvocations(any)"], told["InvocationsSentToDlq(any)"]), (1.0, 1.0));
}

#[tokio::test]
async fn missing_permissions_and_resources_are_not_retried() {
    let (_folder, cloud) = Cloud::new().await;
    let dead = json!({ "Arn": DEAD });
    cloud
        .rule(
            "any",
            any(),
            &[
                json!({ "Id": "1", "Arn": FUNCTION, "DeadLetterConfig": dead }),
                json!({ "Id": "2", "Arn": QUEUE, "DeadLetterConfig": dead }),
                json!({ "Id": "3", "Arn": TOPIC }),
                json!({
                    "Id": "4", "Arn": format!("{FUNCTION}-2"), "DeadLetterConfig": dead,
                    "InputTransformer": { "InputPathsMap": { "t": "$.detail.t" }, "InputTemplate": "\"<t>\"" },
                }),
            ],
        )
        .await;
    cloud.targets.refuse(FUNCTION, u32::MAX, 403, "AccessDeniedException");
    cloud.targets.refuse(QUEUE, u32::MAX, 400, "AWS.SimpleQueueService.NonExistentQueue");
    cloud.targets.refuse(TOPIC, u32::MAX, 404, "NotFound");
    cloud.put(json!({ "t": "a \"quote\"" })).await;
    let dead = cloud.targets.await_taken(DEAD, 3).await;
    let mut codes: Vec<&str> = dead.iter().map(|taken| attributes(taken)["ERROR_CODE"]).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["INVALID_JSON", "NO_PERMISSIONS", "NO_RESOURCE"]);
    for taken in &dead {
        assert_eq!(attributes(taken)["RETRY_ATTEMPTS"], "0");
        assert!(!attributes(taken).contains_key("EXHAUSTED_RETRY_CONDITION"));
    }
    cloud.events.stop().await;
    assert_eq!(cloud.events.core.waiting(), 0, "without a queue the event is dropped");
}

#[tokio::test]
async fn an_event_that_gets_too_old_is_given_up() {
    let (_folder, cloud) = Cloud::new().await;
    let policy = json!({ "MaximumEventAgeInSeconds": 60 });
    let target = json!({ "Id": "1", "Arn": QUEUE, "DeadLetterConfig": { "Arn": DEAD }, "RetryPolicy": policy });
    cloud.rule("any", any(), &[target]).await;
    cloud.targets.refuse(QUEUE, u32::MAX, 429, "ThrottlingException");
    cloud.put(json!({})).await;
    cloud.targets.await_tries(1).await;
    cloud.clock.advance(SignedDuration::from_secs(60));
    let dead = cloud.targets.await_taken(DEAD, 1).await;
    assert_eq!(attributes(&dead[0])["EXHAUSTED_RETRY_CONDITION"], "MaximumEventAgeInSeconds");
    assert_eq!((attributes(&dead[0])["ERROR_CODE"], attributes(&dead[0])["RETRY_ATTEMPTS"]), ("THROTTLING", "1"));
}

#[tokio::test]
async fn a_dead_letter_queue_that_fails_is_tried_again_and_one_that_refuses_loses_the_event() {
    let (_folder, mut cloud) = Cloud::new().await;
    cloud.rule("any", any(), &[json!({ "Id": "1", "Arn": QUEUE, "DeadLetterConfig": { "Arn": DEAD } })]).await;
    cloud.targets.refuse(QUEUE, u32::MAX, 403, "AccessDenied");
    cloud.targets.refuse(DEAD, 1, 500, "InternalFailure");
    cloud.put(json!({})).await;
    cloud.targets.await_tries(2).await;
    cloud.clock.advance(LONG);
    cloud.targets.await_taken(DEAD, 1).await;
    cloud.targets.refuse(DEAD, 1, 403, "AccessDenied");
    cloud.put(json!({})).await;
    cloud.targets.await_tries(6).await;
    cloud.events.stop().await;
    assert_eq!((cloud.events.core.waiting(), cloud.targets.of(DEAD).len()), (0, 1));
    assert_eq!(cloud.metrics()["InvocationsFailedToBeSentToDlq(any)"], 1.0);
}

#[tokio::test]
async fn a_target_that_fails_does_not_hold_up_the_others() {
    let (_folder, cloud) = Cloud::new().await;
    let both = [json!({ "Id": "1", "Arn": TOPIC }), json!({ "Id": "2", "Arn": QUEUE })];
    cloud.rule("any", any(), &both).await;
    cloud.targets.refuse(TOPIC, 30, 500, "InternalFailure");
    for number in 0..20 {
        cloud.put(json!({ "number": number })).await;
    }
    assert_eq!(cloud.targets.await_taken(QUEUE, 20).await.len(), 20);
    // Time passes only as far as the next try: nothing may get too old.
    while let Some(due) = cloud.events.core.next_due().unwrap() {
        let left = due - cloud.clock.now_ms();
        if left > 0 {
            cloud.clock.advance(SignedDuration::from_millis(left));
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((cloud.targets.of(TOPIC).len(), cloud.targets.of(QUEUE).len()), (20, 20), "each once");
}

#[tokio::test]
async fn deliveries_survive_a_restart() {
    let (folder, cloud) = Cloud::new().await;
    cloud.rule("any", any(), &[json!({ "Id": "1", "Arn": QUEUE })]).await;
    cloud.targets.refuse(QUEUE, u32::MAX, 503, "ServiceUnavailable");
    let id = cloud.put(json!({})).await;
    cloud.targets.await_tries(1).await;
    cloud.stop().await;
    let cloud = Cloud::start(folder.path(), "2026-11-22T11:00:00Z").await;
    assert_eq!(body(&cloud.targets.await_taken(QUEUE, 1).await[0])["id"], id);
}

#[tokio::test]
async fn events_of_services_come_to_the_default_bus() {
    let (_folder, cloud) = Cloud::new().await;
    let pattern = json!({ "source": ["aws.glue"], "detail": { "crawlerName": ["lake-orders"] } });
    cloud.rule("crawled", pattern, &[json!({ "Id": "1", "Arn": QUEUE })]).await;
    let emit = |crawler: &str| {
        let event = ServiceEvent {
            source: "aws.glue",
            detail_type: "Glue Crawler State Change",
            resources: vec!["arn:crawler".into()],
            detail: json!({ "crawlerName": crawler, "state": "Succeeded" }),
        };
        cloud.events.core.store.write(|tx| cloud.exchange.emit(tx, "eu-west-1", event)).unwrap();
    };
    emit("lake-flights");
    emit("lake-orders");
    cloud.exchange.wake();
    let taken = cloud.targets.await_taken(QUEUE, 1).await;
    let event = body(&taken[0]);
    assert_eq!((taken.len(), &event["detail"]["crawlerName"]), (1, &json!("lake-orders")));
    assert_eq!(event["version"], "0");
    assert_eq!((&event["account"], &event["region"]), (&json!("000000000000"), &json!("eu-west-1")));
    assert_eq!((&event["time"], &event["resources"]), (&json!("2026-11-22T10:00:30Z"), &json!(["arn:crawler"])));
    assert_eq!(event["id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn an_event_is_passed_on_to_another_bus_as_it_is() {
    let (_folder, cloud) = Cloud::new().await;
    // There is no IAM to know the role here.
    crate::cloud::authorise::enforce(cloud.server.store(), false).unwrap();
    let bus = "arn:aws:events:eu-west-1:000000000000:event-bus/mine";
    cloud.client.create_event_bus().name("mine").send().await.unwrap();
    let role = "arn:aws:iam::000000000000:role/pass";
    cloud.rule("pass", any(), &[json!({ "Id": "1", "Arn": bus, "RoleArn": role })]).await;
    let (pattern, targets) = (any().to_string(), json!([{ "Id": "1", "Arn": QUEUE }]));
    cloud.client.put_rule().name("there").event_bus_name("mine").event_pattern(pattern).send().await.unwrap();
    let targets = json!({ "Rule": "there", "EventBusName": "mine", "Targets": targets });
    cloud.call("PutTargets", targets).await.unwrap();
    let id = cloud.put(json!({ "big": 12345678901234567890_u64, "exact": 1.10 })).await;
    let taken = cloud.targets.await_taken(QUEUE, 1).await;
    assert_eq!(body(&taken[0])["id"], id);
    assert_eq!(body(&taken[0])["detail"]["big"], 12345678901234567890_u64);
    let rule = "arn:aws:events:eu-west-1:000000000000:rule/mine/there";
    assert_eq!(taken[0].sender, Sender::service("events.amazonaws.com", rule));
}

#[tokio::test]
async fn a_disabled_or_deleted_rule_is_not_triggered() {
    let (_folder, cloud) = Cloud::new().await;
    cloud.rule("all", any(), &[json!({ "Id": "1", "Arn": QUEUE })]).await;
    cloud.rule("one", any(), &[json!({ "Id": "1", "Arn": TOPIC })]).await;
    cloud.client.disable_rule().name("one").send().await.unwrap();
    cloud.put(json!({ "n": 1 })).await;
    cloud.client.enable_rule().name("one").send().await.unwrap();
    cloud.put(json!({ "n": 2 })).await;
    cloud.client.remove_targets().rule("one").ids("1").send().await.unwrap();
    cloud.client.delete_rule().name("one").send().await.unwrap();
    cloud.put(json!({ "n": 3 })).await;
    cloud.targets.await_taken(QUEUE, 3).await;
    let taken = cloud.targets.await_taken(TOPIC, 1).await;
    assert_eq!(taken.iter().map(|taken| body(taken)["detail"]["n"].clone()).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_burst_of_calls_is_delivered_whole_and_each_event_once() {
    let (_folder, cloud) = Cloud::new().await;
    cloud.rule("any", any(), &[json!({ "Id": "1", "Arn": QUEUE })]).await;
    let puts = (0..100).map(|number| {
        let entries = (0..10).map(|part| {
            json!({ "Source": "lake.demo", "DetailType": "t", "Detail": json!({ "n": number * 10 + part }).to_string() })
        });
        cloud.call("PutEvents", json!({ "Entries": entries.collect::<Vec<_>>() }))
    });
    for put in futures::future::join_all(puts).await {
        assert_eq!(put.unwrap()["FailedEntryCount"], 0);
    }
    let taken = cloud.targets.await_taken(QUEUE, 1000).await;
    let mut numbers: Vec<u64> = taken.iter().map(|taken| body(taken)["detail"]["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
}
